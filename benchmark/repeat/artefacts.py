"""Artefacts: what is made of stored runs beside their records, by makers that are registered.

Weights are not tracked, but runs repeat: the run with the lowest loss of a cell is made again from its specification,
as far as needed, its losses must come out as stored, and a maker turns what it shows into a small tracked file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from benchmark.analysis.artefacts import artefact_file
from benchmark.analysis.kinds import cell_records
from benchmark.data.prepared import prepared_data
from benchmark.errors import UserError
from benchmark.execution.events import Job, Place
from benchmark.execution.execute import execute
from benchmark.execution.fits.threads import one_thread
from benchmark.execution.jobs import starting_weights
from benchmark.plan.cells import PlannedCell
from benchmark.plan.lineage import parent_of
from benchmark.record import COUNTED, Context, RunRecord
from benchmark.registry import Artefact, LoadedData
from benchmark.repeat.beginning import shortened
from benchmark.session import Session
from benchmark.spec import RunSpec
from benchmark.store.sums import change_tracked
from benchmark.training.phases import Snapshot

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Shown:
    """What a run shows to a maker: its network, and the cluster of each sample (n,), at `epoch` (None: at its end)."""

    estimator: Any
    data: LoadedData
    model: nn.Module
    clusters: np.ndarray
    epoch: int | None = None


@dataclass(frozen=True)
class Held:
    """What a run showed at one evaluation of its last phase: the network, and the cluster of each sample (n,)."""

    epoch: int
    model: nn.Module
    clusters: np.ndarray


class Holder:
    """Keeps the first evaluation at or after each of the epochs of a phase, the last evaluation otherwise."""

    def __init__(self, phase: str, epochs: Sequence[int]) -> None:
        self.phase, self.wanted = phase, sorted(set(epochs))
        self.held: dict[int, Held] = {}
        self.last: Held | None = None
        self.seen: Any = None

    def __call__(self, snapshot: Snapshot, estimator: Any, data: Any) -> dict[str, float]:
        """Keep what is due, as an observer that records nothing."""
        self.seen = estimator
        clusters, model = snapshot.assignments, snapshot.model
        if self.wanted and snapshot.phase == self.phase and clusters is not None and model is not None:
            self.last = Held(snapshot.epoch, model().eval(), clusters)
            due = [epoch for epoch in self.wanted if epoch <= snapshot.epoch and epoch not in self.held]
            self.held |= dict.fromkeys(due, self.last)
        return {}

    def at(self, epoch: int) -> Held:
        """Return what is held of an epoch; of the end of the run, where it stopped before."""
        if self.last is None:
            raise UserError("the run has no evaluation of its last phase that shows a network.")
        return self.held.get(epoch, self.last)


@one_thread()
def make_artefacts(
    session: Session, cell: PlannedCell, artefact: Artefact, options: Mapping[str, Any], epochs: Sequence[int] = ()
) -> list[Path]:
    """Make an artefact of the best run of `cell`, and return its files.

    Without `epochs`, one of the end of the run; with them, one at the first evaluation at or after each of these epochs
    of its last phase, which is trained no further than the last of them.

    Raises
    ------
    UserError
        Where no run is stored, it trains no network, or the run made again has another loss than the stored one.
    """
    used = [r for r in cell_records(cell.specs, session.find).values() if r.status in COUNTED and r.loss is not None]
    if not used:
        raise UserError(f"no run of {cell.row} on {cell.column} is stored in the {cell.profile} profile: run it first.")
    best = min(used, key=lambda record: (record.loss, record.spec.replicate))
    clusters, holder = made_again(session, best, epochs)
    if holder.seen is None:
        raise UserError(f"{cell.row} trains no network, so it has no layer to show.")
    estimator, data = holder.seen, prepared_data(best.spec, session.data_dir)
    moments: list[tuple[int | None, Shown]] = [(None, Shown(estimator, data, estimator.model_, clusters))]
    if epochs:
        held = [(epoch, holder.at(epoch)) for epoch in epochs]
        moments = [(epoch, Shown(estimator, data, at.model, at.clusters, at.epoch)) for epoch, at in held]
    files = []
    for epoch, shown in moments:
        file = artefact_file(session.results / "stored", cell.paper, artefact, best.run_id, options, epoch)
        change_tracked(session.results / "stored", {file: artefact.made(shown, options)})
        files.append(file)
    return files


def made_again(session: Session, best: RunRecord, epochs: Sequence[int]) -> tuple[np.ndarray, Holder]:
    """Train a stored run again, as far as the last of `epochs` or to its end; return its clusters (n,) and the holder.

    UserError where it does not give the stored numbers.
    """
    # Stored specifications name their phases in alphabetical order; the history has them as they were.
    phase = best.history[-1].phase if best.history else ""
    weights = _starting_weights(session, best.spec)
    beginning = _as_far_as(best, phase, epochs)
    again: float | None = None
    for spec in (beginning, best.spec) if beginning != best.spec else (best.spec,):
        holder = Holder(phase, epochs)
        result = execute(spec, data_dir=session.data_dir, device=session.device, measures=(holder,), parent=weights)
        if result.record.status not in COUNTED:
            raise UserError(f"run {best.run_id} cannot be made again here: {result.record.error}")
        again = result.record.loss
        same = _begins_as(best, result.record, phase) if spec != best.spec else _close(again, best.loss)
        if same and result.labels is not None:
            return result.labels, holder
    raise UserError(
        f"run {best.run_id} now gives the loss {again}, but {best.loss} is stored: renew it (`run --stale rerun`)."
    )


def _as_far_as(record: RunRecord, phase: str, epochs: Sequence[int]) -> RunSpec:
    """Return the specification of a run that ends at its first evaluation of `phase` at or after the last of `epochs`.

    At least one step is made. The whole run's where there are no epochs, or it stopped before.
    """
    trained = [e for e in record.history if e.phase == phase and e.step > 0]
    reached = [e for e in trained if epochs and e.epoch >= max(epochs)]
    if not reached:
        return record.spec
    budget = record.spec.protocol.phases[phase].budget
    end = reached[0].step if budget.unit == "steps" else reached[0].epoch
    return shortened(record.spec, {phase: min(end, budget.amount)})


def _begins_as(stored: RunRecord, today: RunRecord, phase: str) -> bool:
    """Whether every evaluation of `phase` that `today` has gives the loss that is stored of it."""
    before, now = ([(e.step, e.total) for e in record.history if e.phase == phase] for record in (stored, today))
    pairs = zip(now, before, strict=False)
    return 1 < len(now) <= len(before) and all(a == b and _close(loss, was) for (a, loss), (b, was) in pairs)


def _close(loss: float | None, stored: float | None) -> bool:
    return loss is not None and stored is not None and math.isclose(loss, stored, rel_tol=TOLERANCE)


def _starting_weights(session: Session, spec: RunSpec) -> Mapping[str, Tensor] | None:
    """Return the weights that a run starts from, where they are kept; without them it trains them again."""
    parent = parent_of(spec)
    if parent is None or not session.has_weights(parent):
        return None
    return starting_weights(
        Job(spec, Context(), parents=(parent.run_id,)), Place(session.results, device=session.device)
    )
