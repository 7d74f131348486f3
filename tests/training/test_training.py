"""The training loop on objectives small enough to follow by hand, in float64 NumPy."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.spec import Budget, Clip, Optimiser, Phase, Protocol
from benchmark.streams import Streams
from benchmark.training import Batch, Diverged, Hook, Objective, RunContext, TrainingPhase, clip_gradients, run_phase
from benchmark.training.optimisation import build_optimiser, set_learning_rate

torch.set_num_threads(1)

X = np.random.default_rng(0).standard_normal((50, 3))
Y = X @ [1.0, -2.0, 0.5] + 0.1 * np.random.default_rng(1).standard_normal(50)
SGD = Optimiser(name="sgd", lr=0.05)


def epochs(amount: int) -> Budget:
    return Budget(unit="epochs", amount=amount)


def steps(amount: int) -> Budget:
    return Budget(unit="steps", amount=amount)


class Weight(nn.Module):
    """A single weight vector."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(size, dtype=torch.float64))


class LeastSquares:
    """A linear model whose terms are `fit`, the mean squared error, and `size`, the squared weights (times 0.1)."""

    def __init__(self, n: int = 10, objectives: Any = None, name: str = "train", **spec: Any) -> None:
        self.x, self.y = torch.tensor(X[:n]), torch.tensor(Y[:n])
        self.model = Weight(3)
        self.batches: list[list[int]] = []
        self.objective = Objective(list(self.model.parameters()), {"fit": 1.0, "size": 0.1})
        self.spec = Phase(**{"optimiser": SGD, "batch_size": 4, "keep": "last", "evaluate_every": 1} | spec)
        self.name = name

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        assert torch.equal(batch.x, self.x[batch.index])
        error = batch.x @ self.model.w - self.y[batch.index]
        return {"fit": error.square().mean(), "size": self.model.w.square().sum()}

    def forward(self, model: Weight, batch: Batch) -> tuple[dict[str, Tensor], Tensor | None]:
        assert model is self.model and model.training == torch.is_grad_enabled()
        if model.training:
            self.batches.append(batch.index.tolist())
        return self.terms(batch), nn.functional.one_hot(batch.index % 3, 3)

    def train(self, streams: Streams | None = None, hooks: Any = (), stop: Any = None, **context: Any) -> Any:
        phase = TrainingPhase(self.name, self.spec, self.model, [self.objective], self.forward, hooks=hooks, stop=stop)
        self.snapshots: list[Any] = []
        observers = (self.snapshots.append, *context.pop("observers", ()))
        return run_phase(
            phase, self.x, RunContext(streams or Streams("toy", 0), Protocol(), observers=observers, **context)
        )


def loss_by_hand(w: np.ndarray, index: list[int]) -> float:
    return float(((X[index] @ w - Y[index]) ** 2).mean() + 0.1 * (w**2).sum())


def trajectory_by_hand(spec: Optimiser, batches: list[list[int]], norm: float = math.inf) -> tuple[np.ndarray, list]:
    """Return the weights after all batches, and the loss before each step."""
    w, first, second, losses = np.zeros(3), np.zeros(3), np.zeros(3), []
    for t, index in enumerate(batches, start=1):
        losses.append(loss_by_hand(w, index))
        gradient = 2 * X[index].T @ (X[index] @ w - Y[index]) / len(index) + 0.2 * w
        gradient = gradient * min(1.0, norm / np.linalg.norm(gradient))
        lr = spec.lr * spec.decay ** ((t - 1) // spec.decay_every) if spec.decay_every else spec.lr
        if spec.name == "sgd":
            first = spec.momentum * first + gradient
            w = w - lr * first
        else:
            first = spec.beta1 * first + (1 - spec.beta1) * gradient
            second = spec.beta2 * second + (1 - spec.beta2) * gradient**2
            corrected = np.sqrt(second / (1 - spec.beta2**t)) + spec.eps
            w = w - lr * first / (1 - spec.beta1**t) / corrected
    return w, losses


@pytest.mark.parametrize(
    "optimiser",
    [
        Optimiser(name="sgd", lr=0.05),
        Optimiser(name="sgd", lr=0.05, momentum=0.9),
        Optimiser(name="sgd", lr=0.05, momentum=0.9, decay=0.1, decay_every=5),
        Optimiser(name="adam", lr=0.1),
        Optimiser(name="adam", lr=0.1, decay=0.5, decay_every=2),
        Optimiser(name="adam", lr=0.1, beta1=0.5, beta2=0.8, eps=0.3),
    ],
)
@pytest.mark.parametrize("norm", [math.inf, 0.7])
def test_weights_follow_the_optimiser_as_calculated_by_hand(optimiser, norm):
    clip = Clip() if norm == math.inf else Clip(kind="tensor", norm=norm)
    task = LeastSquares(optimiser=optimiser, clip=clip, budget=epochs(6))
    result = task.train()
    w, losses = trajectory_by_hand(optimiser, task.batches, norm)
    np.testing.assert_allclose(task.model.w.detach().numpy(), w, rtol=1e-12)
    np.testing.assert_allclose(result.first_losses, losses[:5], rtol=1e-12)
    assert len(task.batches) == 12


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("none", ([3.0, 4.0], [0.6, 0.8])),
        ("tensor", ([1.2, 1.6], [0.6, 0.8])),
        ("global", ([6 / math.sqrt(26), 8 / math.sqrt(26)], [1.2 / math.sqrt(26), 1.6 / math.sqrt(26)])),
    ],
)
def test_gradients_are_clipped_by_norm(kind, expected):
    parameters = [nn.Parameter(torch.zeros(2, dtype=torch.float64)) for _ in range(3)]
    parameters[0].grad = torch.tensor([3.0, 4.0], dtype=torch.float64)
    parameters[1].grad = torch.tensor([0.6, 0.8], dtype=torch.float64)
    clip_gradients(parameters, Clip(kind=kind, norm=2.0))
    for parameter, value in zip(parameters, expected, strict=False):
        np.testing.assert_allclose(parameter.grad.numpy(), value, rtol=1e-12)
    assert parameters[2].grad is None


