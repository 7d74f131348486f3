"""Steps that are captured give the bits of steps taken one operation after another, for every method and phase."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from benchmark.registry import METHODS
from benchmark.spec import Budget, Optimiser, Phase, Protocol
from benchmark.streams import Streams
from benchmark.training import Objective, RunContext, TrainingPhase
from benchmark.training.engines.capture import WARM_STEPS, Captured
from benchmark.training.stepping import Step, Stepper
from tests.support.offered import offered
from tests.support.tape import LookingMachine, TapeMachine
from tests.training import test_interleaving as fits
from tests.training.test_interleaving import History, alone, estimator, result_of, run_of, samples_for, take_turns

NAMES = [name for name in fits.DEEP if name != "wavering"]


@pytest.fixture(autouse=True)
def longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let phases last long enough for most steps to be replayed, beyond renewals of what they are given."""
    original = fits.protocol_of
    monkeypatch.setattr(fits, "protocol_of", lambda method: original(method, steps=9))


@pytest.fixture(autouse=True)
def as_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the ways of a GPU where the CPU asks for values: pairs with a gradient, confident votes, ranges."""

    def one_hot(labels: Any, classes: int) -> Any:
        return torch.zeros(*labels.shape, classes, dtype=torch.int64).scatter_(-1, labels[..., None], 1)

    def mean_of(values: Any, chosen: Any) -> Any:
        return torch.where(chosen, values, 0).sum() / chosen.sum().clamp_min(1)

    monkeypatch.setattr("methods.parts.projectors._few_pairs", lambda grad: None)
    monkeypatch.setattr("methods.parts.subspaces.pseudo_supervision._mean_of", mean_of)
    monkeypatch.setattr(torch.nn.functional, "one_hot", one_hot)


QUICK = ("ae-k-means", "context-prediction", "ddc-uco-t", "dynae", "idec", "pssc", "rddc")
"""Methods that between them have all kinds of phases, hooks, draws and layers."""


SLOW = [pytest.param(*offered(n).values, marks=[pytest.mark.slow, *offered(n).marks]) for n in NAMES if n not in QUICK]


@pytest.mark.parametrize("name", [*QUICK, *SLOW])
def test_replayed_steps_give_the_bits_of_steps_taken_one_operation_after_another(name: str) -> None:
    method, machine = METHODS[name], TapeMachine()
    own = {"update_interval": 2} if "update_interval" in method.Params.model_fields else {}
    own |= {"check_interval": 2} if "check_interval" in method.Params.model_fields else {}
    x, engine = samples_for(method), Captured(machine)
    expected = [alone(method, x, replicate, **own) for replicate in range(2)]
    histories, fitted = [History(), History()], [estimator(method, **own) for _ in range(2)]
    runs = [run_of(method, r, history) for r, history in enumerate(histories)]
    assert take_turns([f.fitting(x, run=run) for f, run in zip(fitted, runs, strict=True)], engine) == {}
    assert set(engine.reasons.values()) == {""}, engine.reasons
    for number in range(2):
        assert result_of(fitted[number], histories[number]) == expected[number], number
    joins = [(place, lanes) for place, lanes in enumerate(machine.log) if isinstance(lanes, tuple)]
    assert max(len(lanes) for _, lanes in joins) == 2  # both at once, each on its own lane
    assert all(machine.log[place - len(lanes) : place] == list(lanes) for place, lanes in joins)


@pytest.mark.parametrize("name", [offered(name) for name in NAMES])
def test_the_memory_that_a_captured_step_uses_stays_its_own(name: str) -> None:
    """As a graph goes on to read and write it, whoever has it by then: so did ACAI's critic with its gradients."""
    method, engine = METHODS[name], Captured(LookingMachine())
    fitted, run = estimator(method), run_of(method, 0, History())
    assert take_turns([fitted.fitting(samples_for(method), run=run)], engine) == {}
    assert set(engine.reasons.values()) == {""}, engine.reasons


class Line(nn.Module):
    """A model of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))


def stepper_of(forward: Any, *, steady: bool = True, **changes: Any) -> Stepper:
    model = Line()
    spec = Phase(batch_size=4, budget=Budget(unit="steps", amount=20), **changes)
    phase = TrainingPhase("toy", spec, model, [Objective([model.weight], {"loss": 1.0})], forward, steady=steady)
    return Stepper(phase, torch.arange(8.0)[:, None], RunContext(Streams("toy", 0), Protocol(phases={"toy": spec})))


def taken(stepper: Stepper, steps: int, machine: TapeMachine | None = None) -> Captured:
    engine, index = Captured(machine or TapeMachine()), torch.tensor([0, 3, 1, 2])
    for _ in range(steps):
        assert engine.take([Step(stepper, index)]) == [None]
    return engine


def plainly(model: Any, batch: Any) -> Any:
    return {"loss": (model.weight * batch.x).square().mean()}, None


def test_a_step_is_captured_after_so_many_and_never_called_again() -> None:
    calls: list[int] = []

    def forward(model: Any, batch: Any) -> Any:
        calls.append(1)
        return plainly(model, batch)

    stepper = stepper_of(forward)
    assert taken(stepper, 12).reasons == {"toy": ""}
    assert len(calls) == WARM_STEPS + 1 and stepper.steps == 12 and len(stepper.first) == 5
    other = stepper_of(plainly)
    for _ in range(12):
        other.take(torch.tensor([0, 3, 1, 2]))
    assert torch.equal(other.phase.model.weight, stepper.phase.model.weight)
    assert [float(value) for value in stepper.first] == [float(value) for value in other.first]


def asks(model: Any, batch: Any) -> Any:
    return {"loss": plainly(model, batch)[0]["loss"] * float(batch.x.max())}, None


def draws_itself(model: Any, batch: Any) -> Any:
    return {"loss": plainly(model, batch)[0]["loss"] * torch.rand(1).sum()}, None


def changing() -> Any:
    count = iter(range(100))

    def forward(model: Any, batch: Any) -> Any:
        return {"loss": plainly(model, batch)[0]["loss"] * (1.0 + next(count))}, None

    return forward


@pytest.mark.parametrize(
    ("forward", "steady", "reason"),
    [
        (asks, True, "asks the device for a value"),
        (draws_itself, True, "draws from a generator"),
        (changing(), True, "change from step to step"),
        (plainly, False, "not said to be steady"),
    ],
)
def test_what_cannot_be_captured_is_taken_one_operation_after_another(forward: Any, steady: bool, reason: str) -> None:
    stepper = stepper_of(forward, steady=steady)
    assert reason in taken(stepper, 8).reasons["toy"] and stepper.steps == 8


def test_another_learning_rate_is_captured_anew() -> None:
    changes = {"optimiser": Optimiser(name="sgd", lr=0.01, momentum=0.5, decay=0.1, decay_every=6)}
    stepper, other = stepper_of(plainly, **changes), stepper_of(plainly, **changes)
    taken(stepper, 15)
    for _ in range(15):
        other.take(torch.tensor([0, 3, 1, 2]))
    assert torch.equal(other.phase.model.weight, stepper.phase.model.weight)


def test_a_step_that_raises_leaves_those_beside_it() -> None:
    def broken(model: Any, batch: Any) -> Any:
        raise RuntimeError("a pity")

    engine, index = Captured(TapeMachine()), torch.tensor([0, 1, 2, 3])
    first, second = stepper_of(plainly), stepper_of(broken)
    none, error = engine.take([Step(first, index), Step(second, index)])
    assert none is None and str(error) == "a pity" and first.steps == 1
