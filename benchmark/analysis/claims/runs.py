"""The comparisons that claims are made of, from stored runs: which cells, which runs pair up, what is missing."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.analysis.compare import RunsByReplicate, alike, matched, measured_runs
from benchmark.analysis.kinds import cell_records
from benchmark.analysis.statistics import evaluations
from benchmark.measure.claims import Evidence, Gap, beyond, inside, paired_gap, spread_gap, unpaired_gap
from benchmark.measure.judgement import enough
from benchmark.measure.loss_regression import loss_regression
from benchmark.measure.statements import Interval
from benchmark.measure.verdict import NO_DATA, NOT_IMPLEMENTED, QUOTED
from benchmark.papers.claims import Higher, OfTables, Side, Within, side_of
from benchmark.papers.paper import Paper
from benchmark.papers.protocol import Reading
from benchmark.papers.tables import settings, statistic_of
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.session import Session

ON_LOSS = "loss_"
"""Statistics of the regression of ACC on the loss begin so; a claim looks at those of single runs."""


@dataclass(frozen=True)
class Lack:
    """What is missing of a comparison: its `kind` in a word or two, `text` more exactly, the cell that lacks runs."""

    kind: str
    text: str
    cell: PlannedCell | None = None


@dataclass(frozen=True)
class Compared:
    """One comparison inside a claim: `a` against `b` on a column and metric, in the unit of its table.

    `dataset` and `metric` are ids, the labels are for people; `table` and `setting` are of `a`, `rows` the ids of the
    rows (of one, where the other side is a number). `gap` is the difference A - B with its 95 % `interval`, over runs
    that are paired or not, or of spreads; None where nothing is stored. `tested` is what the claim asks of it, with
    both p as they are. `run_ids` are all runs of both sides.
    """

    a: str
    b: str
    rows: tuple[str, ...]
    table: str
    setting: str
    dataset: str
    metric: str
    dataset_label: str
    metric_label: str
    tested: Evidence
    gap: Gap | None = None
    means: tuple[float, float] | None = None
    runs: tuple[int, int] = (0, 0)
    paired: bool = False
    lacks: tuple[Lack, ...] = ()
    run_ids: tuple[str, ...] = ()

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the difference; None where one run tells none."""
        return None if self.gap is None else self.gap.interval()


@dataclass(frozen=True)
class _Held:
    """The runs of one side: by replicate their values and records; `constant` where its method has no chance in it."""

    label: str
    cell: PlannedCell | None
    values: RunsByReplicate
    lack: Lack | None = None
    constant: bool = False


class Runs:
    """The stored runs of a paper, cell by cell, as claims ask for them; each table is planned once."""

    def __init__(self, session: Session, paper: Paper) -> None:
        self.session, self.paper = session, paper
        self._cells: dict[tuple[str, str, Reading], Mapping[tuple[str, str, str], PlannedCell]] = {}
        self._sides: dict[tuple[Side, str, str, str, Reading], _Held] = {}

    def compared(
        self, rule: OfTables, pair: tuple[str, str | float], column: str, metric: str, profile: str, reading: Reading
    ) -> Compared:
        """Return one comparison of a claim from what is stored in a profile and reading."""
        side = side_of(self.paper, rule, pair[0], column)
        first = self._held(side, column, metric, profile, reading)
        number = pair[1] if isinstance(pair[1], float) else None
        other = None if number is not None else side_of(self.paper, rule, str(pair[1]), column)
        second = None if other is None else self._held(other, column, metric, profile, reading)
        table = self.paper.tables[side.table]
        spread = statistic_of(table, self.paper.protocol.metrics[metric]) == "sd"
        found = self._against(first, second, number, metric, spread)
        lacks = tuple(held.lack for held in (first, second) if held is not None and held.lack is not None)
        gap, paired, left, right = found
        # What lacks planned runs is shown, and decides nothing: the runs that came first may be those that went well.
        tested = Evidence() if lacks else tested_by(rule, gap)
        values = [value for value, _ in left.values()], [value for value, _ in right.values()]
        means = _mean(values[0]), number if number is not None else _mean(values[1])
        return Compared(
            a=first.label,
            b=second.label if second is not None else f"{number:g}",
            rows=tuple(each.row for each in (side, other) if each is not None),
            table=side.table,
            setting=side.setting,
            dataset=column,
            metric=metric,
            dataset_label=self.paper.protocol.columns[column].label,
            metric_label=self.paper.protocol.metrics[metric].label,
            tested=tested,
            gap=gap,
            means=None if None in means else means,  # type: ignore[arg-type]
            runs=(len(left), len(right)),
            paired=paired,
            lacks=lacks,
            run_ids=tuple(dict.fromkeys(r.run_id for part in (left, right) for _, r in part.values())),
        )

    def _against(
        self, first: _Held, second: _Held | None, number: float | None, metric: str, spread: bool
    ) -> tuple[Gap | None, bool, RunsByReplicate, RunsByReplicate]:
        """Return the difference of two sides, whether it is paired, and the runs of each that it is made of."""
        left = first.values
        if second is None or number is not None:
            values = [value for value, _ in left.values()]
            if first.constant and values:
                return Gap(values[0] - (number or 0.0)), False, left, {}
            return (None if spread else paired_gap(values, number or 0.0)), False, left, {}
        right = second.values
        if not (left and right) or first.cell is None or second.cell is None:
            return None, False, left, right
        if not (first.constant or second.constant):
            cells, held = {0: first.cell, 1: second.cell}, {0: left, 1: right}
            left, right = self._alike(cells, metric, held)
        a, b, paired = matched(left, right)
        if first.constant and second.constant:
            return Gap(a[0] - b[0]), False, left, right
        if spread:
            return spread_gap([v for v, _ in left.values()], [v for v, _ in right.values()]), False, left, right
        if first.constant or second.constant:
            gap = paired_gap(a, b[0]) if second.constant else _turned(paired_gap(b, a[0]))
            return gap, False, left, right
        return (paired_gap(a, b) if paired else unpaired_gap(a, b)), paired, left, right

    def _alike(
        self, cells: Mapping[int, PlannedCell], metric: str, held: Mapping[int, RunsByReplicate]
    ) -> tuple[RunsByReplicate, RunsByReplicate]:
        rule = self.paper.protocol.metrics[metric]
        if rule.statistic.startswith(ON_LOSS):
            return held[0], held[1]
        return alike(self.session, cells, rule, held, 0, 1)

    def _held(self, side: Side, column: str, metric: str, profile: str, reading: Reading) -> _Held:
        key = (side, column, metric, profile, reading)
        if key not in self._sides:
            self._sides[key] = self._read(side, column, metric, profile, reading)
        return self._sides[key]

    def _read(self, side: Side, column: str, metric: str, profile: str, reading: Reading) -> _Held:
        row = self.paper.method(side.row)
        label = f"{row.label} at {side.setting}" if side.setting else row.label
        cell = self._planned(side.table, profile, reading).get((side.row, column, side.setting))
        if cell is None:
            where = self.paper.protocol.columns[column].label
            return _Held(label, None, {}, Lack("data", f"the {profile} profile has no {where}"))
        if cell.reason:
            return _Held(label, cell, {}, _reason(cell, label, self.paper.protocol.columns[column].label))
        rule = self.paper.protocol.metrics[metric]
        values, without = measured_runs(self.session, cell, rule, label)
        if rule.statistic.startswith(ON_LOSS):
            values = _on_loss(values, rule.statistic.removeprefix(ON_LOSS))
        stored = len(cell_records(cell.specs, self.session.find))
        lack = None
        if stored < cell.runs:
            lack = Lack("runs", f"{label} on {column} has {stored} of {cell.runs} runs", cell)
        elif not enough(len(values), cell.runs):
            lack = Lack("runs", without or f"{len(values)} of {cell.runs} runs of {label} on {column} count", None)
        return _Held(label, cell, values, lack, constant=row.runs == 1)

    def _planned(self, table: str, profile: str, reading: Reading) -> Mapping[tuple[str, str, str], PlannedCell]:
        """Return the cells of a table by row, column and setting."""
        key = (table, profile, reading)
        if key not in self._cells:
            rule = self.paper.tables[table]
            labels = tuple(point.label for point in settings(rule)) if rule.grid else ()
            name = f"{self.paper.id}/{table}"
            asked = Request(profile, (self.paper.id,), (name,), readings=(reading,), settings=labels)
            self._cells[key] = {(cell.row, cell.column, cell.setting): cell for cell in plan_cells(asked)}
        return self._cells[key]


