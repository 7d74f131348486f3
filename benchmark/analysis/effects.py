"""Which disagreement between a paper and its code matters: one ledger entry flipped at a time, effect by effect.

Nothing here chooses a default: the readings stay what they are declared to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmark.analysis.compare import RunsByReplicate, alike, compare_measured, machines, measured_runs
from benchmark.errors import UsageError, UserError, did_you_mean
from benchmark.figures.kit import COLOURS, canvas, own_defaults
from benchmark.measure.comparison import Comparison
from benchmark.papers.ledger import LedgerEntry
from benchmark.papers.paper import load_paper
from benchmark.papers.protocol import READINGS, MetricRule
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.plan.resolve import ARM, parse_overrides
from benchmark.session import Session

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Effect:
    """What one ledger entry does, put to the other reading's value or to its arm (`put`), against a reading.

    `cell` is the flipped cell, None where the entry changes nothing of the method: `why` says so, and `field` names
    the field that can be set by hand where both readings have one value, if any. `scores` and `losses` compare the
    code's value minus the paper's, or the arm minus the reading; None where runs are `missing` or have no such metric.
    `same_loss` says that the flip leaves the loss function as it was, so that its values compare. `unmeasured` are
    sentences about runs without the metric, `machines` the kinds that made the runs compared: one, where one made what
    both cells have.
    """

    entry: LedgerEntry
    cell: PlannedCell | None
    why: str
    stored: int
    scores: Comparison | None = None
    losses: Comparison | None = None
    same_loss: bool = True
    field: str = ""
    missing: bool = False
    unmeasured: tuple[str, ...] = ()
    put: str = "code"
    machines: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The id of the entry, and that it is put to its arm if it is."""
        return f"{self.entry.id}={ARM}" if self.put == ARM else self.entry.id


def plan_effects(request: Request, severity: str = "A") -> tuple[PlannedCell, list[Effect]]:
    """Return the base cell, and for each entry of `severity` the cell with the other reading's value, without numbers.

    An entry with an arm that concerns the cell has a second one. The base is the paper reading, or that of `request`,
    which names one table, method and data set, and one setting of the table where it has several.
    """
    paper = load_paper(request.papers[0])
    base, effects = _cell(request), []
    other = next(reading for reading in READINGS if reading != base.reading)
    for entry in paper.ledger.values():
        if entry.severity != severity:
            continue
        if not entry.fields:
            why = "the readings do not differ in its field yet" if entry.awaits else "no effect on our numbers"
            effects.append(Effect(entry, None, why, 0))
            continue
        flipped = {put: _put(request, base, entry, put) for put in (other, *([ARM] if entry.arm else []))}
        changed = {put: cell for put, cell in flipped.items() if cell}
        for put, cell in changed.items():
            same = entry.keeps_loss or _keeps_loss(base, cell)
            effects.append(Effect(entry, cell, "", 0, same_loss=same, put=put))
        if not changed:
            own = [item.path for item in base.resolved.fields if entry.id in item.ledger] if base.resolved else []
            why = "both readings have the same value" if own else "no field of this method and data set"
            effects.append(Effect(entry, None, why, 0, field=_by_hand(entry, base, own)))
    return base, effects


def measure_effects(session: Session, base: PlannedCell, effects: Sequence[Effect], metric: MetricRule) -> list[Effect]:
    """Return the effects with their numbers, from stored runs; UserError where the base has runs and no number."""
    before, without = measured_runs(session, base, metric, f"{base.row} on {base.column}")
    if without and not before:
        raise UserError(without)
    ground = base, before, without
    return [_measure(session, *ground, effect, metric) if effect.cell else effect for effect in effects]


