"""Evaluation in the training loop: when, on what, which weights are kept, and that observers change nothing."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.spec import Budget, Optimiser, Phase, Protocol
from benchmark.streams import Streams
from benchmark.training import Batch, Diverged, Objective, PhaseResult, RunContext, Snapshot, TrainingPhase, run_phase

torch.set_num_threads(1)

X = torch.tensor(np.random.default_rng(0).standard_normal((10, 3)), dtype=torch.float32)


class Counter(nn.Module):
    """A weight that grows by 1 with every step, so that it says which step it is from."""

    def __init__(self) -> None:
        super().__init__()
        self.steps_done = nn.Parameter(torch.zeros(()))


def follow(script: list[dict[str, float]] | list[float], **spec: Any) -> tuple[PhaseResult, int, list[Snapshot]]:
    """Train a `Counter` whose evaluations give the losses of `script`; return also the step kept and all snapshots."""
    terms = iter([item if isinstance(item, dict) else {"a": item} for item in script])
    model, snapshots = Counter(), []
    weights = {"a": 1.0, "b": 0.5}
    objective = Objective(list(model.parameters()), weights)

    def forward(model: Counter, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        if model.training:
            return {"a": -model.steps_done}, torch.ones(len(batch.x), 2)
        return {name: torch.tensor(value) for name, value in next(terms).items()}, torch.ones(len(batch.x), 2)

    values = {"sampler": "full", "optimiser": Optimiser(name="sgd", lr=1.0), "evaluate_every": 1}
    budget = Budget(unit="steps", amount=len(script) - 1)
    phase = TrainingPhase("train", Phase(**values | {"budget": budget} | spec), model, [objective], forward)
    context = RunContext(Streams("toy", 0), Protocol(), observers=(snapshots.append,))
    result = run_phase(phase, X, context)
    return result, round(model.steps_done.item()), snapshots


class Noisy(nn.Module):
    """A network with batch normalisation, and with dropout, which draws from the global generator."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3))
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters()):
                values = np.random.default_rng(number).standard_normal(tuple(parameter.shape))
                parameter.copy_(torch.tensor(values, dtype=torch.float32))
        self.calls: list[tuple[bool, bool, list[int]]] = []

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        self.calls.append((self.training, torch.is_grad_enabled(), batch.index.tolist()))
        return {"error": (self.layers(batch.x) - batch.x).square().mean(), "mean": batch.x.mean() ** 2}


