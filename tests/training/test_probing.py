"""Without a GPU: no phase of our methods does what a captured step cannot, on the ways that a GPU goes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from benchmark.registry import METHODS
from benchmark.training.engines.probing import why_eager
from tests.support.offered import offered
from tests.support.wavering import Wavering
from tests.training import test_interleaving as fits
from tests.training.test_interleaving import History, estimator, run_of, samples_for


def reasons(method: Any, phases: int) -> dict[str, str]:
    """Return why the steps of each phase of a method cannot be captured; each phase is reached by a fit of its own."""
    found: dict[str, str] = {}
    for _ in range(phases):
        for step in estimator(method).fitting(samples_for(method), run=run_of(method, 0, History())):
            if step.stepper.phase.name not in found:
                found[step.stepper.phase.name] = why_eager(step.stepper)
                break
            step.take()
        else:
            break
    return found


@pytest.mark.parametrize("name", [offered(name) for name in fits.DEEP if name != "wavering"])
def test_no_phase_of_ours_stays_eager_on_a_gpu(name: str) -> None:
    found = reasons(METHODS[name], 9)
    assert found and set(found.values()) == {""}, found


def test_a_phase_that_draws_for_itself_or_is_not_said_to_be_steady_stays_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not said to be steady" in reasons(Wavering, 1)["pretrain"]
    phases = Wavering.phases

    def steady(*arguments: Any) -> Any:
        for phase in phases(*arguments):
            yield dataclasses.replace(phase, steady=True)

    monkeypatch.setattr(Wavering, "phases", steady)
    assert "draws from a generator" in reasons(Wavering, 1)["pretrain"]
    assert torch.rand(1).device.type == "cpu"