@pytest.mark.parametrize("kind", ["tensor", "global"])
def test_gradients_within_the_norm_and_zero_gradients_stay_as_they_are(kind):
    for gradient in (torch.tensor([0.3, -0.4]), torch.zeros(2)):
        parameter = nn.Parameter(torch.zeros(2))
        parameter.grad = gradient.clone()
        clip_gradients([parameter], Clip(kind=kind, norm=0.5))
        assert torch.equal(parameter.grad, gradient)


@pytest.mark.parametrize(
    ("budget", "drop_last", "sizes", "done"),
    [
        (epochs(3), True, [4, 4] * 3, 3),
        (epochs(2), False, [4, 4, 2] * 2, 2),
        (steps(5), True, [4] * 5, 2),
        (steps(4), False, [4, 4, 2, 4], 1),
    ],
)
def test_a_budget_counts_epochs_or_steps(budget, drop_last, sizes, done):
    task = LeastSquares(budget=budget, drop_last=drop_last)
    result = task.train()
    assert [len(batch) for batch in task.batches] == sizes
    assert (result.steps, result.epochs) == (len(sizes), done)


def test_a_budget_of_nothing_evaluates_the_initial_weights_and_changes_nothing():
    task = LeastSquares(budget=epochs(0), keep="best")
    result = task.train()
    assert task.batches == []
    assert result.kept is result.last
    assert (result.steps, result.epochs, result.first_losses, result.last.step) == (0, 0, (), 0)
    assert torch.equal(task.model.w, torch.zeros(3, dtype=torch.float64))


def test_fewer_samples_than_a_batch_are_refused_unless_partial_batches_count():
    with pytest.raises(ValueError, match=r"^3 samples do not fill one batch of 4: use a smaller batch_size\.$"):
        LeastSquares(n=3).train()
    task = LeastSquares(n=3, drop_last=False, budget=epochs(2))
    task.train()
    assert [sorted(batch) for batch in task.batches] == [[0, 1, 2]] * 2


def test_shuffled_batches_show_every_sample_once_an_epoch_in_a_new_order():
    task = LeastSquares(budget=epochs(3), drop_last=False)
    task.train()
    orders = [list(chain(*task.batches[i : i + 3])) for i in (0, 3, 6)]
    assert [sorted(order) for order in orders] == [list(range(10))] * 3
    assert len({tuple(order) for order in orders}) == 3


def test_fixed_batches_come_in_the_order_of_the_data_and_full_batches_hold_all():
    fixed, full = (LeastSquares(budget=epochs(2), sampler=sampler) for sampler in ("fixed", "full"))
    fixed.train()
    full.train()
    assert fixed.batches == [[0, 1, 2, 3], [4, 5, 6, 7]] * 2
    assert full.batches == [list(range(10))] * 2


def test_batches_depend_on_the_replicate_and_the_phase_and_on_nothing_else():
    def batches(replicate: int = 0, name: str = "train", **spec: Any) -> list[list[int]]:
        task = LeastSquares(name=name, budget=epochs(2), **spec)
        task.train(Streams("toy", replicate))
        return task.batches

    alone = batches()
    torch.rand(3)
    assert batches() == alone
    assert batches(optimiser=Optimiser(), clip=Clip(kind="global"), evaluate_every=2, keep="best") == alone
    assert batches(replicate=1) != alone
    assert batches(name="pretrain") != alone


def test_hooks_run_before_every_so_many_steps_from_the_first():
    task, events = LeastSquares(budget=steps(5)), []
    task.train(hooks=[Hook(2, lambda step: events.append(("two", step, len(task.batches)))), Hook(3, events.append)])
    assert events == [("two", 0, 0), 0, ("two", 2, 2), 3, ("two", 4, 4)]


