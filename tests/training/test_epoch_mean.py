"""The mean of an epoch's training losses as what stops and keeps, and best weights only where a run stopped early."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.spec import Budget, Optimiser, Phase, Protocol
from benchmark.streams import Streams
from benchmark.training import Batch, Objective, PhaseResult, RunContext, TrainingPhase, run_phase

N, BATCH = 10, 4
"""Ten samples in batches of 4, 4 and 2."""


class Scripted(nn.Module):
    """Its training losses follow a script, whatever it learns, and its evaluations another; it counts its steps."""

    def __init__(self, training: list[float], evaluation: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.losses, self.evaluations = training, evaluation

    def loss(self, batch: Batch) -> Tensor:
        step = int(self.steps)
        if self.training:
            self.steps += 1
            return self.losses[step] + 0 * self.weight.sum()
        return torch.tensor(self.evaluations[step // 3])


def follow(training: list[float], evaluation: list[float] | None = None, **spec: Any) -> tuple[PhaseResult, Scripted]:
    epochs = len(training) // 3
    model = Scripted(training, evaluation or [5.0] * (epochs + 1))
    values = {"batch_size": BATCH, "drop_last": False, "budget": Budget(amount=epochs), "evaluate_every": 1}
    phase_spec = Phase(optimiser=Optimiser(name="sgd", lr=1.0), **(values | spec))

    def forward(model: Scripted, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        return {"loss": model.loss(batch)}, torch.eye(2)[batch.index % 2]

    phase = TrainingPhase("train", phase_spec, model, [Objective(list(model.parameters()), {"loss": 1.0})], forward)
    x = torch.from_numpy(np.zeros((N, 1), dtype=np.float32))
    return run_phase(phase, x, RunContext(Streams("toy", 0), Protocol())), model


SECOND_IS_BEST = [6.0, 6.0, 6.0, 1.0, 2.0, 3.0, 4.0, 4.0, 4.0, 5.0, 5.0, 5.0]


def test_the_mean_weighs_each_batch_by_its_size():
    result, _ = follow(SECOND_IS_BEST[:6], monitor="epoch_mean")
    assert result.last.epoch_mean == pytest.approx((4 * 1 + 4 * 2 + 2 * 3) / 10)


def test_batches_that_are_dropped_have_no_part_in_it():
    result, _ = follow([1.0, 2.0] * 3, monitor="epoch_mean", drop_last=True, budget=Budget(amount=2))
    assert result.last.epoch_mean == pytest.approx(1.5)


def test_the_weights_of_the_epoch_with_the_lowest_mean_are_kept_whatever_evaluations_say():
    falling = [9.0, 8.0, 7.0, 6.0, 5.0]
    assert int(follow(SECOND_IS_BEST, falling, monitor="epoch_mean")[1].steps) == 6
    assert int(follow(SECOND_IS_BEST, falling)[1].steps) == 12


@pytest.mark.parametrize(("keep", "steps"), [("best", 6), ("last", 9), ("best-if-stopped", 6)])
def test_patience_counts_from_the_lowest_mean(keep, steps):
    result, model = follow(SECOND_IS_BEST, monitor="epoch_mean", patience=1, keep=keep)
    assert result.epochs == 3
    assert int(model.steps) == steps
    assert result.kept.step == steps


def test_a_run_that_was_not_stopped_keeps_its_last_weights_where_the_best_are_for_stopped_ones():
    result, model = follow(SECOND_IS_BEST, monitor="epoch_mean", patience=5, keep="best-if-stopped")
    assert int(model.steps) == result.kept.step == 12
    assert result.kept is result.last