def train_noisy(
    *observers: Callable[[Snapshot], None], amount: int = 4, **spec: Any
) -> tuple[PhaseResult, Noisy, Tensor]:
    """Train a `Noisy` from one state of the global generator; return also the state that it is left in."""
    model = Noisy()
    objective = Objective(list(model.parameters()), {"error": 1.0, "mean": 0.5})
    budget = Budget(unit="epochs", amount=amount)
    phase_spec = Phase(**{"batch_size": 4, "evaluate_every": 1, "budget": budget, "monitor": "error"} | spec)

    def forward(model: Noisy, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        return model.terms(batch), nn.functional.one_hot(batch.index % 3, 3)

    phase = TrainingPhase("train", phase_spec, model, [objective], forward)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        result = run_phase(phase, X, RunContext(Streams("toy", 0), Protocol(), observers=observers))
        return result, model, torch.get_rng_state()


def draws(snapshot: Snapshot) -> None:
    torch.rand(5)
    torch.manual_seed(99)


def trains_the_model_it_gets(snapshot: Snapshot) -> None:
    model = snapshot.model()
    model.train()
    model.layers(10 * X).sum().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()


def writes_into_what_it_gets(snapshot: Snapshot) -> None:
    with contextlib.suppress(ValueError):  # read-only arrays
        snapshot.assignments[:] = 7
    with contextlib.suppress(TypeError):  # read-only mappings
        snapshot.terms["error"] = -1.0


@pytest.mark.parametrize(
    ("unit", "amount", "every", "steps", "epochs"),
    [
        ("epochs", 4, 1, [0, 2, 4, 6, 8], [0, 1, 2, 3, 4]),
        ("epochs", 5, 2, [0, 4, 8, 10], [0, 2, 4, 5]),
        ("epochs", 2, 9, [0, 4], [0, 2]),
        ("steps", 7, 3, [0, 3, 6, 7], [0, 1, 3, 3]),
        ("steps", 6, 3, [0, 3, 6], [0, 1, 3]),
        ("epochs", 0, 1, [0], [0]),
    ],
)
def test_evaluations_are_before_the_first_step_at_every_interval_and_after_the_last(unit, amount, every, steps, epochs):
    seen: list[Snapshot] = []
    train_noisy(seen.append, budget=Budget(unit=unit, amount=amount), evaluate_every=every)
    assert [(s.step, s.epoch, s.phase) for s in seen] == [(a, b, "train") for a, b in zip(steps, epochs, strict=True)]


@pytest.mark.parametrize("drop_last", [True, False])
def test_losses_are_means_over_full_batches_and_assignments_cover_all_samples(drop_last):
    seen: list[Snapshot] = []
    result, model, _ = train_noisy(seen.append, drop_last=drop_last)
    evaluated = [index for training, _, index in model.calls if not training]
    assert len(evaluated) == 3 * len(seen)
    for number, snapshot in enumerate(seen):
        parts = evaluated[3 * number : 3 * number + 3]
        assert [len(part) for part in parts] == [4, 4, 4]
        assert sorted([*chain(*parts[:2]), *parts[2][2:]]) == list(range(10))
        assert parts[2][:2] == parts[1][2:]
        expected = np.mean([float(X.double()[part].mean()) ** 2 for part in parts[:2]])
        assert snapshot.terms["mean"] == pytest.approx(expected, rel=1e-5)
        assert snapshot.total == pytest.approx(snapshot.terms["error"] + 0.5 * snapshot.terms["mean"], rel=1e-6)
        np.testing.assert_array_equal(snapshot.assignments, np.arange(10) % 3)
    assert result.last.total == seen[-1].total


def test_evaluation_is_in_inference_mode_without_gradients_and_in_one_order():
    model = train_noisy()[1]
    modes = {(training, gradients) for training, gradients, _ in model.calls}
    assert modes == {(True, True), (False, False)}
    evaluated = [tuple(index) for training, _, index in model.calls if not training]
    assert set(evaluated) == set(evaluated[:3])
    assert model.training is False


def test_evaluation_changes_neither_weights_nor_batch_norm_nor_the_generator():
    result, model, generator = train_noisy(amount=0)
    fresh = Noisy().state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in model.state_dict().items())
    assert torch.equal(generator, torch.Generator().manual_seed(0).get_state())
    often, rarely = train_noisy(keep="last"), train_noisy(keep="last", evaluate_every=4)
    assert all(torch.equal(v, rarely[1].state_dict()[name]) for name, v in often[1].state_dict().items())
    assert result.kept.step == 0


@pytest.mark.parametrize("keep", ["best", "last"])
@pytest.mark.parametrize("observer", [draws, trains_the_model_it_gets, writes_into_what_it_gets])
def test_observers_change_nothing(observer, keep):
    alone, model, generator = train_noisy(keep=keep)
    watched, same, state = train_noisy(observer, keep=keep)
    assert torch.equal(generator, state)
    for name, value in model.state_dict().items():
        assert torch.equal(value, same.state_dict()[name]), name
    assert watched.first_losses == alone.first_losses
    for found, expected in ((watched.kept, alone.kept), (watched.last, alone.last)):
        assert (found.step, found.total, dict(found.terms)) == (expected.step, expected.total, dict(expected.terms))
        np.testing.assert_array_equal(found.assignments, expected.assignments)


def test_the_model_of_a_snapshot_is_a_copy_with_the_weights_of_that_step():
    models: list[nn.Module] = []
    model = train_noisy(lambda snapshot: models.append(snapshot.model()), keep="last")[1]
    fresh, last = Noisy().state_dict(), model.state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in models[0].state_dict().items())
    assert all(torch.equal(value, last[name]) for name, value in models[-1].state_dict().items())
    assert all(copy is not model for copy in models)
    assert not torch.equal(models[0].layers[0].weight, models[-1].layers[0].weight)


