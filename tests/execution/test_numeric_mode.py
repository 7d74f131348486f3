"""The record of a run on CUDA says how the device computed; that of a run on the CPU says nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from benchmark.errors import UsageError
from benchmark.execution.crew import Crew
from benchmark.execution.events import Job, Place
from benchmark.execution.execute import execute
from benchmark.execution.fits import fitting
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.record import NUMERIC_MODE, Context
from benchmark.registry import load_plugins
from benchmark.spec import RunSpec
from benchmark.training.numeric import NumericMode, numeric_mode
from tests.support.records import IEEE


@pytest.fixture(scope="module")
def spec() -> RunSpec:
    load_plugins()
    return next(cell for cell in plan_cells(Request(methods=("k-means",))) if cell.specs).specs[0]


@contextmanager
def _as_on_cuda(device: str, precision: str) -> Iterator[NumericMode | None]:
    with numeric_mode("cuda", precision) as mode:
        yield mode


def test_a_record_says_the_numeric_mode_only_of_a_gpu(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    assert NUMERIC_MODE not in execute(spec).record.environment
    monkeypatch.setattr(fitting, "numeric_mode", _as_on_cuda)
    made = execute(spec).record
    assert made.status == "ok" and made.environment[NUMERIC_MODE] == IEEE


def test_a_method_that_turns_tf32_on_is_named(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    def loosely(x: object, *rest: object) -> object:
        torch.backends.cudnn.conv.fp32_precision = "tf32"
        return _cluster(x, *rest)

    method = fitting.METHODS[spec.method]
    _cluster = method.cluster
    monkeypatch.setattr(method, "cluster", loosely)
    monkeypatch.setattr(fitting, "numeric_mode", _as_on_cuda)
    made = execute(spec).record
    assert made.status == "failed" and "the numeric mode of cuDNN" in made.error


def test_a_run_that_declares_tf32_is_refused_on_the_cpu_in_one_sentence(spec: RunSpec) -> None:
    declared = spec.model_copy(update={"params": {**spec.params, "precision": "tf32"}})
    with pytest.raises(UsageError, match=r"^precision = 'tf32' needs a CUDA device, and this one is 'cpu': use 'float"):
        execute(declared)


def test_a_declared_precision_is_part_of_the_identity_and_the_default_is_not() -> None:
    load_plugins()
    cells = plan_cells(Request(tables=("tkuco2024/table2",), methods=("ddc",)))
    declared = plan_cells(Request(tables=("tkuco2024/table2",), methods=("ddc",), sets=("precision=tf32",)))
    assert "precision" not in str(cells[0].specs[0].canonical())
    assert declared[0].specs[0].params["precision"] == "tf32"
    assert declared[0].specs[0].run_id != cells[0].specs[0].run_id


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_run_on_a_gpu_is_repeatable_to_the_last_bit_and_has_a_peak_of_its_own() -> None:
    load_plugins()
    cells = plan_cells(Request(tables=("tkuco2024/table2",), methods=("ddc",), datasets=("digits",)))
    spec = next(cell for cell in cells if cell.specs).specs[0]
    small = shortened(spec)
    waste = torch.empty(2**28, device="cuda")  # 1 GiB, which the peak of the run must not have
    del waste
    torch.cuda.empty_cache()
    first, second = (execute(small, device="cuda").record for _ in range(2))
    assert first.status == "ok" and first.environment[NUMERIC_MODE]["convolutions"] == "ieee"
    assert (first.loss, first.first_losses, first.metrics) == (second.loss, second.first_losses, second.metrics)
    assert 0 < first.peak_mib < 1024


def shortened(spec: RunSpec) -> RunSpec:
    phases = {
        name: phase.model_copy(update={"budget": phase.budget.model_copy(update={"unit": "epochs", "amount": 1})})
        for name, phase in spec.protocol.phases.items()
    }
    return spec.model_copy(update={"protocol": spec.protocol.model_copy(update={"phases": phases})})


def test_a_worker_on_a_gpu_finds_the_workspace_of_cublas_in_its_environment(
    tmp_path: Path, spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    started: list[str | None] = []

    def started_with(*_: object, **__: object) -> object:
        started.append(os.environ.get("CUBLAS_WORKSPACE_CONFIG"))
        raise RuntimeError("enough")

    monkeypatch.setattr("multiprocessing.context.SpawnProcess.start", started_with)
    for gpus in (("0",), ()):
        with pytest.raises(RuntimeError, match="enough"), Crew(Place(tmp_path, device="cuda"), 1, gpus) as crew:
            crew.begin(Job(spec, Context()))
    assert started == [":4096:8", None] and "CUBLAS_WORKSPACE_CONFIG" not in os.environ
