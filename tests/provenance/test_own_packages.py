"""The code of a package of one's own counts: that of a method, of a data set, and of the files beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.support.packages import install

METHOD = '''
"""k-means on samples that are weighed."""

from near_losses import weight
from sklearn.cluster import KMeans

from benchmark.registry import register_method
from benchmark.training import Clusterer, ClusterParams, Outcome


@register_method("near-means")
class NearMeans(Clusterer):
    """k-means on weighed samples."""

    Params = ClusterParams

    def cluster(self, x, params, context):
        """Cluster the flattened samples."""
        flat = weight() * x.reshape(len(x), -1)
        found = KMeans(params.n_clusters, n_init=1, random_state=context.streams.integer("kmeans")).fit(flat)
        return found.labels_.astype("int64"), flat, Outcome(found.inertia_, found.inertia_, {"inertia": found.inertia_})
'''
LOSSES = '''
"""Losses of near-means, in a file of their own."""


def weight() -> float:
    """Return the weight of the samples."""
    return 1.0
'''
PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "near-means"
version = "0.1.0"

[project.entry-points."reclust.methods"]
near-means = "near_means"

[tool.setuptools]
py-modules = ["near_means", "near_losses"]
"""
LOAD = """
import json, sys
from benchmark.provenance import run_code_digest
from benchmark.registry import DATASETS, load_plugins
from benchmark.spec import DataSpec, Protocol, RunSpec

load_plugins()
x = DATASETS["ruler"].load(sys.argv[1]).x
data = DataSpec(name="ruler", digest=DATASETS["ruler"].digest)
spec = RunSpec(method="k-means", params={}, data=data, protocol=Protocol(), replicate=0)
print(json.dumps([float(x[1, 0]), run_code_digest(spec)]))
"""


def called(installed: Path, folder: Path, *words: str) -> str:
    """Return what Python prints where a package is installed, in a cache of this test alone."""
    variables = {"PYTHONPATH": f"{ROOT}{os.pathsep}{installed}", "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, **variables, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_second_file_beside_a_data_set_s_counts_for_its_runs_and_for_what_is_kept_parsed(tmp_path):
    installed = install(ROOT / "tests" / "example_package", tmp_path)
    (tmp_path / "ruler").mkdir()
    marks = "".join(f"{mark} {int(mark > 5)}\n" for mark in (0, 1, 2, 3, 8, 9, 10, 12))
    (tmp_path / "ruler" / "ruler.txt").write_text(marks)

    def loaded() -> tuple[float, str]:
        one_inch, digest = json.loads(called(installed, tmp_path, "-c", LOAD, str(tmp_path)))
        return round(one_inch, 4), digest

    before = loaded()
    assert before[0] == 2.54 and loaded() == before
    assert (tmp_path / "cache" / "reclust" / "parsed" / "ruler" / "x.npy").is_file()
    file = installed / "reclust_example" / "inches.py"
    file.write_text(file.read_text().replace("INCH = 2.54", "INCH = 2.6  # Paris"))
    after = loaded()
    assert after[0] == 2.6 and after[1] != before[1]
    file.write_text(file.read_text().replace("  # Paris", "  # of Paris"))  # a comment decides nothing
    assert loaded() == after


@pytest.mark.slow
def test_a_changed_second_file_beside_a_method_makes_its_runs_stale_and_rerun_makes_them_again(tmp_path):
    source = tmp_path / "near-means"
    source.mkdir()
    for name, text in (("near_means.py", METHOD), ("near_losses.py", LOSSES), ("pyproject.toml", PROJECT)):
        (source / name).write_text(text)
    installed = install(source, tmp_path)
    chosen = ("--table", "tkuco2024/table2", "--method", "near-means", "--runs", "1", "--profile", "quick")
    run = ("-m", "benchmark", "run", *chosen, "--workers", "1")

    def stale() -> int:
        lines = json.loads(called(installed, tmp_path, "-m", "benchmark", "status", *chosen, "--json"))
        return sum(line["stale"] for line in lines)

    def loss() -> float:
        (record,) = (tmp_path / "results" / "runs").glob("*/record.json")
        return float(json.loads(record.read_text())["loss"])

    called(installed, tmp_path, *run)
    before = loss()
    assert stale() == 0
    file = installed / "near_losses.py"
    file.write_text(file.read_text().replace("return 1.0", "return 2.0"))
    assert stale() == 1
    called(installed, tmp_path, *run)
    assert stale() == 1 and loss() == before  # kept, and shown
    called(installed, tmp_path, *run, "--stale", "rerun")
    assert stale() == 0 and loss() == pytest.approx(4 * before, rel=1e-4)
