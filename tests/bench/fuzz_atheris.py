"""Coverage-guided fuzzing of the parsers of data files: ``python tests/bench/fuzz_atheris.py mat -max_total_time=60``.

The first argument is a parser of tests/support/parsers.py, the rest are options of libFuzzer. Needs atheris, which is
no dependency of the project. A parser may give data or a DataError; anything else is a find, as is a pause of 10
seconds or more than 1 GiB of memory.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

with atheris.instrument_imports(include=["datasets"]):
    from benchmark.errors import DataError
    from tests.support.parsers import PARSERS

FOLDER = Path(tempfile.mkdtemp())
name, parser, good = PARSERS[sys.argv[1]]


def one_input(content: bytes) -> None:
    """Parse one input."""
    (FOLDER / name).write_bytes(content)
    try:
        parser(FOLDER / name)
    except DataError as error:
        assert "\n" not in str(error)


if __name__ == "__main__":
    warnings.simplefilter("error")
    seeds = FOLDER / "seeds"
    seeds.mkdir()
    (seeds / "good").write_bytes(good)
    atheris.Setup([sys.argv[0], "-timeout=10", "-rss_limit_mb=1024", *sys.argv[2:], str(seeds)], one_input)
    atheris.Fuzz()