def test_stop_is_asked_before_every_step_and_ends_the_phase_with_an_evaluation():
    task, asked = LeastSquares(budget=epochs(9), evaluate_every=5), []
    result = task.train(stop=lambda done: asked.append(done) or done == 3)
    assert asked == [0, 1, 2, 3]
    assert [snapshot.step for snapshot in task.snapshots] == [0, 3]
    assert (result.steps, result.last.step, len(task.batches)) == (3, 3, 3)


def test_a_phase_without_clusters_shows_losses_and_no_assignments():
    plain, blind = LeastSquares(budget=epochs(2)), LeastSquares(budget=epochs(2))
    blind.forward = lambda model, batch: (blind.terms(batch), None)
    kept = [task.train().kept for task in (plain, blind)]
    assert [(s.step, s.total) for s in plain.snapshots] == [(s.step, s.total) for s in blind.snapshots]
    assert [s.assignments for s in blind.snapshots] == [None] * 3 and kept[1].assignments is None
    assert all(s.assignments is not None for s in plain.snapshots)


def test_objectives_are_stepped_in_order_each_with_its_own_optimiser():
    generator, critic = Weight(1), Weight(1)
    with torch.no_grad():
        generator.w.fill_(1.0)
        critic.w.fill_(3.0)
    model = nn.ModuleList([generator, critic])
    first = Objective(list(generator.parameters()), {"a": 2.0})
    second = Objective(list(critic.parameters()), {"b": 1.0}, Optimiser(name="sgd", lr=0.25))

    def forward(model: nn.ModuleList, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        generator, critic = model
        terms = {"a": (generator.w * critic.w).sum(), "b": (critic.w - generator.w).square().sum()}
        return terms, torch.ones(len(batch.x), 2)

    spec = Phase(optimiser=Optimiser(name="sgd", lr=0.1), sampler="full", budget=steps(3), keep="last")
    phase = TrainingPhase("train", spec, model, [first, second], forward)
    result = run_phase(phase, torch.tensor(X), RunContext(Streams("toy", 0), Protocol()))
    g, c, losses = 1.0, 3.0, []
    for _ in range(3):
        losses.append(2 * g * c)
        g -= 0.1 * 2 * c
        c -= 0.25 * 2 * (c - g)
    np.testing.assert_allclose([generator.w.item(), critic.w.item()], [g, c], rtol=1e-12)
    np.testing.assert_allclose(result.first_losses, losses, rtol=1e-12)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_training_loss_that_is_not_finite_ends_the_run_within_the_epoch(value):
    task = LeastSquares(budget=epochs(5), drop_last=False, evaluate_every=5)
    forward = task.forward

    def breaks(model: Weight, batch: Batch) -> tuple[dict[str, Tensor], Tensor | None]:
        terms, assignments = forward(model, batch)
        return terms if len(task.batches) != 4 else {**terms, "fit": terms["fit"] * value}, assignments

    task.forward = breaks
    with pytest.raises(Diverged, match="by step 6 of phase 'train'"):
        task.train()
    assert len(task.batches) == 6


def test_reports_of_progress_grow_to_the_whole_budget():
    for spec in ({"budget": epochs(30)}, {"budget": steps(147), "n": 50, "batch_size": 1}):
        task, reports = LeastSquares(**spec), []
        task.train(progress=lambda *report, reports=reports: reports.append(report))
        done = [step for _, step, _ in reports]
        assert {(name, total) for name, _, total in reports} == {("train", len(task.batches))}
        assert done == sorted(done)
        assert done[0] <= 20
        assert max(np.diff(done)) <= 20
        assert done[-1] == len(task.batches)


def test_momentum_rises_linearly_over_the_burn_in():
    spec = Optimiser(name="sgd", lr=0.05, momentum=0.8, momentum_burnin=4)
    task = LeastSquares(optimiser=spec, budget=epochs(4))
    task.train()
    w, velocity = np.zeros(3), np.zeros(3)
    for t, index in enumerate(task.batches):
        gradient = 2 * X[index].T @ (X[index] @ w - Y[index]) / len(index) + 0.2 * w
        velocity = 0.8 * min(1.0, t / 4) * velocity + gradient
        w = w - 0.05 * velocity
    np.testing.assert_allclose(task.model.w.detach(), w, rtol=1e-9)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_parameters_of_one_dimension_have_the_rate_of_biases(name):
    layer = nn.Linear(3, 2)
    spec = Optimiser(name=name, lr=0.1, bias_rate=2.0, decay=0.5, decay_every=1)
    optimiser = build_optimiser(spec, list(layer.parameters()))
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert (rates[id(layer.weight)], rates[id(layer.bias)]) == (0.1, 0.2)
    set_learning_rate(optimiser, spec, 1)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert (rates[id(layer.weight)], rates[id(layer.bias)]) == (0.05, 0.1)
