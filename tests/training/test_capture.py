"""Steps that are captured give the bits of steps taken one operation after another, for every method and phase."""

from __future__ import annotations

import pytest

from benchmark.registry import METHODS
from benchmark.training.capture import Captured
from tests.support.offered import offered
from tests.support.tape import TapeMachine
from tests.training import test_interleaving as fits
from tests.training.test_interleaving import History, alone, estimator, result_of, run_of, samples_for, take_turns

NAMES = [name for name in fits.DEEP if name != "wavering"]


@pytest.fixture(autouse=True)
def longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let phases last long enough for most steps to be replayed, beyond renewals of what they are given."""
    original = fits.protocol_of
    monkeypatch.setattr(fits, "protocol_of", lambda method: original(method, steps=9))


@pytest.mark.parametrize("name", [offered(name) for name in NAMES])
def test_replayed_steps_give_the_bits_of_steps_taken_one_operation_after_another(name: str) -> None:
    method, machine = METHODS[name], TapeMachine()
    own = {"update_interval": 2} if "update_interval" in method.Params.model_fields else {}
    own |= {"check_interval": 2} if "check_interval" in method.Params.model_fields else {}
    x, engine = samples_for(method), Captured(machine)
    expected = [alone(method, x, replicate, **own) for replicate in range(2)]
    histories, fitted = [History(), History()], [estimator(method, **own) for _ in range(2)]
    runs = [run_of(method, r, history) for r, history in enumerate(histories)]
    assert take_turns([f.fitting(x, run=run) for f, run in zip(fitted, runs, strict=True)], engine) == {}
    print(name, engine.reasons)
    assert set(engine.reasons.values()) == {""}, engine.reasons
    for number in range(2):
        assert result_of(fitted[number], histories[number]) == expected[number], number
