"""On a CUDA device: captured steps give the bits of steps taken one operation after another, alone and in a stack."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmark.registry import METHODS
from benchmark.training.engines.capture import Captured, Cuda, engine_for
from benchmark.training.engines.lanes import Eager
from benchmark.training.numeric import numeric_mode
from tests.support.asking import nothing_is_asked
from tests.support.offered import offered
from tests.training import test_interleaving as fits
from tests.training.test_interleaving import History, estimator, run_of, samples_for, take_turns

NAMES = [offered(name) for name in fits.DEEP if name != "wavering"]

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def results(name: str, replicates: range, engine: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Fit replicates side by side on the device, and return what each decides, as bytes on the host."""
    original = fits.protocol_of
    with monkeypatch.context() as patched, numeric_mode("cuda"):
        patched.setattr(fits, "protocol_of", lambda method: original(method, steps=9))
        method, device = METHODS[name], torch.device("cuda")
        x = samples_for(method)
        histories, fitted = [History() for _ in replicates], [estimator(method) for _ in replicates]
        runs = [run_of(method, r, h, device=device) for r, h in zip(replicates, histories, strict=True)]
        errors = take_turns([f.fitting(x, run=run) for f, run in zip(fitted, runs, strict=True)], engine)
    assert errors == {}
    return [
        [
            [value.cpu().numpy().tobytes() for value in f.model_.state_dict().values()],
            f.labels_.tobytes(),
            f.embedding_.tobytes(),
            h.rows,
        ]
        for f, h in zip(fitted, histories, strict=True)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_captured_steps_give_the_bits_of_eager_ones_twice(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_for(torch.device("cuda"))
    assert isinstance(engine, Captured)
    captured = results(name, range(1), engine, monkeypatch)
    assert set(engine.reasons.values()) == {""}, engine.reasons
    assert captured == results(name, range(1), Eager(), monkeypatch)
    assert captured == results(name, range(1), Captured(Cuda(torch.device("cuda"))), monkeypatch)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_alone_has_the_bits_of_the_same_run_among_twenty(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = results(name, range(20), Captured(Cuda(torch.device("cuda"))), monkeypatch)
    for replicate in (0, 13):
        one = range(replicate, replicate + 1)
        assert results(name, one, Captured(Cuda(torch.device("cuda"))), monkeypatch) == [stack[replicate]]


def test_replayed_steps_ask_the_device_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    replay = Captured.take

    def watched(self: Captured, steps: Any) -> Any:
        if any(step.stepper.steps < 5 for step in steps):  # those that are captured
            return replay(self, steps)
        with nothing_is_asked():
            return replay(self, steps)

    monkeypatch.setattr(Captured, "take", watched)
    assert len(results("ddc", range(3), Captured(Cuda(torch.device("cuda"))), monkeypatch)) == 3
