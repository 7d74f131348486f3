"""Methods and data sets of other installed packages: found by their entry points, run like our own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.support.packages import install


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the example package into a folder of its own."""
    return install(ROOT / "tests" / "example_package", tmp_path_factory.mktemp("site"))


def benchmark(installed: Path, folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{installed}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_method_of_another_package_is_listed_beside_ours(installed, tmp_path):
    lines = json.loads(benchmark(installed, tmp_path, "ls", "methods", "--json"))
    assert {"ward-linkage", "ddc"} <= {line["name"] for line in lines}


def test_a_data_set_of_another_package_is_listed_and_verified(installed, tmp_path):
    lines = json.loads(benchmark(installed, tmp_path, "ls", "datasets", "--json"))
    (rings,) = [line for line in lines if line["name"] == "rings"]
    assert (rings["samples"], rings["classes"]) == (200, 2)
    assert "ready" in benchmark(installed, tmp_path, "data", "verify", "rings")


def test_a_method_of_another_package_runs_in_a_table_and_is_compared(installed, tmp_path):
    drawn = benchmark(
        installed, tmp_path, "run", "--table", "tkuco2024/table2", "--method", "ward-linkage", "--runs", "2"
    )
    assert "ward-linkage" in drawn and "2/2" in drawn
    compared = json.loads(benchmark(installed, tmp_path, "compare", "ward-linkage", "k-means", "--json"))
    assert compared["pairs"][0]["dataset"] == "digits"
