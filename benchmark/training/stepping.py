"""The steps of a phase: batches from named streams, and for each one a step of every objective, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.spec import batches_per_epoch
from benchmark.training.optimisation import build_optimiser, clip_gradients, set_learning_rate
from benchmark.training.phases import Batch, Diverged, RunContext, TrainingPhase

EPOCH_MEAN = "epoch_mean"
"""What a phase monitors that looks at the training losses of an epoch, not at those of an evaluation."""

FIRST_STEPS = 5
"""How many losses of the first steps a phase reports, for comparison between machines."""


@dataclass(frozen=True)
class Step:
    """A step that is due, of a fit that waits for it: `take` makes it.

    `within` holds what the step must find as its fit left it: the global generators, when several fits take turns.
    """

    stepper: Stepper
    index: Tensor
    within: AbstractContextManager[None] | None = None

    def take(self) -> None:
        """Train on the batch of the step."""
        with self.within or nullcontext():
            self.stepper.take(self.index)


def step_of(optimiser: torch.optim.Optimizer) -> None:
    """Step an optimiser."""
    optimiser.step()


class Stepper:
    """Takes the steps of one phase on the samples `x` (n, ...), and keeps what they leave: optimisers and losses."""

    def __init__(self, phase: TrainingPhase, x: Tensor, context: RunContext) -> None:
        self.phase, self.x, self.lengths, spec = phase, x, context.lengths, phase.spec
        self.per_epoch = batches_per_epoch(spec, len(x))
        amount = spec.budget.amount
        self.total = amount * self.per_epoch if spec.budget.unit == "epochs" else amount
        self.rates = [objective.optimiser or spec.optimiser for objective in phase.objectives]
        self.optimisers = [
            build_optimiser(rate, objective.parameters)
            for rate, objective in zip(self.rates, phase.objectives, strict=True)
        ]
        self.batches = context.streams.torch(f"batches:{phase.name}")
        self.epoch_state = self.batches.get_state()
        self.steps = 0
        self.finite = torch.ones((), dtype=torch.bool, device=x.device)
        self.last = torch.zeros((), device=x.device)
        self.first: list[Tensor] = []
        self.epoch_sum = torch.zeros((), dtype=torch.float64, device=x.device)
        self.epoch_mean: float | None = None

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return self.steps // self.per_epoch

    @property
    def unit(self) -> int:
        """How many steps one unit of the budget has."""
        return self.per_epoch if self.phase.spec.budget.unit == "epochs" else 1

    def indices(self) -> Iterator[Tensor]:
        """Yield the positions (b,) of each batch that the epoch still has, in its order."""
        n, size = len(self.x), self.phase.spec.batch_size
        if self.phase.spec.sampler == "full":
            order, size = torch.arange(n), n
        elif self.phase.spec.sampler == "fixed":
            order = torch.arange(n)
        else:
            self.epoch_state = self.batches.get_state()
            order = torch.randperm(n, generator=self.batches)
        order = order.to(self.x.device)
        for number in range(self.steps % self.per_epoch, self.per_epoch):
            yield order[number * size : (number + 1) * size]

    def take(self, index: Tensor) -> None:
        """Step every objective on the samples at `index` (b,)."""
        self.prepare()
        self.compute(index)
        self.conclude()

    def prepare(self) -> None:
        """Do what comes before the computation of a step and is no part of it."""
        self.phase.model.train()
        if self.phase.draws is not None:
            self.phase.draws.begin()
        for optimiser, rate in zip(self.optimisers, self.rates, strict=True):
            set_learning_rate(optimiser, rate, self.steps)

    def compute(self, index: Tensor, update: Callable[[torch.optim.Optimizer], None] = step_of) -> None:
        """Compute a step on the samples at `index` (b,): all that a device does for it, in tensors that stay in place.

        `update` steps an optimiser.
        """
        phase = self.phase
        batch = gathered(phase, self.x, self.lengths, index)
        for objective, optimiser in zip(phase.objectives, self.optimisers, strict=True):
            optimiser.zero_grad(set_to_none=True)
            forward = objective.forward or phase.forward
            total = objective.total(forward(phase.model, batch)[0])
            # Gradients of others would be added to those that an earlier step left, whose memory no captured step owns.
            wanted = [parameter for parameter in objective.parameters if parameter.requires_grad]
            total.backward(inputs=wanted)  # type: ignore[no-untyped-call]
            clip_gradients(objective.parameters, phase.spec.clip)
            update(optimiser)
            self.finite.logical_and_(torch.isfinite(total.detach()))
            if objective is phase.objectives[0]:
                self.last = total.detach()
                if phase.spec.monitor == EPOCH_MEAN:
                    self.epoch_sum.add_(len(index) * self.last.double())

    def conclude(self) -> None:
        """Count a step that was computed."""
        if len(self.first) < FIRST_STEPS:
            self.first.append(self.last.clone())
        self.steps += 1
        if self.phase.spec.monitor == EPOCH_MEAN and self.steps % self.per_epoch == 0:
            self.epoch_mean = float(self.epoch_sum) / self._seen
            self.epoch_sum.zero_()

    @property
    def _seen(self) -> int:
        """How many samples an epoch trains on."""
        spec, n = self.phase.spec, len(self.x)
        return self.per_epoch * spec.batch_size if spec.drop_last and spec.sampler != "full" else n

    def guard(self) -> None:
        """Raise Diverged where a training loss was NaN or infinite."""
        if not bool(self.finite):
            raise Diverged(f"the training loss was not finite by step {self.steps} of phase {self.phase.name!r}")


def gathered(phase: TrainingPhase, x: Tensor, lengths: Tensor | None, index: Tensor) -> Batch:
    """Return the batch of the samples at `index` (b,), with the rows that the phase keeps for them."""
    given = {name: rows.index_select(0, index) for name, rows in phase.given.items()}
    return Batch(x.index_select(0, index), index, None if lengths is None else lengths.index_select(0, index), given)
