"""A Ray cluster of two nodes makes a plan while one of them is killed: all is made, with the bits of the serial one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.execution import ray_cluster
from benchmark.execution.events import Finished, Job, Place
from benchmark.execution.executors import serial
from benchmark.execution.ray_cluster import marked
from benchmark.execution.ray_executor import _Driver
from benchmark.execution.shared_data import sweep_shared
from benchmark.execution.upkeep import tidy
from benchmark.files.owners import machine, this_process
from benchmark.plan.cells import plan_cells
from benchmark.plan.estimate import RunTimes
from benchmark.plan.request import Request
from benchmark.registry import load_plugins
from benchmark.store import Store
from tests.support.checkout import ROOT
from tests.support.records import make_record
from tests.support.stored_numbers import numbers
from tests.support.waiting import wait_until

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
    process.communicate(timeout=600)


def command(results: Path, *options: str) -> list[str]:
    words = [word for name in METHODS for word in ("--method", name)]
    words += [word for text in SETS for word in ("--set", text)]
    fixed = ("--table", "tkuco2024/table2", "--runs", str(RUNS), "--fresh", "--results", str(results))
    return [sys.executable, "-m", "benchmark", "run", *fixed, *words, *options]


@pytest.mark.attack("kills")
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


@pytest.mark.attack("methods")
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


@pytest.mark.attack("leftovers")
@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_one_sentence(tmp_path):
    pytest.importorskip("ray", reason="needs the extra `cluster`")
    done = subprocess.run(
        command(tmp_path, "--executor", "ray", "--address", "auto"),
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "ray start --head" in done.stderr.strip().splitlines()[-1]


# A cluster of this machine, for the length of a command

SMALL = ("--table", "tkuco2024/table2", "--method", "k-means", "--fresh", "--set", "data.samples=240")


def local(tmp_path: Path, *words: str) -> tuple[subprocess.Popen[str], Path]:
    """Begin a command that makes its own cluster; return it, and where its temporary files are."""
    temporary = Path(tempfile.mkdtemp(prefix="rt-"))  # short: sockets lie below it
    words = (*SMALL, "--executor", "ray", "--workers", "2", "--results", str(tmp_path / "ray"), *words)
    with (tmp_path / "output").open("w") as output:
        driver = subprocess.Popen(
            [sys.executable, "-m", "benchmark", "run", *words],
            cwd=tmp_path,
            env=ENVIRONMENT | {"TMPDIR": str(temporary)},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    return driver, temporary


def of_cluster(temporary: Path) -> list[str]:
    """Return the command lines of processes whose files lie in a temporary folder."""
    lines = subprocess.run(["ps", "-ww", "-eo", "pid,args"], capture_output=True, text=True).stdout.splitlines()
    return [line for line in lines if str(temporary / "reclust-ray-") in line]


def nothing_left(tmp_path: Path, temporary: Path) -> None:
    wait_until(lambda: not of_cluster(temporary), "no process of the cluster is left")
    assert not list(temporary.glob("reclust-*")), list(temporary.iterdir())
    assert not list((tmp_path / "ray").glob(".cluster-*"))


@pytest.mark.attack("leftovers")
@pytest.mark.slow
def test_without_an_address_a_cluster_lives_as_long_as_the_command(tmp_path):
    pytest.importorskip("ray", reason="needs the extra `cluster`")
    driver, temporary = local(tmp_path, "--runs", "2")
    assert driver.wait(timeout=900) == 0, (tmp_path / "output").read_text()
    text = (tmp_path / "output").read_text()
    assert "Runs made: 2 ok" in text and "Traceback" not in text
    nothing_left(tmp_path, temporary)
    load_plugins()
    asked = Request(tables=("tkuco2024/table2",), methods=("k-means",), sets=("data.samples=240",), runs=2)
    jobs = [Job(spec, cell.context) for cell in plan_cells(asked) for spec in cell.specs]
    list(serial(jobs, Place(tmp_path / "serial")))
    assert numbers(tmp_path / "ray") == numbers(tmp_path / "serial")
    shutil.rmtree(temporary)


@pytest.mark.slow
@pytest.mark.attack("leftovers")
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_a_cluster_of_a_command_that_is_ended_leaves_nothing(tmp_path, blow):
    """An interrupt reaches the whole group, as from a terminal; a kill the command alone, and the next one sweeps."""
    pytest.importorskip("ray", reason="needs the extra `cluster`")
    driver, temporary = local(tmp_path, "--runs", "50")
    marks = (tmp_path / "ray").glob
    wait_until(lambda: bool(list(marks(".cluster-*"))), "a cluster is made")
    assert of_cluster(temporary)
    if blow == signal.SIGINT:
        for _ in range(2):  # the second stops at once
            os.killpg(driver.pid, blow)
            time.sleep(1)
        assert driver.wait(timeout=600) == 130, (tmp_path / "output").read_text()
        assert "Traceback" not in (tmp_path / "output").read_text()
    else:
        driver.kill()
        driver.wait(timeout=600)
        wait_until(lambda: not of_cluster(temporary), "no process of the cluster is left")
        assert list(temporary.glob("reclust-ray-*")) and list((tmp_path / "ray").glob(".cluster-*"))
        tempfile.tempdir = str(temporary)
        try:
            tidy(Store(tmp_path / "ray"))
        finally:
            tempfile.tempdir = None
    nothing_left(tmp_path, temporary)
    shutil.rmtree(temporary)


STRANGER = """
import ray, sys
try:
    ray.init(sys.argv[1], logging_level="ERROR", log_to_driver=False)
    print("in")
