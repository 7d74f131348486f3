"""Fits that take turns in one process: each gives the bits that it gives alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import methods
from benchmark.execution.checkpoints import Frequency, RunCheckpoints
from benchmark.registry import METHODS, NETWORKS, load_plugins
from benchmark.spec import Budget, Protocol
from benchmark.streams import Streams
from benchmark.training import DeepClusterer, RunContext
from benchmark.training.engines.lanes import Engine, Turns, interleaved
from benchmark.training.stepping import Step
from methods.parts.recurrent_networks import SequenceNetwork
from tests.support import wavering
from tests.support.narrow import narrow_networks
from tests.support.offered import offered

load_plugins()

DEEP = sorted(name for name, method in METHODS.items() if issubclass(method, DeepClusterer))
OWN = {"initialisation": "glorot"}


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let networks be narrow: turns are the same in these."""
    narrow_networks(monkeypatch)


def protocol_of(method: type[DeepClusterer[Any, Any]], steps: int = 5) -> Protocol:
    """Return the default protocol of a method with phases of a few steps."""
    short = {"budget": Budget(unit="steps", amount=steps), "evaluate_every": 2, "batch_size": 20}
    phases = {name: phase.model_copy(update=short) for name, phase in method.default_protocol.phases.items()}
    return Protocol(phases=phases)


def samples_for(method: type[DeepClusterer[Any, Any]]) -> np.ndarray:
    network = method.Params.model_fields.get("network")
    vectors = network is None or isinstance(NETWORKS[network.default], type(NETWORKS["mlp-dec"]))
    sequences = network is not None and isinstance(NETWORKS[network.default], SequenceNetwork)
    shape = (60, 12, 12) if sequences else (60, 144) if vectors else (60, 1, 28, 28)
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def estimator(method: type[DeepClusterer[Any, Any]], **own: Any) -> DeepClusterer[Any, Any]:
    known = {key: value for key, value in OWN.items() if key in method.Params.model_fields}
    return method(n_clusters=5, **known, **own)


