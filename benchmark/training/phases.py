"""What training is made of, as plain values: batches, objectives, phases, and the snapshots that observers see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.spec import Optimiser, Phase, Protocol
from benchmark.streams import Streams
from benchmark.training.gradients import TermGradients
from benchmark.training.resume import Carry, Checkpoints

Terms = dict[str, Tensor]

CPU = torch.device("cpu")


class Diverged(ArithmeticError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True)
class Batch:
    """Samples `x` (b, ...) and their positions `index` (b,) in the data."""

    x: Tensor
    index: Tensor


@dataclass(frozen=True)
class Objective:
    """Something to minimise: named unweighted loss terms of a batch, their weights, and the parameters they train.

    `optimiser` replaces that of the phase (a critic has its own).
    """

    parameters: Sequence[nn.Parameter]
    loss: Callable[[Batch], Terms]
    weights: Mapping[str, float]
    optimiser: Optimiser | None = None

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted sum of the terms, a scalar."""
        parts = [self.weights[name] * value for name, value in terms.items()]
        return torch.stack(parts).sum()


@dataclass(frozen=True)
class Hook:
    """A callback `run(step)` before every `every`-th step, starting with step 0 (such as target updates)."""

    every: int
    run: Callable[[int], None]


@dataclass(frozen=True)
class TrainingPhase:
    """A named phase: what it trains, on which generic terms, and how it is evaluated.

    `evaluate` maps a batch to the unweighted terms of the first objective and the assignments (b, k), soft or one-hot,
    None where the phase forms no clusters. It is called in inference mode and without gradients. `stop` is asked before
    every step, after the hooks, with the number of steps done, and ends the phase by returning True. `carry` gives what
    the phase remembers beside its model and streams; a phase with hooks or a stop rule but without it is not resumed
    within, but begun again. A `pretraining` phase is one that a parent run may have made; its losses, epochs and steps
    are not those of the fit.
    """

    name: str
    spec: Phase
    model: nn.Module
    objectives: Sequence[Objective]
    evaluate: Callable[[Batch], tuple[Terms, Tensor | None]]
    hooks: Sequence[Hook] = ()
    stop: Callable[[int], bool] | None = None
    carry: Carry | None = None
    pretraining: bool = False

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
    terms on the first so many evaluation batches, and leaves no trace.
    """

    phase: str
    step: int
    epoch: int
    total: float
    terms: Mapping[str, float]
    assignments: np.ndarray | None
    model: Callable[[], nn.Module] | None = None
    gradients: Callable[[int], TermGradients] | None = None


@dataclass(frozen=True)
class RunContext:
    """What the harness gives a fit: streams, protocol, device, observers, a progress callback and checkpoints.

    `progress` is called with the phase, the step and the number of steps. A run is resumed from its `checkpoints` only
    where every observer remembers (`benchmark.training.resume.Remembers`). `parent` are the weights of the run that
    this one starts from, by name; None where there is none, and the fit pre-trains itself.
    """

    streams: Streams
    protocol: Protocol
    device: torch.device = CPU
    observers: tuple[Callable[[Snapshot], None], ...] = ()
    progress: Callable[[str, int, int], None] | None = None
    checkpoints: Checkpoints | None = None
    parent: Mapping[str, Tensor] | None = None

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