@pytest.mark.parametrize(
    ("losses", "kept"),
    [
        ([9, 5, 3, 4, 6], 2),
        ([9, 5, 4, 3, 2], 4),
        ([9, 5, 3, 3, 6], 2),  # of equals the first
        ([0, 5, 3, 4, 6], 2),  # the initial weights never count
        ([-1, 5], 1),
    ],
)
def test_best_keeps_the_weights_of_the_lowest_loss_after_the_first_step(losses, kept):
    result, step, _ = follow([float(loss) for loss in losses], keep="best")
    assert step == result.kept.step == kept
    assert result.kept.total == losses[kept]
    assert (result.last.step, result.last.total) == (len(losses) - 1, losses[-1])


def test_last_keeps_the_last_weights():
    result, step, _ = follow([9.0, 1.0, 3.0, 4.0], keep="last")
    assert result.kept is result.last
    assert (step, result.kept.step, result.kept.total) == (3, 3, 4.0)


def test_the_monitored_loss_can_be_a_single_term():
    script = [{"a": 0.0, "b": 0.0}, {"a": 1.0, "b": 6.0}, {"a": 5.0, "b": 2.0}, {"a": 2.0, "b": 5.0}]
    assert [follow(script, monitor=term)[1] for term in ("total", "a", "b")] == [1, 1, 2]
    assert follow(script, monitor="b")[0].kept.total == 6.0  # 5 + 0.5 * 2


@pytest.mark.parametrize("keep", ["best", "last"])
@pytest.mark.parametrize(
    ("losses", "patience", "end"),
    [
        ([9, 5, 6, 7, 8, 9, 9], 2, 3),
        ([9, 5, 6, 4, 5, 5, 5], 2, 5),
        ([9, 5, 5, 5, 5, 5, 5], 3, 4),  # equal is no decrease
        ([0, 9, 8, 7, 6, 5, 4], 1, 6),  # the initial weights do not count
        ([9, 5, 6, 7, 8, 9, 9], None, 6),
    ],
)
def test_patience_ends_a_phase_whose_loss_no_longer_decreases(losses, patience, end, keep):
    result, step, snapshots = follow([float(loss) for loss in losses], patience=patience, keep=keep)
    assert result.steps == result.last.step == end
    assert [snapshot.step for snapshot in snapshots] == list(range(end + 1))
    assert step == (min(range(1, end + 1), key=lambda i: losses[i]) if keep == "best" else end)


def test_patience_counts_in_the_unit_of_the_budget_not_in_evaluations():
    result = follow([9.0, 5.0, 6.0, 7.0, 8.0], patience=4, evaluate_every=2, budget=Budget(unit="steps", amount=8))[0]
    assert (result.steps, result.kept.step) == (6, 2)
    budget = Budget(unit="epochs", amount=8)
    spec = {"sampler": "shuffled", "batch_size": 5, "patience": 3, "evaluate_every": 2, "budget": budget}
    # Two evaluation batches for each evaluation, two steps in each epoch: best after epoch 2, out of patience at 6.
    result = follow([loss for loss in (9.0, 5.0, 6.0, 7.0, 8.0) for _ in range(2)], **spec)[0]
    assert (result.steps, result.epochs, result.kept.epoch) == (12, 6, 2)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("step", [0, 2])
def test_an_evaluation_loss_that_is_not_finite_ends_the_run(value, step):
    script = [3.0, 3.0, 3.0, 3.0]
    script[step] = value
    with pytest.raises(Diverged, match=f"at step {step} of phase 'train'"):
        follow(script)


def test_an_evaluation_that_moves_statistics_passes_every_whole_batch_in_training_mode_too():
    def statistics(moves: bool) -> tuple[Tensor, list[tuple[bool, bool, list[int]]]]:
        _, model, _ = train_noisy(amount=0, evaluation_moves_statistics=moves)
        return model.layers[1].running_mean.clone(), model.calls

    still, quiet = statistics(False)
    moved, calls = statistics(True)
    assert torch.equal(still, torch.zeros(4)) and not torch.equal(moved, still)
    assert [training for training, _, _ in quiet] == [False] * 3
    # Ten samples in batches of four: two whole ones, and one that is filled up and does not count.
    assert [training for training, _, _ in calls] == [False, True, False, True, False]
    assert all(not gradients for _, gradients, _ in calls)
