"""Observers with labels of a run that trains apart: in a third process, and the one that trains never holds a label."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.execution.events import Finished, Job, Place
from benchmark.execution.execute import execute
from benchmark.execution.executors import serial
from benchmark.record import Context
from benchmark.registry import DATASETS, METHODS, OBSERVERS, load_plugins
from benchmark.spec import DataSpec, RunSpec
from benchmark.store import Store
from tests.support import witness
from tests.support.attack import made
from tests.support.wavering import PROTOCOL, Wavering

load_plugins()
for name in ("witness", "wavering"):
    METHODS._entries.pop(name, None)
SEES = OBSERVERS._entries.pop("witness-sees")
torch.set_num_threads(1)
pytestmark = pytest.mark.attack("methods")
SAMPLES = 200


@pytest.fixture(autouse=True)
def only_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide method and observer from the tests of others."""
    for name, entry in (("witness", witness.Witness), ("wavering", Wavering)):
        monkeypatch.setitem(METHODS._entries, name, entry)
    monkeypatch.setitem(OBSERVERS._entries, "witness-sees", SEES)


def spec(folder: Path | str = "") -> RunSpec:
    data = DataSpec(name="digits", digest=DATASETS["digits"].digest, samples=SAMPLES)
    return RunSpec(
        method="witness", params={"n_clusters": 5, "folder": str(folder)}, data=data, protocol=PROTOCOL, replicate=0
    )


def labels() -> np.ndarray:
    return DATASETS["digits"].load().prepare((), SAMPLES).y


def made_apart(folder: Path, run: RunSpec, *record: str, seconds: float | None = None) -> Finished:
    job = Job(run, Context(), record=record)
    (end,) = [e for e in serial([job], Place(folder / "results", seconds=seconds)) if isinstance(e, Finished)]
    return end


@pytest.fixture
def meanwhile(tmp_path: Path) -> Iterator[Callable[[Callable[[int], Any]], list[Any]]]:
    """Do something while a run waits in its middle, with the process that trains; give a list of what it returned."""
    threads = []

    def begin(act: Callable[[int], Any]) -> list[Any]:
        found: list[Any] = []

        def wait() -> None:
            file = tmp_path / "pid"
            while not file.exists() or not file.read_text():
                time.sleep(0.02)
            found.append(act(int(file.read_text())))
            (tmp_path / "go").touch()

        threads.append(threading.Thread(target=wait, daemon=True))
        threads[-1].start()
        return found

    yield begin
    for thread in threads:
        thread.join(20)


def test_observers_with_labels_leave_the_bits_of_a_run_of_one_process(tmp_path, meanwhile):
    found = meanwhile(lambda pid: pid)
    record = made_apart(tmp_path, spec(tmp_path), "randomness", "witness-sees").record
    here = execute(spec(tmp_path), measures=[OBSERVERS["randomness"], SEES]).record
    values = [
        [{k: v for k, v in row.metrics.items() if k != "seen:process"} for row in r.history] for r in (record, here)
    ]
    assert values[0] == values[1] and all("randomness" in row for row in values[0])
    assert {row["seen:labels"] for row in values[0]} == {witness.weighted(labels())}
    assert len({row["seen:weight"] for row in values[0]}) >= len(values[0]) - 1, "but for the end of the first phase"
    (process,) = {int(row.metrics["seen:process"]) for row in record.history}
    assert process not in (os.getpid(), *found), "neither that of the harness nor that which trains"
    assert {int(row.metrics["seen:process"]) for row in here.history} == {os.getpid()}


def holds(pid: int, parts: list[bytes]) -> list[int]:
    """Return which byte strings a process has in its memory."""
    found = set()
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in lines:
            bounds, rights, *_ = line.split()
            start, end = (int(bound, 16) for bound in bounds.split("-"))
            if not rights.startswith("r") or "[v" in line or ".so" in line:  # libraries are large, and hold no labels
                continue
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except (OSError, ValueError):
                continue
            found |= {number for number, part in enumerate(parts) if part in data}
    return sorted(found)


def encodings(y: np.ndarray) -> list[bytes]:
    """Return the first labels as the bytes of the kinds that arrays of them may have."""
    return [y[:60].astype(kind).tobytes() for kind in ("<i8", "<i4", "<i2", "u1", "<f4", "<f8")]


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="reads the memory of processes from /proc")
def test_the_process_that_trains_holds_no_labels_while_observers_with_labels_are_called(tmp_path, meanwhile):
    """Labels and samples are looked for byte by byte in its whole memory; the harness has both."""
    data = DATASETS["digits"].load().prepare((), SAMPLES)
    sought = [*encodings(data.y), np.ascontiguousarray(data.x[:2], dtype=np.float32).tobytes()]
    try:
        assert {0, len(sought) - 1} <= set(holds(os.getpid(), sought)), "the search finds what is there"
    except PermissionError:
        pytest.skip("the system shows no process the memory of another")
    found = meanwhile(lambda pid: holds(pid, sought))
    assert made_apart(tmp_path, spec(tmp_path), "witness-sees").record.status in ("ok", "collapsed")
    assert found == [[len(sought) - 1]], "its samples, and nothing of the labels"
    made("methods", name="witness")


@pytest.mark.parametrize(
    ("deed", "words"),
    [("raise", "an observer failed: ValueError: the observer's own fault"), ("leave", "exit code 7")],
)
def test_an_observer_that_fails_apart_is_one_sentence_and_no_record(tmp_path, deed, words):
    (tmp_path / "go").touch()
    (tmp_path / deed).touch()
    end = made_apart(tmp_path, spec(tmp_path), "witness-sees")
    assert end.record is None and words in end.error and "\n" not in end.error
    assert Store(tmp_path / "results", use_stored=False).ids() == []