class History:
    """An observer that keeps what it sees, and draws from the global generator."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def __call__(self, snapshot: Any) -> None:
        torch.rand(3)
        labels = None if snapshot.assignments is None else snapshot.assignments.tolist()
        self.rows.append([snapshot.phase, snapshot.step, snapshot.total, dict(snapshot.terms), labels])

    def memory(self) -> Any:
        return self.rows

    def recall(self, memory: Any) -> None:
        self.rows = [list(row) for row in memory]


def run_of(method: type[DeepClusterer[Any, Any]], replicate: int, history: History, **more: Any) -> RunContext:
    return RunContext(Streams("toy", replicate), protocol_of(method), observers=(history,), **more)


def result_of(fitted: DeepClusterer[Any, Any], history: History) -> list[Any]:
    state = [value.numpy().tobytes() for value in fitted.model_.state_dict().values()]
    return [state, fitted.labels_.tobytes(), fitted.embedding_.tobytes(), fitted.outcome_, history.rows]


def alone(method: type[DeepClusterer[Any, Any]], x: np.ndarray, replicate: int, **own: Any) -> list[Any]:
    history = History()
    return result_of(estimator(method, **own).fit(x, run=run_of(method, replicate, history)), history)


def caught(fit: Turns[None]) -> Turns[BaseException | None]:
    """Return what a fit raises, None where it comes to its end."""
    try:
        yield from fit
    except Exception as error:
        return error
    return None


def take_turns(fits: list[Any], engine: Engine | None = None) -> dict[int, BaseException]:
    """Let the fits take turns until all have ended; return the errors of those that raised."""
    ends = interleaved({number: caught(fit) for number, fit in enumerate(fits)}, engine)
    return {number: error for number, error in ends if error is not None}


class Fails(History):
    """An observer that raises in the last phase that it hears of, after its first step."""

    def __init__(self, phase: str) -> None:
        super().__init__()
        self.phase = phase

    def __call__(self, snapshot: Any) -> None:
        torch.rand(7)
        if snapshot.phase == self.phase and snapshot.step:
            raise RuntimeError("lost")


def kept(folder: Path) -> RunCheckpoints:
    """Return checkpoints after every step."""
    every = Frequency(seconds=0.0)
    return RunCheckpoints(folder, "run", {"run_id": "r"}, every=every, asked=lambda: False, note=print)


@pytest.mark.parametrize("name", [offered(name) for name in DEEP])
def test_fits_that_take_turns_give_the_bits_of_each_alone_beside_one_that_raises(name: str, tmp_path: Path) -> None:
    method = wavering.Wavering if name == "wavering" else METHODS[name]
    x = samples_for(method)
    expected = [alone(method, x, replicate) for replicate in range(2)]
    histories = [History(), History(), Fails(expected[0][-1][-1][0])]
    fitted = [estimator(method) for _ in range(3)]
    phases = {row[0] for row in expected[1][-1]}
    begun = estimator(method).fitting(x, run=run_of(method, 1, History(), checkpoints=kept(tmp_path)))
    for step in islice(begun, 5 * len(phases) - 2):
        step.take()
    begun.close()  # interrupted in its last phase; the last checkpoint is on disk
    torch.manual_seed(5)
    outside = torch.rand(4)
    torch.manual_seed(5)
    runs = [run_of(method, number, history) for number, history in enumerate(histories)]
    runs[1] = replace(runs[1], checkpoints=(found := kept(tmp_path)))
    errors = take_turns([f.fitting(x, run=run) for f, run in zip(fitted, runs, strict=True)])
    assert list(errors) == [2] and str(errors[2]) == "lost"
    assert torch.equal(torch.rand(4), outside)  # the generator of everybody else is as it was
    assert found.resumed == 1
    for number in range(2):
        assert result_of(fitted[number], histories[number]) == expected[number], number


class Breaks(nn.Module):
    """A layer that raises when it was called so often."""

    def __init__(self, layer: nn.Module, calls: int) -> None:
        super().__init__()
        self.layer, self.left = layer, calls

    def forward(self, x: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("broken in a step")
        return self.layer(x)


def test_what_a_step_raises_is_raised_where_it_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    x, method = samples_for(wavering.Wavering), wavering.Wavering
    expected = [alone(method, x, replicate) for replicate in range(2)]
    build = method.build

    def broken(self: Any, params: Any, shape: Any, context: RunContext) -> Any:
        model = build(self, params, shape, context)
        if context.streams.replicate == 2:
            model["encoder"] = Breaks(model["encoder"], 4)
        return model

    monkeypatch.setattr(method, "build", broken)
    histories, fitted = [History() for _ in range(3)], [estimator(method) for _ in range(3)]
    fits = [f.fitting(x, run=run_of(method, r, h)) for r, (f, h) in enumerate(zip(fitted, histories, strict=True))]
    errors = take_turns(fits)
    assert list(errors) == [2] and str(errors[2]) == "broken in a step"
    for number in range(2):
        assert result_of(fitted[number], histories[number]) == expected[number], number


def test_an_engine_is_given_the_steps_that_are_due_together_and_an_end_is_told_at_once() -> None:
    log: list[Any] = []

    class Fake:
        def take(self, steps: Any) -> list[BaseException | None]:
            log.append([step.index for step in steps])
            return [ValueError("no") if step.index == "b2" else None for step in steps]

    def fit(name: str, steps: int) -> Turns[str]:
        yield None
        for number in range(1, steps + 1):
            try:
                yield Step(None, f"{name}{number}")  # type: ignore[arg-type]
            except ValueError as error:
                return f"{name}: {error}"
        return name

    ends = []
    for key, result in interleaved({name: fit(name, n) for name, n in (("a", 3), ("b", 4), ("c", 1))}, Fake()):
        ends.append((key, result))
        log.append(key)
    assert ends == [("c", "c"), ("b", "b: no"), ("a", "a")]
    assert log == [["a1", "b1", "c1"], "c", ["a2", "b2"], "b", ["a3"], "a"]


def test_fits_are_closed_when_one_raises_what_it_does_not_catch() -> None:
    closed: list[str] = []

    def fit(name: str) -> Turns[None]:
        try:
            yield None
            yield None
        finally:
            closed.append(name)

    def broken() -> Turns[None]:
        yield None
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(interleaved({"a": fit("a"), "b": broken(), "c": fit("c")}))
    assert sorted(closed) == ["a", "c"]


def test_every_public_method_can_be_fitted_step_by_step() -> None:
    x = np.random.default_rng(0).uniform(0, 1, (40, 8)).astype(np.float32)
    steps = list(methods.KMeans(n_clusters=3, random_state=1).fitting(x))
    assert steps == []  # a method without phases has none
