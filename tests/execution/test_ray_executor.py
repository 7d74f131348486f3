"""A Ray cluster of two nodes makes a plan while one of them is killed: all is made, with the bits of the serial one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.execution.events import Finished, Job, Place
from benchmark.execution.executors import serial
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.registry import load_plugins
from tests.support.checkout import ROOT
from tests.support.stored_numbers import numbers

SETS, RUNS = ("phases.train.budget.amount=2", "data.samples=240"), 10
METHODS = ("ddc", "k-means")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    pytest.importorskip("ray", reason="needs the extra `cluster`")
    with (tmp_path / "cluster.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.ray_cluster"],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    yield process
    process.communicate(timeout=120)


def command(results: Path, *options: str) -> list[str]:
    words = [word for name in METHODS for word in ("--method", name)]
    words += [word for text in SETS for word in ("--set", text)]
    fixed = ("--table", "tkuco2024/table2", "--runs", str(RUNS), "--fresh", "--results", str(results))
    return [sys.executable, "-m", "benchmark", "run", *fixed, *words, *options]


@pytest.mark.slow
def test_a_node_killed_in_the_middle_of_twenty_runs_costs_no_run_and_no_bit(tmp_path, cluster):
    load_plugins()
    cells = plan_cells(Request(tables=("tkuco2024/table2",), methods=METHODS, sets=SETS, runs=RUNS))
    jobs = [Job(spec, cell.context) for cell in cells for spec in cell.specs]
    alone = list(serial(jobs, Place(tmp_path / "serial")))
    assert len([end for end in alone if isinstance(end, Finished) and end.record]) == 20

    address, results = cluster.stdout.readline().strip(), tmp_path / "ray"
    output = tmp_path / "output"
    with output.open("w") as file:
        driver = subprocess.Popen(
            command(results, "--executor", "ray", "--address", address),
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + 400
    while len(list(results.glob("runs/*/record.json"))) < 5:
        assert time.monotonic() < deadline and driver.poll() is None, output.read_text()
        time.sleep(0.05)
    cluster.stdin.write("kill\n")
    cluster.stdin.flush()
    assert cluster.stdout.readline().strip() == "killed"
    made_before = len(list(results.glob("runs/*/record.json")))
    assert driver.wait(timeout=400) == 0, output.read_text()
    text = output.read_text()
    assert made_before < 20 and "Runs made: 20 ok" in text and "Traceback" not in text, text
    assert numbers(results) == numbers(tmp_path / "serial")
    assert sorted(path.name for path in results.iterdir()) == ["checkpoints", "claims", "runs", "tables"]
    assert not list((results / "claims").iterdir())


@pytest.mark.slow
def test_children_of_a_diverged_run_are_recorded_as_diverged_from_a_cluster_too(tmp_path, cluster):
    words = ["--table", "idec2017/table2", "--method", "dec", "--method", "idec", "--runs", "1", "--fresh"]
    words += ["--set", "phases.pretrain.optimiser.lr=1e30", "--set", "data.samples=300"]
    results = tmp_path / "ray"
    words += ["--executor", "ray", "--address", cluster.stdout.readline().strip(), "--results", str(results)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", "run", *words],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    records = [json.loads(file.read_text()) for file in results.glob("runs/*/record.json")]
    assert {r["spec"]["method"]: r["status"] for r in records} == dict.fromkeys(
        ("ae-k-means", "dec", "idec"), "diverged"
    ), done.stdout + done.stderr
    (parent,) = (r["run_id"] for r in records if r["spec"]["method"] == "ae-k-means")
    assert all(parent in r["error"] for r in records if r["run_id"] != parent)


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_one_sentence(tmp_path):
    pytest.importorskip("ray", reason="needs the extra `cluster`")
    done = subprocess.run(
        command(tmp_path, "--executor", "ray"), cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "ray start --head" in done.stderr.strip().splitlines()[-1]
