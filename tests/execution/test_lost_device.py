"""A GPU that no longer answers a process is no failure of its runs: each is made again, by another process."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from benchmark.execution.checkpoints import CHECKPOINTS
from benchmark.execution.events import Finished, Frequency, Noted, Place
from benchmark.execution.executors import processes, serial
from benchmark.execution.fits import device
from benchmark.execution.fits.device import DeviceLost
from benchmark.store import Store
from benchmark.training.stepping import Stepper
from tests.execution.test_stacks import jobs

ILLEGAL = "CUDA error: an illegal memory access was encountered"


@pytest.fixture
def breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have the third step that is taken anywhere break the device of its process, whose steps all raise from then on.

    Return the file that says that it has.
    """
    mark, taken, broken = tmp_path / "broken", [0], [False]
    compute = Stepper.compute

    def step(self: Stepper, *arguments: Any) -> None:
        taken[0] += 1
        if taken[0] == 3 and not mark.exists():
            mark.touch()
            broken[0] = True
        wait("")
        compute(self, *arguments)

    def wait(place: str) -> None:
        if broken[0]:
            raise RuntimeError(f"{ILLEGAL}\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.")

    monkeypatch.setattr(Stepper, "compute", step)
    monkeypatch.setattr(device, "wait_for", wait)
    return mark


def stored(results: Path) -> list[Any]:
    """Return what was stored of each run, by replicate."""
    records = Store(results, use_stored=False).records().values()
    found = [(one.spec.replicate, one.status, one.error, one.loss, one.metrics) for one in records]
    return sorted(found, key=lambda one: one[0])


@pytest.mark.parametrize("stack", [1, 3])
def test_runs_of_a_worker_whose_gpu_is_lost_are_made_again_and_none_is_called_failed(
    tmp_path: Path, breaks: Path, monkeypatch: pytest.MonkeyPatch, stack: int
) -> None:
    original = multiprocessing.get_context
    monkeypatch.setattr(multiprocessing, "get_context", lambda method=None: original("fork"))  # has what was replaced
    events = list(processes(jobs("ddc", 3), Place(tmp_path / "broken-off"), workers=1, stack=stack))
    assert breaks.exists()
    notes = [event.text for event in events if isinstance(event, Noted)]
    assert notes == [f"a worker's GPU no longer answers it ({ILLEGAL}): its runs are made again, one by one."]
    assert [event.error for event in events if isinstance(event, Finished)] == [""] * 3
    list(serial(jobs("ddc", 3), Place(tmp_path / "whole")))
    found = [stored(tmp_path / name) for name in ("broken-off", "whole")]
    assert [one[1] for one in found[0]] == ["ok"] * 3 and found[0] == found[1]


def test_a_process_that_makes_runs_itself_says_in_one_sentence_that_its_gpu_is_lost(
    tmp_path: Path, breaks: Path
) -> None:
    place = Place(tmp_path, checkpoints=Frequency(seconds=0.0))
    with pytest.raises(DeviceLost, match=r"no longer answers this process \(CUDA error: an illegal .* again\.$"):
        list(serial(jobs("ddc", 2), place))
    assert stored(tmp_path) == []
    assert not list((tmp_path / CHECKPOINTS).rglob("*.safetensors"))  # what was computed last is in doubt


def test_an_error_of_a_run_whose_device_answers_is_a_failure_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(self: Stepper, *arguments: Any) -> None:
        raise RuntimeError(ILLEGAL)

    monkeypatch.setattr(Stepper, "compute", raises)
    list(serial(jobs("ddc", 1), Place(tmp_path)))
    ((_, status, error, *_),) = stored(tmp_path)
    assert status == "failed" and ILLEGAL in error