def tested_by(rule: OfTables, gap: Gap | None) -> Evidence:
    """Return what a claim's rule says of one difference."""
    if isinstance(rule, Within):
        return inside(gap, rule.by)
    if isinstance(rule, Higher) and rule.rule == "lower":
        return beyond(_turned(gap), rule.by)
    return beyond(gap, rule.by if isinstance(rule, Higher) else 0.0)


def compared_text(each: Compared) -> str:
    """Return a comparison in words: what, the difference, its 95 % interval, of how many runs."""
    if each.gap is None:
        return f"{each.a} - {each.b} on {each.dataset_label} ({each.metric_label})"
    low, high = each.gap.interval()
    left, right = each.runs
    runs = f"{left} pairs" if each.paired else f"{left} and {right} runs" if len(each.rows) > 1 else f"{left} runs"
    difference = f"{each.gap.estimate:+.3g} [{low:+.3g}, {high:+.3g}]"
    return f"{each.a} - {each.b} on {each.dataset_label} ({each.metric_label}) {difference}, {runs}"


def command_for(lacks: Sequence[Lack]) -> str:
    """Return the command that makes the runs that are missing; "" where no cell lacks any.

    One command is of one table: that of the first cell.
    """
    cells = [lack.cell for lack in lacks if lack.cell is not None]
    if not cells:
        return ""
    first = cells[0]
    mine = [cell for cell in cells if cell.table == first.table]
    words = ["run", "--table", f"{first.paper}/{first.table}"]
    for option, names in (
        ("--method", [cell.row for cell in mine]),
        ("--dataset", [cell.column for cell in mine]),
        ("--setting", [cell.setting for cell in mine if cell.setting]),
    ):
        words += [word for name in dict.fromkeys(names) for word in (option, name)]
    return f"python -m benchmark {shlex.join([*words, '--profile', first.profile, '--reading', first.reading])}"


def _reason(cell: PlannedCell, label: str, where: str) -> Lack:
    if cell.reason == NO_DATA:
        return Lack("data", f"no data set of ours is {where}")
    if cell.reason in (NOT_IMPLEMENTED, QUOTED):
        how = "is quoted by the paper, and not run" if cell.reason == QUOTED else "is not implemented"
        return Lack("not implemented", f"{label} {how}")
    return Lack("runs", f"{label} on {where}: {cell.reason}")


def _on_loss(values: RunsByReplicate, name: str) -> RunsByReplicate:
    """Return in place of each value that of the regression of ACC on the loss over the run's own evaluations."""
    fits = {place: loss_regression(*evaluations(record)) for place, (_, record) in values.items() if record.history}
    return {place: (float(getattr(fit, name)), values[place][1]) for place, fit in fits.items() if fit is not None}


def _turned(gap: Gap | None) -> Gap | None:
    return None if gap is None else Gap(-gap.estimate, gap.error, gap.df)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
