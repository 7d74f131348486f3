"""The comparisons that claims are made of, from stored runs: which cells, which runs pair up, what is missing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmark.analysis.claims.compared import Compared, Lack, tested_by
from benchmark.analysis.compare import RunsByReplicate, alike, matched, measured_runs
from benchmark.analysis.kinds import cell_records
from benchmark.analysis.statistics import evaluations
from benchmark.measure.claims import (
    Estimate,
    Evidence,
    Gap,
    apart,
    as_shares,
    best_of,
    mean_of,
    paired_gap,
    share_apart,
    spread_of,
)
from benchmark.measure.judgement import enough
from benchmark.measure.loss_regression import explained, jackknifed
from benchmark.measure.verdict import NO_DATA, NOT_IMPLEMENTED, QUOTED
from benchmark.papers.claim_sides import Side, Unit, side_of
from benchmark.papers.claims import OfTables, Pair
from benchmark.papers.paper import Paper
from benchmark.papers.protocol import Reading
from benchmark.papers.tables import settings, statistic_of
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.session import Session

ON_LOSS = "loss_"
"""Statistics of the regression of ACC on the loss begin so."""

SHARE = "loss_r2"
"""The share of the variance of ACC that this regression explains."""

SELECTED = ("best", "boot_mean")
"""Statistics of the run that the lowest loss selects."""


@dataclass(frozen=True)
class Held:
    """The runs of one side: by replicate their values and records; `constant` where its method has no chance in it.

    `statistic` is what the paper prints of them, of `of` runs.
    """

    label: str
    cell: PlannedCell | None
    values: RunsByReplicate
    lack: Lack | None = None
    constant: bool = False
    statistic: str = ""
    of: int = 1

    def estimate(self, values: RunsByReplicate) -> Estimate | None:
        """Return what `values`, runs of this side, say of the statistic."""
        numbers = [value for value, _ in values.values()]
        if self.constant:
            return Estimate(numbers[0]) if numbers else None
        if self.statistic == "sd":
            return spread_of(numbers)
        if self.selected:
            return best_of([float(record.loss or 0.0) for _, record in values.values()], numbers, self.of)
        return mean_of(numbers)

    @property
    def selected(self) -> bool:
        """Whether the number is that of the run with the lowest loss of several, and as many are planned here.

        Of what five runs tell, the best of twenty cannot be known: there the mean of single runs is compared.
        """
        planned = self.cell.runs if self.cell else 0
        return self.statistic in SELECTED and 1 < self.of <= planned

    @property
    def paired(self) -> bool:
        """Whether runs of two sides may be compared pair by pair: where the number is the mean of single runs."""
        return not (self.constant or self.statistic == "sd" or self.selected)

    @property
    def quantity(self) -> str:
        """What is compared, in words."""
        if self.statistic.startswith(ON_LOSS):
            return "over all runs"
        return "spread" if self.statistic == "sd" else f"best of {self.of}" if self.selected else "mean"

    def against(self, number: float) -> Gap | None:
        """Return the difference of this side and a number without chance."""
        found = self.estimate(self.values)
        return share_apart(found, number) if self.statistic == SHARE else apart(found, Estimate(number))


class Runs:
    """The stored runs of a paper, cell by cell, as claims ask for them; each table is planned once."""

    def __init__(self, session: Session, paper: Paper) -> None:
        self.session, self.paper = session, paper
        self._cells: dict[tuple[str, str, Reading], Mapping[tuple[str, str, str], PlannedCell]] = {}
        self._sides: dict[tuple[Side, str, str, str, Reading], Held] = {}
        self._named: dict[tuple[tuple[str, ...], str, str], Side] = {}

    def compared(self, rule: OfTables, unit: Unit, pair: Pair, profile: str, reading: Reading) -> Compared:
        """Return one comparison of a claim from what is stored in a profile and reading."""
        side = self._side(rule, pair[0], unit.column)
        first = self._held(side, unit.column, unit.metric, profile, reading)
        if isinstance(pair[1], float):
            other, second, label = None, None, f"{pair[1]:g}"
            found = _Found(first.against(pair[1]), False, first.values, {})
        else:
            other = self._side(rule, pair[1], unit.column)
            second = self._held(other, unit.column, unit.second, profile, reading)
            label = second.label
            found = self._against(first, second, unit)
        lacks = tuple(held.lack for held in (first, second) if held is not None and held.lack is not None)
        # What lacks planned runs is shown, and decides nothing: the runs that came first may be those that went well.
        return Compared(
            a=first.label,
            b=label,
            sides=tuple(each for each in (side, other) if each is not None),
            dataset=unit.column,
            metric=unit.metric,
            dataset_label=self.paper.protocol.columns[unit.column].label,
            metric_label=self.paper.protocol.metrics[unit.metric].label,
            quantity=first.quantity,
            tested=Evidence() if lacks else tested_by(rule, found.gap),
            gap=found.gap,
            runs=(len(found.first), len(found.second)),
            paired=found.paired,
            lacks=lacks,
            run_ids=tuple(dict.fromkeys(r.run_id for part in (found.first, found.second) for _, r in part.values())),
        )

    def _side(self, rule: OfTables, text: str, column: str) -> Side:
        key = (rule.tables, text, column)
        if key not in self._named:
            self._named[key] = side_of(self.paper, rule, text, column)
        return self._named[key]

    def incomplete(
        self,
        table: str,
        rows: Sequence[str],
        columns: Sequence[str],
        profile: str,
        reading: Reading,
        *,
        every_setting: bool = False,
    ) -> Iterator[Lack]:
        """Yield the cells of some rows and columns that lack planned runs; of the first setting, or of every one."""
        points = [point.label for point in settings(self.paper.tables[table])]
        for (row, column, setting), cell in self._planned(table, profile, reading).items():
            if row in rows and column in columns and (every_setting or setting == points[0]):
                row_rule = self.paper.method(row)
                label = f"{row_rule.label} at {setting}" if setting else row_rule.label
                where = self.paper.protocol.columns[column].label
                if lack := self._lack(cell, label, where):
                    yield lack

    def _lack(self, cell: PlannedCell, label: str, where: str) -> Lack | None:
        """Return what a cell lacks: a method, a data set, or planned runs."""
        if cell.reason:
            return _reason(cell, label, where)
        stored = len(cell_records(cell.specs, self.session.find))
        if stored >= cell.runs:
            return None
        return Lack("runs", f"{label} on {where} has {stored} of {cell.runs} runs", cell)

    def _against(self, first: Held, second: Held, unit: Unit) -> _Found:
        """Return the difference of two sides, by runs of one kind of machine where one made both."""
        left, right = first.values, second.values
        if not (left and right) or first.cell is None or second.cell is None:
            return _Found(None, False, left, right)
        rule = self.paper.protocol.metrics[unit.metric]
        if unit.metric == unit.second and not rule.statistic.startswith(ON_LOSS):
            left, right = alike(self.session, {0: first.cell, 1: second.cell}, rule, {0: left, 1: right}, 0, 1)
        a, b, paired = matched(left, right) if first.paired and second.paired else ([], [], False)
        base = second.estimate(right)
        gap = paired_gap(a, b) if paired else apart(first.estimate(left), base)
        if gap is not None and base is not None and first.statistic == second.statistic == SHARE:
            gap = as_shares(gap, base.mean)
        return _Found(gap, paired, left, right)

    def _held(self, side: Side, column: str, metric: str, profile: str, reading: Reading) -> Held:
        key = (side, column, metric, profile, reading)
        if key not in self._sides:
            self._sides[key] = self._read(side, column, metric, profile, reading)
        return self._sides[key]

    def _read(self, side: Side, column: str, metric: str, profile: str, reading: Reading) -> Held:
        row, table, rule = (
            self.paper.method(side.row),
            self.paper.tables[side.table],
            self.paper.protocol.metrics[metric],
        )
        label = f"{row.label} at {side.setting}" if side.setting else row.label
        place = self.paper.protocol.columns[column]
        where = place.label
        cells = self._planned(side.table, profile, reading) if profile in place.profiles else {}
        cell = cells.get((side.row, column, side.setting))
        if cell is None:
            return Held(label, None, {}, Lack("data", f"the {profile} profile has no {where}"))
        if cell.reason:
            return Held(label, cell, {}, self._lack(cell, label, where))
        values, without = measured_runs(self.session, cell, rule, label)
        statistic = statistic_of(table, rule)
        if statistic.startswith(ON_LOSS):
            values = _on_loss(values, statistic)
        lack = self._lack(cell, label, where)
        if lack is None and not enough(len(values), cell.runs):
            lack = Lack("runs", without or f"{len(values)} of {cell.runs} runs of {label} on {where} count", None)
        return Held(label, cell, values, lack, cell.deterministic, statistic, table.published_runs or 1)

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


@dataclass(frozen=True)
class _Found:
    """The difference of two sides, whether it is of pairs, and the runs of each that it is made of."""

    gap: Gap | None
    paired: bool
    first: RunsByReplicate
    second: RunsByReplicate


def _reason(cell: PlannedCell, label: str, where: str) -> Lack:
    if cell.reason == NO_DATA:
        return Lack("data", f"no data set of ours is {where}")
    if cell.reason in (NOT_IMPLEMENTED, QUOTED):
        how = "is quoted by the paper, and not run" if cell.reason == QUOTED else "is not implemented"
        return Lack("not implemented", f"{label} {how}")
    return Lack("runs", f"{label} on {where}: {cell.reason}")


def _on_loss(values: RunsByReplicate, statistic: str) -> RunsByReplicate:
    """Return in place of each value its run's part in the regression of ACC on the loss, in which all runs are.

    Of R2 it is the part in Fisher's z, whose sign is that of the whole line: what few runs explain is skewed.
    """
    runs = [(place, record) for place, (_, record) in values.items() if record.history]
    points = [evaluations(record) for _, record in runs]
    found = explained(points) if statistic == SHARE else jackknifed(points, statistic.removeprefix(ON_LOSS))
    parts = zip(runs, found, strict=True)
    return {place: (part, record) for (place, record), part in parts if math.isfinite(part)}
