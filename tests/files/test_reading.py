"""What is read of unknown origin stays within bounds, in memory and in depth."""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
import zlib

import pytest

from benchmark.files.reading import DEEPEST, SMALL_BYTES, plain_json, unpacked
from tests.support.checkout import ROOT

pytestmark = pytest.mark.attack("files")


@pytest.mark.parametrize("levels", [DEEPEST + 2, 900, 100_000])
@pytest.mark.parametrize(("open_", "close"), [("[", "]"), ('{"a":', "}")])
def test_json_that_is_nested_without_end_is_refused(levels: int, open_: str, close: str) -> None:
    text = open_ * levels + "1" + close * levels
    for given in (text, text.encode()):
        with pytest.raises(ValueError, match=f"nested deeper than {DEEPEST} levels"):
            plain_json(given)


def test_nested_json_is_refused_where_a_library_lets_python_recurse_deeper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.files.reading.sys.getrecursionlimit", lambda: 10**6)
    monkeypatch.setattr("benchmark.files.reading.json.loads", lambda text: text)
    with pytest.raises(ValueError, match="nested deeper"):
        plain_json("[" * 100_000)
    assert plain_json('["' + "[" * 100_000 + '\\""]')


def test_json_with_many_brackets_that_is_not_deep_is_read() -> None:
    value = {"a": [[{"b": [n]}] for n in range(1000)]}
    assert plain_json(json.dumps(value)) == value
    with pytest.raises(ValueError, match="Expecting"):
        plain_json("[")


def test_what_gzip_packs_comes_back_in_one_part_or_several() -> None:
    data = bytes(range(256)) * 100
    assert unpacked(gzip.compress(data)) == data
    assert unpacked(gzip.compress(data) + gzip.compress(b"more")) == data + b"more" and unpacked(b"") == b""


@pytest.mark.parametrize("cut", [1, 8, 20])
def test_a_gzip_file_that_is_cut_or_damaged_is_refused(cut: int) -> None:
    whole = gzip.compress(bytes(range(256)) * 100)
    with pytest.raises((ValueError, zlib.error)):
        unpacked(whole[:-cut])
    with pytest.raises((ValueError, zlib.error)):
        unpacked(b"\0" + whole)
    with pytest.raises((ValueError, zlib.error)):
        unpacked(whole[:-5] + b"\0" + whole[-4:])


def test_a_bomb_is_refused_before_it_fills_the_memory() -> None:
    """Two MiB that unpack to two GiB, in a process of its own that may take no more than half of one beside."""
    code = """
import gzip, resource, sys
from benchmark.files.reading import unpacked
bomb = b"".join(gzip.compress(bytes(2**26)) for _ in range(32))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    unpacked(bomb)
except ValueError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert "unpack to more than" in done.stdout
    assert int(done.stderr) * 1024 < 6 * SMALL_BYTES
    assert resource.RUSAGE_SELF == 0