except Exception as error:
    print(type(error).__name__)
"""
HOST = f"""
import os, subprocess, sys
from benchmark.execution.ray_cluster import cluster
with cluster("", 1) as ray:
    assert ray.get(ray.remote(lambda: 41).remote()) == 41
    clean = {{name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}}
    address = ray.get_runtime_context().gcs_address
    subprocess.run([sys.executable, "-c", {STRANGER!r}, address], env=clean, check=True)
assert "RAY_AUTH_TOKEN" not in os.environ
"""


@pytest.mark.slow
@pytest.mark.attack("leftovers")
def test_a_stranger_without_the_token_is_not_let_into_the_cluster_of_a_command(tmp_path):
    ray = pytest.importorskip("ray", reason="needs the extra `cluster`")
    if tuple(map(int, ray.__version__.split(".")[:2])) < (2, 52):
        pytest.skip("this Ray knows no tokens")
    done = subprocess.run(
        [sys.executable, "-c", HOST], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0 and done.stdout.strip() == "ConnectionError", done.stdout + done.stderr[-2000:]


# What commands leave


def owner_that_is_gone() -> str:
    return f"{machine()}-{2**22 + 1}-1"


@pytest.mark.attack("leftovers")
def test_marks_of_drivers_that_are_gone_are_removed_and_others_stay(tmp_path):
    mine, old = tmp_path / f".cluster-{this_process()}.1", tmp_path / ".cluster-elsewhere-1-1.2"
    gone, far = tmp_path / f".cluster-{owner_that_is_gone()}.3", tmp_path / ".cluster-elsewhere-1-1.4"
    for path in (mine, old, gone, far):
        path.touch()
    os.utime(old, (0, 0))
    with marked(tmp_path) as name:
        assert {path.name for path in tmp_path.iterdir()} == {mine.name, far.name, name}
    assert {path.name for path in tmp_path.iterdir()} == {mine.name, far.name}


@pytest.mark.attack("leftovers")
def test_prepared_data_whose_node_or_driver_is_gone_is_removed_and_other_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    here, gone, far = this_process(), owner_that_is_gone(), "elsewhere_x-1-1"
    kept = (f"{here}.a", f"{here}..cluster-{here}.b", f"{here}..cluster-{far}.c", f"{far}.d", "something else")
    removed = (
        f"{gone}.e",
        f"{here}..cluster-{gone}.f",
        f"{gone}..cluster-{here}.g",
        f"{far}.h",
        f"{here}..cluster-{far}.i",
    )
    for name in (*kept, *removed):
        (tmp_path / f"reclust-data-{name}").mkdir()
    for name in (removed[3], removed[4], kept[0]):
        os.utime(tmp_path / f"reclust-data-{name}", (0, 0))
    sweep_shared()
    assert {path.name for path in tmp_path.iterdir()} == {f"reclust-data-{name}" for name in kept}


@pytest.mark.attack("leftovers")
def test_folders_of_clusters_whose_command_is_gone_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_cluster, "_temporary", lambda: tmp_path)
    for name, owner in (("a", this_process()), ("b", owner_that_is_gone()), ("c", None)):
        (tmp_path / f"reclust-ray-{name}").mkdir()
        if owner:
            (tmp_path / f"reclust-ray-{name}" / "owner").write_text(owner)
    tidy(Store(tmp_path / "results"))
    assert sorted(path.name for path in tmp_path.glob("reclust-*")) == ["reclust-ray-a", "reclust-ray-c"]


# Memory


class FakeRay:
    """A cluster of two nodes as far as its memory goes, one of which is gone."""

    def __init__(self, *mebibytes: float) -> None:
        self._nodes = [{"Alive": True, "Resources": {"memory": size * 2**20}} for size in mebibytes]
        self._nodes.append({"Alive": False, "Resources": {"memory": 2**60}})

    def remote(self, **_: Any) -> Any:
        return lambda what: SimpleNamespace(remote=lambda *_: None)

    def nodes(self) -> list[dict[str, Any]]:
        return self._nodes


@pytest.mark.parametrize(
    ("peak", "device", "asked"),
    [(700.0, "cpu", 700 * 2**20), (9000.0, "cpu", 4000 * 2**20), (None, "cpu", None), (700.0, "cuda", None)],
    ids=["measured", "more than a node has", "unknown", "a GPU"],
)
def test_a_run_asks_for_the_memory_that_was_measured_and_for_no_more_than_a_node_has(tmp_path, peak, device, asked):
    agenda: Any = None
    driver = _Driver(FakeRay(1000, 4000), Place(tmp_path, device=device), 1.0, "mark", agenda, lambda spec: peak)
    spec: Any = None
    assert driver.memory(spec) == asked


def test_the_memory_of_a_run_is_the_most_that_runs_like_it_took():
    seen = [make_record(replicate=r, peak_mib=peak) for r, peak in enumerate((500.0, 800.0, 0.0))]
    times = RunTimes(seen)
    assert times.peak_mib(seen[0].spec) == 800.0
    other = seen[0].spec.model_copy(update={"data": seen[0].spec.data.model_copy(update={"samples": 7})})
    assert times.peak_mib(other) == 800.0, "of the same method, network and data set"
    assert RunTimes(()).peak_mib(other) is None
