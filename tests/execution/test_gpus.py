"""Workers and GPUs: every visible GPU is used, each worker sees one, and a job array shares a results folder."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from benchmark.cli.options import gpus_for
from benchmark.execution.crew import Crew
from benchmark.execution.events import Job, Place
from benchmark.execution.gpus import least_used, visible_gpus
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.record import Context
from benchmark.registry import load_plugins


@pytest.mark.parametrize(("names", "variables", "expected"), [
    (["A"], {}, ("0",)),
    (["A", "A", "A"], {}, ("0", "1", "2")),
    (["A", "A"], {"CUDA_VISIBLE_DEVICES": "3,1"}, ("3", "1")),
    (["A"], {"CUDA_VISIBLE_DEVICES": "MIG-7,-1,2"}, ("MIG-7",)),
    (["A", "B", "A"], {"CUDA_VISIBLE_DEVICES": "5,6,7"}, ("5", "7")),
    ([], {}, ()),
])  # fmt: skip
def test_a_worker_is_given_a_gpu_that_the_command_was_given(
    names: list[str], variables: dict[str, str], expected: tuple[str, ...]
) -> None:
    assert visible_gpus(names, variables) == expected


def test_workers_are_spread_evenly_also_after_one_was_replaced() -> None:
    gpus, taken = ["0", "1", "2"], list[str]()
    for _ in range(6):
        taken.append(least_used(gpus, taken))
    assert sorted(taken) == ["0", "0", "1", "1", "2", "2"]
    taken.remove("1")
    assert least_used(gpus, taken) == "1"


def _environment(pid: int | None) -> bytes:
    """Return what a process was started with; it reads as empty while the process is being replaced by its program."""
    until = time.monotonic() + 300
    while not (found := Path(f"/proc/{pid}/environ").read_bytes()) and time.monotonic() < until:
        time.sleep(0.01)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads the environment of other processes from /proc")
def test_each_worker_process_sees_one_gpu_and_the_command_keeps_its_own_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-5f")
    load_plugins()
    cells = [cell for cell in plan_cells(Request(methods=("k-means",))) if cell.specs]
    jobs = [Job(spec, Context()) for spec in cells[0].specs[:3]]
    with Crew(Place(tmp_path / "results", device="cuda"), 3, ("4", "GPU-5f")) as crew:
        for job in jobs:
            crew.begin(job)
        seen = [_environment(worker.process.pid).split(b"\0") for worker in crew._crew]
        views = [[v for v in variables if v.startswith(b"CUDA_VISIBLE_DEVICES=")] for variables in seen]
    assert views == [[b"CUDA_VISIBLE_DEVICES=4"], [b"CUDA_VISIBLE_DEVICES=GPU-5f"], [b"CUDA_VISIBLE_DEVICES=4"]]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,GPU-5f"


def test_cuda_means_all_gpus_that_torch_sees_and_a_numbered_one_means_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda i: "NVIDIA A100")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2,3")
    assert gpus_for("cuda") == ("1", "2", "3")
    assert gpus_for("cpu") == gpus_for("cuda:1") == ()
