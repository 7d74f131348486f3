"""What training is made of, as plain values: batches, objectives, phases, and the snapshots that observers see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.errors import UsageError
from benchmark.spec import Optimiser, Phase, Protocol
from benchmark.streams import Streams
from benchmark.training.draws import Draws
from benchmark.training.gradients import TermGradients
from benchmark.training.resume import Carry, Checkpoints

Terms = dict[str, Tensor]

CPU = torch.device("cpu")


class Diverged(ArithmeticError):
    """The loss became NaN or infinite."""


class Degenerate(ValueError):
    """Training ended where a method cannot go on: the samples can no longer be told apart."""


@dataclass(frozen=True)
class Batch:
    """Samples `x` (b, ...) and their positions `index` (b,) in the data.

    `lengths` (b,) are the steps of sequences that are padded with zeros, None where samples are no sequences. `given`
    holds rows (b, ...) that a phase keeps for all samples, such as target distributions, by name.
    """

    x: Tensor
    index: Tensor
    lengths: Tensor | None = None
    given: Mapping[str, Tensor] = field(default_factory=dict)


Forward = Callable[[Any, Batch], tuple[Terms, Tensor | None]]
"""Maps a model and a batch to unweighted loss terms and assignments (b, k), None where no clusters are formed."""


@dataclass(frozen=True)
class Objective:
    """Something to minimise: the weights of loss terms, by name, and the parameters that it trains.

    Terms that it gives no weight are no part of it. `optimiser` replaces that of the phase (a critic has its own), and
    `forward` its terms, in the steps of this objective: one that follows another on the same batch may use what that
    one computed before its step.
    """

    parameters: Sequence[nn.Parameter]
    weights: Mapping[str, float]
    optimiser: Optimiser | None = None
    forward: Forward | None = None

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted sum of the terms, a scalar; ValueError where it gives weight to none of them."""
        parts = [self.weights[name] * value for name, value in terms.items() if name in self.weights]
        if not parts:
            raise ValueError(
                f"an objective gives weights to {', '.join(self.weights)}, but there are {', '.join(terms)}."
            )
        return torch.stack(parts).sum()


@dataclass(frozen=True)
class Hook:
    """A callback `run(step)` before every `every`-th step, starting with step 0 (such as target updates)."""

    every: int
    run: Callable[[int], None]


@dataclass(frozen=True)
class TrainingPhase:
    """A named phase: what it trains, and how a batch is mapped to loss terms and assignments.

    `forward` is called with the model and a batch, in training mode for each step of an objective, and in inference
    mode and without gradients for evaluation; assignments are soft or one-hot. It takes the model as an argument, so
    that other weights can be lent to it. The terms of the first objective are those that are evaluated and monitored.

    `given` are rows (n, ...) for all samples, which hooks renew in place; batches hold theirs. `stop` is asked before
    every step, after the hooks, with the number of steps done, and ends the phase by returning True. `carry` gives what
    the phase remembers beside its model and streams; a phase with hooks or a stop rule but without it is not resumed
    within, but begun again. What a step draws on the CPU it draws through `draws`, as it could not be captured on a GPU
    otherwise. A `steady` phase may be captured: its steps do the same operations with the same plain numbers as long as
    it lasts, on tensors that stay in place, and its hooks write into these.
    """

    name: str
    spec: Phase
    model: nn.Module
    objectives: Sequence[Objective]
    forward: Forward
    given: Mapping[str, Tensor] = field(default_factory=dict)
    hooks: Sequence[Hook] = ()
    stop: Callable[[int], bool] | None = None
    carry: Carry | None = None
    draws: Draws | None = None
    steady: bool = False

    @property
    def resumable(self) -> bool:
        """Whether the state within the phase is known: all that trains is in the model, all else in `carry`."""
        known = {id(parameter) for parameter in self.model.parameters()}
        trained = [parameter for objective in self.objectives for parameter in objective.parameters]
        plain = not self.hooks and self.stop is None
        return all(id(p) in known for p in trained) and (plain or self.carry is not None)


@dataclass(frozen=True)
class Snapshot:
    """What an observer sees of training: copies only. `model` makes a private copy of the network.

    `assignments` (n,) are hard, and None in a phase that forms no clusters. `gradients` takes the gradients of all
    terms on the first so many evaluation batches, and leaves no trace. An epoch has `per_epoch` steps; `epoch_mean` is
    the mean of the training totals of the last whole one, in a phase that monitors it.
    """

    phase: str
    step: int
    epoch: int
    total: float
    terms: Mapping[str, float]
    assignments: np.ndarray | None
    model: Callable[[], nn.Module] | None = None
    gradients: Callable[[int], TermGradients] | None = None
    epoch_mean: float | None = None
    per_epoch: int = 1


@dataclass(frozen=True)
class RunContext:
    """What the harness gives a fit: streams, protocol, device, observers, a progress callback and checkpoints.

    `progress` is called with the phase, the step and the number of steps. A run is resumed from its `checkpoints` only
    where every observer remembers (`benchmark.training.resume.Remembers`). `parent` are the weights of the run that
    this one starts from, by name; None where there is none, and the fit pre-trains itself, or starts anew.
    """

    streams: Streams
    protocol: Protocol
    device: torch.device = CPU
    observers: tuple[Callable[[Snapshot], None], ...] = ()
    progress: Callable[[str, int, int], None] | None = None
    checkpoints: Checkpoints | None = None
    parent: Mapping[str, Tensor] | None = None
    lengths: Tensor | None = None

    def emit(self, snapshot: Snapshot) -> None:
        """Show a snapshot to every observer, and restore the global generator afterwards."""
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            for observer in self.observers:
                assignments = None if snapshot.assignments is None else snapshot.assignments.copy()
                observer(replace(snapshot, terms=dict(snapshot.terms), assignments=assignments))


@dataclass(frozen=True)
class PhaseResult:
    """How a phase ended: the kept and the last snapshot, the totals of the first steps, epochs and steps done."""

    kept: Snapshot
    last: Snapshot
    first_losses: tuple[float, ...]
    epochs: int
    steps: int


@dataclass(frozen=True)
class Outcome:
    """What a fit leaves for the record: losses of the kept and last weights, the first losses, epochs and steps."""

    loss: float
    final_loss: float
    losses: Mapping[str, float] = field(default_factory=dict)
    first_losses: tuple[float, ...] = ()
    epochs: int = 0
    steps: int = 0


class _Phases(dict[str, Phase]):
    """The phases of a protocol, which say in one sentence that one is missing."""

    method = ""

    def __missing__(self, name: str) -> Phase:
        known = ", ".join(map(repr, self)) or "none"
        raise UsageError(f"{self.method} needs the phase {name!r}, but its protocol has {known}.")


def with_named_phases(context: RunContext, method: str) -> RunContext:
    """Return the context with phases that say in one sentence when `method` asks for one that is not there."""
    phases = _Phases(context.protocol.phases)
    phases.method = method
    return replace(context, protocol=context.protocol.model_copy(update={"phases": phases}))
