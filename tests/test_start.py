"""A start without waiting: commands that only read import nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

HEAVY = ("torch", "torchvision", "sklearn", "scipy.stats", "matplotlib", "statsmodels", "pandas")
READING = [
    ["--help"],
    *(["ls", kind] for kind in ("methods", "datasets", "networks", "papers", "tables", "profiles")),
    ["ledger"],
    ["ledger", "K1"],
    ["tables", "--table", "tkuco2024/table2"],
    ["status"],
    ["explain", "tkuco2024/table2", "ddc-uco-t", "mnist", "acc"],
]
SCRIPT = f"""
import sys
from benchmark.cli.main import main
sys.argv = ["reclust", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in which each command was called once."""
    cache = tmp_path_factory.mktemp("cache")
    for words in (["ls"], ["status"], ["tables", "--table", "tkuco2024/table2"], READING[-1]):
        started(cache, words)
    return cache


def started(cache: Path, words: list[str]) -> str:
    """Call a command in a fresh process, and return the last line of its stderr: the heavy modules it imported."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words],
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), "RECLUST_CACHE": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "made", [[], ["--set", "data.samples=240", "--workers", "1"]], ids=["stored", "made by a worker"]
)
def test_a_driver_imports_nothing_heavy(cache, tmp_path, made):
    words = ["run", "--table", "tkuco2024/table2", "--method", "k-means", "--runs", "1", *made, "--results"]
    assert started(cache, [*words, str(tmp_path)]) == "[]"
    assert any(tmp_path.glob("runs/*")) == bool(made)


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_command_that_only_reads_imports_nothing_heavy(cache, words):
    assert started(cache, words) == "[]"


def test_what_needs_no_plug_in_imports_nothing_heavy_without_a_cache_either(tmp_path):
    for words in (["--help"], ["ls", "tables"], ["ledger"]):
        assert started(tmp_path / "never-written", words) == "[]"
    assert not (tmp_path / "never-written").exists()
