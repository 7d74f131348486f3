"""Fits that take turns in one process: each gives the bits that it gives alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import methods
from benchmark.execution.checkpoints import Frequency, RunCheckpoints
from benchmark.registry import METHODS, NETWORKS, load_plugins
from benchmark.spec import Budget, Protocol
from benchmark.streams import Streams
from benchmark.training import DeepClusterer, RunContext
from methods.parts.recurrent_networks import SequenceNetwork
from tests.support import wavering
from tests.support.offered import offered

load_plugins()

DEEP = sorted(name for name, method in METHODS.items() if issubclass(method, DeepClusterer))
OWN = {"initialisation": "glorot"}


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


def alone(method: type[DeepClusterer[Any, Any]], x: np.ndarray, replicate: int) -> list[Any]:
    history = History()
    return result_of(estimator(method).fit(x, run=run_of(method, replicate, history)), history)


def take_turns(fits: list[Iterator[Any]]) -> dict[int, BaseException]:
    """Take one step of each fit after another until all have ended; return the errors of those that raised."""
    errors: dict[int, BaseException] = {}
    going = dict(enumerate(fits))
    while going:
        for number, fit in tuple(going.items()):
            try:
                step = next(fit, None)
                if step is None:
                    del going[number]
                else:
                    step.take()
            except Exception as error:
                errors[number] = error
                del going[number]
    return errors


@pytest.mark.parametrize("name", [offered(name) for name in DEEP])
def test_fits_that_take_turns_give_the_bits_of_each_alone(name: str) -> None:
    method = METHODS[name]
    x = samples_for(method)
    expected = [alone(method, x, replicate) for replicate in range(3)]
    histories = [History() for _ in range(3)]
    fitted = [estimator(method) for _ in range(3)]
    torch.manual_seed(5)
    outside = torch.rand(4)
    torch.manual_seed(5)
    fits = [f.fitting(x, run=run_of(method, r, h)) for r, (f, h) in enumerate(zip(fitted, histories, strict=True))]
    assert take_turns(fits) == {}
    assert torch.equal(torch.rand(4), outside)  # the generator of everybody else is as it was
    for number in range(3):
        assert result_of(fitted[number], histories[number]) == expected[number], number


@pytest.mark.parametrize("name", ["ddc", "dec", "wavering"])
def test_a_fit_that_raises_leaves_the_others_as_they_are_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = wavering.Wavering if name == "wavering" else METHODS[name]
    x = samples_for(method)
    expected = [alone(method, x, replicate) for replicate in range(2)]
    histories, fitted = [History() for _ in range(3)], [estimator(method) for _ in range(3)]

    class Fails(History):
        def __call__(self, snapshot: Any) -> None:
            torch.rand(7)
            if snapshot.step:
                raise RuntimeError("lost")

    runs = [run_of(method, r, h) for r, h in enumerate([*histories[:2], Fails()])]
    errors = take_turns([f.fitting(x, run=run) for f, run in zip(fitted, runs, strict=True)])
    assert list(errors) == [2] and str(errors[2]) == "lost"
    for number in range(2):
        assert result_of(fitted[number], histories[number]) == expected[number], number


@pytest.mark.parametrize("name", ["ddc", "dec", "wavering"])
def test_a_fit_that_is_stopped_among_others_goes_on_to_the_same_bits(name: str, tmp_path: Any) -> None:
    method = wavering.Wavering if name == "wavering" else METHODS[name]
    x = samples_for(method)
    expected = [alone(method, x, replicate) for replicate in range(2)]
    histories, fitted = [History(), History()], [estimator(method), estimator(method)]

    def kept() -> RunCheckpoints:
        return RunCheckpoints(
            tmp_path, "run", {"run_id": "r"}, every=Frequency(seconds=0.0), asked=lambda: False, note=print
        )

    first = fitted[0].fitting(x, run=run_of(method, 0, histories[0], checkpoints=kept()))
    second = fitted[1].fitting(x, run=run_of(method, 1, histories[1]))
    for _ in range(3):
        next(first).take()
        next(second).take()
    first.close()  # interrupted; its last checkpoint is on disk
    again, history, found = estimator(method), History(), kept()
    resumed = again.fitting(x, run=run_of(method, 0, history, checkpoints=found))
    assert take_turns([second, resumed]) == {}
    assert found.resumed == 1
    assert result_of(again, history)[:4] == expected[0][:4]
    assert history.rows == expected[0][4]
    assert result_of(fitted[1], histories[1]) == expected[1]


def test_every_public_method_can_be_fitted_step_by_step() -> None:
    x = np.random.default_rng(0).uniform(0, 1, (40, 8)).astype(np.float32)
    steps = list(methods.KMeans(n_clusters=3, random_state=1).fitting(x))
    assert steps == []  # a method without phases has none
