"""The whole state of a phase within its training, as a checkpoint holds it, and back again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmark.streams import Streams
from benchmark.training.phases import Snapshot, TrainingPhase
from benchmark.training.resume import SavedState, captured, part, prefixed, restored
from benchmark.training.stepping import Stepper

Best = tuple[Snapshot, dict[str, Tensor]]


@dataclass(frozen=True)
class PhaseState:
    """What the loop knows beside model, optimisers and streams: evaluations, and the memories of observers."""

    last: Snapshot
    best: Best | None
    memories: Sequence[Any]
    finished: bool


def saved_state(state: PhaseState, phase: TrainingPhase, stepper: Stepper, streams: Streams) -> SavedState:
    """Return the state of a phase as tensors and values; one that is `finished` needs no optimisers."""
    optimisers = () if state.finished else stepper.optimisers
    inner = captured(phase.model, optimisers, streams, stepper.x.device, phase.carry)
    # At the end of an epoch the next order is still to be drawn; within one, its own is drawn again.
    drawn = stepper.steps % stepper.per_epoch and not state.finished
    tensors = {"finite": stepper.finite.clone(), "epoch": stepper.epoch_state if drawn else stepper.batches.get_state()}
    tensors |= _assignments("last", state.last)
    if state.best is not None:
        tensors |= _assignments("best", state.best[0])
        tensors |= {} if state.finished else prefixed("best", state.best[1])
    values = {
        "finished": state.finished,
        "steps": stepper.steps,
        "first": [float(value) for value in stepper.first],
        "last": _plain(state.last),
        "best": _plain(state.best[0]) if state.best else None,
        "observers": list(state.memories),
        "epoch": [float(stepper.epoch_sum), stepper.epoch_mean],
    }
    return SavedState(tensors | inner.tensors, values | inner.values)


def resumed_state(
    saved: SavedState,
    phase: TrainingPhase,
    stepper: Stepper,
    streams: Streams,
    snapshot: Callable[[dict[str, Any], Tensor | None], Snapshot],
) -> PhaseState | None:
    """Put a state of `saved_state` back; return None, and change nothing, where it is not of this model."""
    values, tensors, device = saved.values, saved.tensors, stepper.x.device
    optimisers = () if values["finished"] else stepper.optimisers
    if not restored(saved, phase.model, optimisers, streams, device, phase.carry):
        return None
    stepper.batches.set_state(tensors["epoch"])
    stepper.steps, stepper.finite = values["steps"], tensors["finite"].to(device)
    stepper.first = [torch.tensor(value, dtype=torch.float64) for value in values["first"]]
    summed, stepper.epoch_mean = values["epoch"]
    stepper.epoch_sum = torch.full_like(stepper.epoch_sum, summed)
    best: Best | None = None
    if values["best"] is not None:
        best = snapshot(values["best"], tensors.get("assignments/best")), part("best", tensors)
    return PhaseState(
        snapshot(values["last"], tensors.get("assignments/last")), best, values["observers"], values["finished"]
    )


def _assignments(name: str, snapshot: Snapshot) -> dict[str, Tensor]:
    """Return the assignments of a snapshot as a tensor of a checkpoint; nothing where there are none."""
    return {} if snapshot.assignments is None else {f"assignments/{name}": torch.from_numpy(snapshot.assignments)}


def _plain(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot without its arrays and its model, as values that JSON can hold."""
    where = {"phase": snapshot.phase, "step": snapshot.step, "epoch": snapshot.epoch}
    found = {"total": snapshot.total, "terms": dict(snapshot.terms), "epoch_mean": snapshot.epoch_mean}
    return {**where, **found}
