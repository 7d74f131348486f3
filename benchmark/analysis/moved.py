"""What moved between two stores: the same cells of two results folders, run by run. Nothing here trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmark.analysis.compare import RunsByReplicate, machines, measured_runs
from benchmark.analysis.kinds import cell_records
from benchmark.measure.comparison import compare_paired, compare_unpaired
from benchmark.papers.paper import load_paper
from benchmark.papers.protocol import MetricRule
from benchmark.plan.cells import PlannedCell
from benchmark.record import RunRecord
from benchmark.session import Session

SAME, WITHIN, MOVED, ONE_RUN = "same", "within noise", "moved", "one run"
"""Every run is equal to the last bit; runs differ, their mean does not; the mean differs; one run tells no spread."""


@dataclass(frozen=True)
class MovedRun:
    """A run that both stores hold and that is not the same in them: status, loss and value here and there."""

    run_id: str
    replicate: int
    status: tuple[str, str]
    loss: tuple[float | None, float | None]
    value: tuple[float | None, float | None]


@dataclass(frozen=True)
class MovedCell:
    """One metric of a cell in two stores, in the unit of the table; `difference` is here minus there.

    It is the mean over the runs that both hold, which are paired, with Student's 95 % interval; where they hold none in
    common, the difference of the means with Welch's. `both` counts the common runs that count in both, `runs` are those
    among all common ones that differ, `only_here` and `only_there` count the others.
    """

    cell: PlannedCell
    metric: str
    word: str
    here: float
    there: float
    difference: float
    interval: tuple[float, float] | None
    both: int
    runs: tuple[MovedRun, ...]
    only_here: int
    only_there: int
    machines: tuple[tuple[str, ...], tuple[str, ...]]
    code: tuple[tuple[str, ...], tuple[str, ...]]


def moved_cells(here: Session, there: Session, cells: Sequence[PlannedCell]) -> Iterator[MovedCell]:
    """Yield a line for each cell and measured quantity that both stores have runs of."""
    for cell in cells:
        records = [cell_records(cell.specs, session.find) for session in (here, there)]
        if all(records):
            for name in measured_once(cell):
                found = _moved(here, there, cell, name, records)
                if found is not None:
                    yield found


def measured_once(cell: PlannedCell) -> list[str]:
    """Return the metrics of a cell's table: of several statistics of one quantity the first."""
    paper = load_paper(cell.paper)
    first: dict[tuple[str, float], str] = {}
    for name in paper.table(cell.table).metrics:
        rule = paper.protocol.metrics[name]
        first.setdefault((rule.column, rule.scale), name)
    return list(first.values())


def _moved(
    here: Session, there: Session, cell: PlannedCell, name: str, records: Sequence[dict[str, RunRecord]]
) -> MovedCell | None:
    metric = load_paper(cell.paper).protocol.metrics[name]
    sides = [measured_runs(session, cell, metric, cell.row)[0] for session in (here, there)]
    if not all(sides):
        return None
    both = sorted(sides[0].keys() & sides[1].keys())
    values = [[side[r][0] for r in both] if both else [value for value, _ in side.values()] for side in sides]
    compared = compare_paired(*values) if both else compare_unpaired(*values)
    runs = tuple(_moved_runs(records, sides))
    common = records[0].keys() & records[1].keys()
    return MovedCell(
        cell,
        name,
        _word(runs, bool(both), compared.interval),
        compared.mean_a,
        compared.mean_b,
        compared.difference,
        compared.interval,
        len(both),
        runs,
        len(records[0]) - len(common),
        len(records[1]) - len(common),
        (tuple(machines(sides[0])), tuple(machines(sides[1]))),
        (_digests(records[0]), _digests(records[1])),
    )


def _word(runs: Sequence[MovedRun], paired: bool, interval: tuple[float, float] | None) -> str:
    if paired and not runs:
        return SAME
    if interval is None:
        return ONE_RUN
    return WITHIN if interval[0] <= 0 <= interval[1] else MOVED


def _moved_runs(records: Sequence[dict[str, RunRecord]], sides: Sequence[RunsByReplicate]) -> Iterator[MovedRun]:
    """Yield the runs that both stores hold and whose status, loss or value is not equal to the last bit."""
    for run_id, mine in records[0].items():
        other = records[1].get(run_id)
        if other is None:
            continue
        replicate = mine.spec.replicate
        held = [side.get(replicate) for side in sides]
        value = (held[0][0] if held[0] else None, held[1][0] if held[1] else None)
        pairs = ((mine.status, other.status), (mine.loss, other.loss), value)
        if any(a != b for a, b in pairs):
            yield MovedRun(run_id, replicate, (str(mine.status), str(other.status)), (mine.loss, other.loss), value)


def _digests(records: dict[str, RunRecord]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(record.code_digest for record in records.values()))


def metric_of(moved: MovedCell) -> MetricRule:
    """Return the rule of the metric of a line."""
    return load_paper(moved.cell.paper).protocol.metrics[moved.metric]