@own_defaults()
def draw_effects(effects: Sequence[Effect], label: str) -> Figure:
    """Draw the effect of each entry on the metric and on the loss, with intervals; what is not run is left out.

    `label` names the metric with its unit.
    """
    shown = [effect for effect in effects if effect.scores]
    arms = any(effect.put == ARM for effect in shown)
    figure, panels = canvas(1, 2, width=7.6, height=1.4 + 0.38 * max(1, len(shown)))
    for place, (axes, name) in enumerate(zip(panels, (label, "loss"), strict=True)):
        axes.axvline(0, color="#000000", linewidth=0.8)
        for row, effect in enumerate(reversed(shown)):
            found = effect.losses if place else effect.scores
            if found is None or (place and not effect.same_loss):
                axes.text(
                    0.02, row, "another loss function", va="center", fontsize=8, transform=axes.get_yaxis_transform()
                )
                continue
            if found.interval:
                axes.plot(found.interval, (row, row), color=COLOURS[place], linewidth=2)
            axes.plot(found.difference, row, marker="os"[place], color=COLOURS[place])
        axes.set_yticks(range(len(shown)), [f"{e.name} {e.entry.title}" for e in reversed(shown)])
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.set_xlabel(f"code (or arm) minus paper, {name}" if arms else f"code minus paper, {name}")
    panels[1].set_yticklabels([])
    return figure


def _cell(request: Request) -> PlannedCell:
    cells = [cell for cell in plan_cells(request) if cell.specs]
    if not cells:
        raise UsageError(
            f"{request.tables[0]} has no runs of {request.methods[0]} on {request.datasets[0]} in the "
            f"{request.profile} profile: see `python -m benchmark status --profile {request.profile}`."
        )
    return cells[0]


def _put(request: Request, base: PlannedCell, entry: LedgerEntry, put: str) -> PlannedCell | None:
    """Return the cell with an entry put to a reading or to its arm; None where that changes no run of `base`."""
    cell = _cell(replace(request, sets=(*request.sets, f"{entry.id}={put}")))
    return None if [a.run_id for a in base.specs] == [b.run_id for b in cell.specs] else cell


def _by_hand(entry: LedgerEntry, base: PlannedCell, own: Sequence[str]) -> str:
    """Return the field of the `own` that ``--set`` can change: first of those that the entry names; "" if none."""
    paper = load_paper(base.paper)
    for path in sorted(own, key=lambda path: path not in entry.fields):
        try:
            parse_overrides((f"{path}=null",), paper)
        except UsageError:
            continue
        return path
    return ""


def _keeps_loss(base: PlannedCell, flipped: PlannedCell) -> bool:
    """Whether method parameters, which make the loss, are the same: then only training or data differ."""
    return (
        base.resolved is not None
        and flipped.resolved is not None
        and (base.resolved.spec.params == flipped.resolved.spec.params)
    )


def _measure(
    session: Session, base: PlannedCell, before: RunsByReplicate, without: str, effect: Effect, metric: MetricRule
) -> Effect:
    flipped = effect.cell
    assert flipped is not None
    what = f"{flipped.row} on {flipped.column} with {effect.entry.id}={effect.put}"
    after, lacking = measured_runs(session, flipped, metric, what)
    missing = not before or not (after or lacking)
    unmeasured = tuple(text for text in (without, lacking) if text)
    effect = replace(effect, stored=len(after), missing=missing, unmeasured=unmeasured)
    if not before or not after:
        return effect
    cells = {"base": base, "flipped": flipped}
    before, after = alike(session, cells, metric, {"base": before, "flipped": after}, "base", "flipped")
    pair = (before, after) if effect.put == READINGS[0] else (after, before)
    losses = [{r: (float(x.loss or 0.0), x) for r, (_, x) in part.items()} for part in pair]
    scores, loss = compare_measured(*pair), compare_measured(losses[0], losses[1])
    return replace(effect, scores=scores, losses=loss, machines=tuple(machines(before, after)))


def checked_severity(name: str) -> str:
    """Return A, B or C, or raise UsageError."""
    if name.upper() not in ("A", "B", "C"):
        raise UsageError(did_you_mean("severity", name, ("A", "B", "C")))
    return name.upper()
