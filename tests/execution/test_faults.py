"""Faults of machine and method: one clear sentence or a status with its reason, and all other runs go on."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.execution.events import Finished, Place
from benchmark.execution.executors import serial
from benchmark.execution.upkeep import refuse_unwritable
from benchmark.registry import METHODS, load_plugins
from benchmark.store import Store
from benchmark.training import Clusterer, Outcome
from tests.support.k_means_jobs import good, jobs

load_plugins()

pytestmark = pytest.mark.attack("disks")
Behaviour = Callable[[np.ndarray], tuple[Any, Any, Outcome]]


@pytest.fixture
def behave(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, Behaviour]]:
    """Let k-means do as it is told, replicate by replicate."""
    told: dict[int, Behaviour] = {}

    def cluster(self: Clusterer, x: np.ndarray, params: Any, context: Any) -> Any:
        return told.get(context.streams.replicate, good)(x)

    monkeypatch.setattr(METHODS["k-means"], "cluster", cluster)
    yield told


def ends(number: int, results: Path) -> list[Finished]:
    return [event for event in serial(jobs(number), Place(results)) if isinstance(event, Finished)]


def raises(error: BaseException) -> Behaviour:
    def behaviour(x: np.ndarray) -> Any:
        raise error

    return behaviour


@pytest.mark.attack("methods")
@pytest.mark.parametrize(
    ("behaviour", "status", "reason"),
    [
        (raises(RuntimeError("a pity")), "failed", "a pity"),
        (lambda x: (np.zeros((len(x), 2), int), x, Outcome(1.0, 1.0)), "failed", "shape"),
        (lambda x: (np.zeros(3, int), x, Outcome(1.0, 1.0)), "failed", "shape"),
        (lambda x: (np.full(len(x), 0.5), x, Outcome(1.0, 1.0)), "failed", "type"),
        (lambda x: (np.arange(len(x)) % 10, x, Outcome(float("nan"), 1.0)), "diverged", "nan"),
        (lambda x: (np.zeros(len(x), int), x, Outcome(1.0, 1.0)), "collapsed", "one cluster"),
    ],
    ids=["raises", "wrong shape", "too short", "no integers", "nan", "one cluster"],
)
def test_what_a_method_does_wrong_is_a_status_with_a_reason_and_the_plan_goes_on(
    tmp_path, behave, behaviour, status, reason
):
    behave[0] = behaviour
    bad, fine = (end.record for end in ends(2, tmp_path))
    assert bad is not None and bad.status == status and reason in bad.error and "\n" not in bad.error
    assert fine is not None and fine.status == "ok"
    assert Store(tmp_path, use_stored=False).get(bad.run_id) == bad


@pytest.mark.attack("methods")
def test_a_plug_in_that_is_no_clusterer_costs_no_other_method_its_record(tmp_path, behave, monkeypatch):
    entries = {**{name: METHODS[name] for name in METHODS}, "no-clusterer": object()}
    monkeypatch.setattr(METHODS, "_entries", entries)
    assert [end.record is not None and end.record.status for end in ends(1, tmp_path)] == ["ok"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_a_machine_without_memory_is_no_fault_of_the_method_and_leaves_no_record(tmp_path, behave, error):
    behave[0] = raises(error)
    bad, fine = ends(2, tmp_path)
    assert bad.record is None and "too little memory" in bad.error and "\n" not in bad.error
    assert fine.record is not None
    assert ends(1, tmp_path)[0].record is None, "it is tried again by the next command"


def test_a_disk_that_is_full_for_a_while_costs_the_runs_of_that_while_alone(tmp_path, behave, monkeypatch):
    sync, full = os.fsync, [False]

    def synced(handle: int) -> None:
        if full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "runs"))
        sync(handle)

    def fill(x: np.ndarray) -> Any:
        full[0] = True
        return good(x)

    def free(x: np.ndarray) -> Any:
        full[0] = False
        return good(x)

    monkeypatch.setattr(os, "fsync", synced)

    behave |= {1: fill, 2: free}
    found = ends(4, tmp_path)
    assert [end.record is not None for end in found] == [True, False, True, True]
    assert "No space left on device; free some space" in found[1].error and "\n" not in found[1].error
    store = Store(tmp_path, use_stored=False)
    assert len(store.ids()) == 3 and store.verify() == []
    assert not [path for path in (tmp_path / "runs").iterdir() if path.name.startswith(".")]
    monkeypatch.setattr(os, "fsync", sync)
    behave.clear()
    assert ends(4, tmp_path)[1].record is not None


@pytest.fixture
def shut(tmp_path: Path, behave: dict[int, Behaviour]) -> Iterator[Path]:
    """Give a results folder that may not be written to, to a user who is not root."""
    ends(1, tmp_path / "another")  # all is imported, as that user may not read our Python
    parent = Path(tempfile.mkdtemp())
    parent.chmod(0o755)
    results = parent / "results"
    (results / "runs").mkdir(parents=True)
    for folder in (results, results / "runs"):
        folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield results
    if root:
        os.seteuid(0)
    (results / "runs").chmod(0o755)
    results.chmod(0o755)
    shutil.rmtree(parent)


def test_a_folder_without_permission_is_one_sentence_before_anything_is_trained(shut, behave):
    trained: list[int] = []

    def note(x: np.ndarray) -> Any:
        trained.append(len(x))
        return good(x)

    behave |= {0: note}
    with pytest.raises(Exception, match=r"Permission denied; get the permission, or name another folder") as caught:
        refuse_unwritable(shut)
    assert "\n" not in str(caught.value) and str(shut) in str(caught.value)
    (end,) = ends(1, shut)
    assert end.record is None and "Permission denied" in end.error and trained == []


def test_permission_lost_in_the_middle_costs_the_later_runs_and_no_earlier_one(tmp_path, behave):
    runs = tmp_path / "runs"

    def lose(x: np.ndarray) -> Any:
        shutil.move(runs, tmp_path / "kept")
        runs.write_text("no folder any more")
        return good(x)

    behave[1] = lose
    found = ends(3, tmp_path)
    assert [end.record is not None for end in found] == [True, False, False]
    assert all("\n" not in end.error for end in found)
    runs.unlink()
    shutil.move(tmp_path / "kept", runs)
    assert len(Store(tmp_path, use_stored=False).ids()) == 1


SCOPE = ("--table", "tkuco2024/table2", "--method", "k-means", "--runs", "2")


def test_status_lists_runs_that_went_wrong_and_the_traceback_is_one_command_away(tmp_path, behave, call):
    behave[1] = raises(RuntimeError("a pity"))
    made = call("run", *SCOPE, "--fresh", "--executor", "serial", "--results", tmp_path)
    assert made[0] == 0 and "1 failed, 1 ok" in made[1]
    code, out, _ = call("status", *SCOPE, "--profile", "quick", "--results", tmp_path)
    (line,) = [line for line in out.splitlines() if "a pity" in line]
    run_id = line.split()[0]
    assert code == 0 and "failed" in line and "k-means digits r=1" in line
    code, out, _ = call("results", "traceback", run_id, "--results", tmp_path)
    assert code == 0 and "RuntimeError: a pity" in out and "test_faults.py" in out
    code, _, err = call("results", "traceback", "0123", "--results", tmp_path)
    assert code == 1 and err.startswith("error: there is no record of the run 0123")
    code, out, _ = call("status", *SCOPE, "--profile", "quick", "--results", tmp_path, "--json")
    assert json.loads(out)[0]["not_ok"] == [{"run_id": run_id, "status": "failed", "error": "RuntimeError: a pity"}]


def leaves(folder: Path) -> Behaviour:
    """Do well, from another working directory on."""

    def behaviour(x: np.ndarray) -> Any:
        os.chdir(folder)
        return good(x)

    return behaviour


@pytest.mark.attack("methods")
@pytest.mark.parametrize("error", [SystemExit(0), GeneratorExit(), KeyboardInterrupt()], ids=lambda e: type(e).__name__)
def test_a_method_ends_no_command_which_tells_of_it_and_goes_on(tmp_path, behave, call, error):
    behave[0] = raises(error)
    code, out, err = call("run", *SCOPE, "--fresh", "--executor", "serial", "--results", tmp_path)
    assert code == 0 and "1 failed, 1 ok" in out and "Traceback" not in out + err
    assert sorted(r.status for _, r in Store(tmp_path, use_stored=False).records().items()) == ["failed", "ok"]


@pytest.mark.attack("methods")
def test_a_method_that_goes_elsewhere_takes_no_later_record_there(tmp_path, behave, call, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    behave[0] = leaves(tmp_path / "there")
    code, out, _ = call("run", *SCOPE, "--fresh", "--executor", "serial", "--results", "results")
    assert code == 0 and "1 failed, 1 ok" in out and os.getcwd() == str(tmp_path / "here")
    assert len(Store(tmp_path / "here" / "results", use_stored=False).ids()) == 2
    assert list((tmp_path / "there").iterdir()) == []


@pytest.mark.attack("files")
@pytest.mark.usefixtures("nothing_shipped")
def test_a_damaged_record_is_set_aside_by_the_next_run_which_makes_it_again(tmp_path, behave, call):
    command = ("run", *SCOPE, "--executor", "serial", "--results", tmp_path)
    assert call(*command)[0] == 0
    record = sorted(tmp_path.glob("runs/*/record.json"))[0]
    text = record.read_text()
    record.write_text(text.replace('"loss": 1.0', '"loss": 2.0', 1))
    code, out, err = call("results", "verify", "--results", tmp_path)
    assert code == 1 and "1 problems" in out and record.parent.name in err
    code, out, err = call(*command)
    assert code == 0 and "1 runs are stored, 1 to make" in out and "quarantine" in err
    assert record.read_text() != text.replace('"loss": 1.0', '"loss": 2.0', 1)
    code, out, err = call("results", "verify", "--results", tmp_path)
    assert (code, err) == (0, "") and "1 damaged" in out and "2 records read, 0 problems" in out
