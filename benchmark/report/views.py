"""What pages are made of: each table in every profile and reading with stored runs, and each of its cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmark.analysis.assemble import assemble
from benchmark.measure.verdict import INCOMPLETE, NOT_RUN
from benchmark.papers.paper import Paper, load_paper
from benchmark.papers.protocol import PROFILES, Reading
from benchmark.papers.published import Published
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.report.cells import CellPages
from benchmark.session import Session
from benchmark.tables.layout import is_incomplete, result_of
from benchmark.tables.notes import dataset_label
from benchmark.tables.values import BLANK, CellResult, TableResult

FULL = "paper"
"""The profile that spends what the paper did; every other is reduced, and gives no verdict."""

NO_VERDICT = "no verdict"


@dataclass(frozen=True)
class View:
    """One table in one profile and reading: the planned cells and what they came to."""

    profile: str
    reading: Reading
    cells: tuple[PlannedCell, ...]
    result: TableResult


@dataclass(frozen=True)
class Standing:
    """One number of one table in one profile and reading, as every page tells of it.

    `row` and `column` are ids in the paper, `method` and `dataset` registered names ("" where there is none); `page` is
    the page of the cell, "" where no run is stored. `cell` is what was planned, None where the row lacks the column.
    """

    paper: str
    table: str
    row: str
    column: str
    setting: str
    metric: str
    profile: str
    reading: str
    method: str
    dataset: str
    label: str
    dataset_label: str
    metric_label: str
    unit: str
    decimals: int
    reference: bool
    stand_in: bool
    published: Published | None
    result: CellResult
    page: str
    cell: PlannedCell | None

    @property
    def state(self) -> str:
        """The verdict, or what stands in its place."""
        return state_of(self.result)

    @property
    def reduced(self) -> bool:
        """Whether the profile spends less than the paper did."""
        return self.profile != FULL

    @property
    def complete(self) -> bool:
        """Whether there is a value, from all the runs that were to come."""
        return self.result.value is not None and not is_incomplete(self.result)

    @property
    def ours(self) -> str:
        """Our value (sd) with the digits of the table, "" without one."""
        return number(self.result.value, self.result.sd, self.decimals)

    @property
    def theirs(self) -> str:
        """The published value (sd) with the digits of the paper, "" without one."""
        return self.published.text(self.decimals) if self.published else ""

    @property
    def runs(self) -> str:
        """How many of the planned runs entered."""
        return f"{self.result.n_ok}/{self.result.n} runs"


def number(value: float | None, sd: float | None, decimals: int) -> str:
    """Return a value, with its sd in parentheses, rounded to `decimals`.

    >>> number(67.94, 1.58, 1), number(None, None, 1)
    ('67.9 (1.6)', '')
    """
    if value is None:
        return ""
    return f"{value:z.{decimals}f}" + ("" if sd is None else f" ({sd:.{decimals}f})")


def state_of(result: CellResult) -> str:
    """Return the verdict of a result, or why it has none."""
    if result.verdict:
        return result.verdict
    if result.value is None:
        return NOT_RUN
    return INCOMPLETE if is_incomplete(result) else NO_VERDICT


def result_tables(name: str) -> list[str]:
    """Return the tables of a paper that runs stand behind."""
    return [table for table, rule in load_paper(name).tables.items() if rule.kind == "results"]


def views_of(session: Session, paper: Paper, table: str) -> Iterator[View]:
    """Yield every profile and reading of a table that has stored runs; without any, that of the paper, empty."""
    found = False
    for profile in reversed(PROFILES):
        for reading in paper.protocol.profiles[profile].readings:
            asked = Request(profile, (paper.id,), (f"{paper.id}/{table}",), readings=(reading,))
            cells = plan_cells(asked)
            own = [cell for cell in cells if not cell.reference]
            if any(session.find(spec) for cell in own for spec in cell.specs):
                found = True
                yield _view(session, paper, table, profile, reading, cells)
    if not found:
        asked = Request(FULL, (paper.id,), (f"{paper.id}/{table}",), readings=("paper",))
        yield _view(session, paper, table, FULL, "paper", plan_cells(asked))


def _view(session: Session, paper: Paper, table: str, profile: str, reading: Reading, cells: list[PlannedCell]) -> View:
    result = assemble(paper, table, cells, session.find, session.stale, (reading,), session.renewed)
    return View(profile, reading, tuple(cells), result)


def standings(views: Sequence[View], pages: CellPages) -> Iterator[Standing]:
    """Yield every number of some views; `pages` knows which of their cells have a page."""
    for view in views:
        table = view.result
        paper = load_paper(table.paper)
        planned = {(cell.row, cell.column, cell.setting): cell for cell in view.cells}
        for row in table.rows:
            for column, drawn in zip(table.columns, row.cells, strict=True):
                result = result_of(drawn, view.reading)
                cell = planned.get((row.method, column.dataset, row.setting))
                if result.verdict == BLANK:
                    continue
                yield Standing(
                    paper=table.paper,
                    table=table.table,
                    row=row.method,
                    column=column.dataset,
                    setting=row.setting,
                    metric=column.metric,
                    profile=view.profile,
                    reading=view.reading,
                    method=paper.method(row.method).method,
                    dataset=cell.resolved.spec.data.name if cell and cell.resolved else "",
                    label=row.label,
                    dataset_label=dataset_label(column),
                    metric_label=column.metric_label,
                    unit=table.unit,
                    decimals=table.decimals,
                    reference=row.reference,
                    stand_in=column.stand_in,
                    published=drawn.published,
                    result=result,
                    page=pages.page(table.paper, table.table, row.method, column.dataset, row.setting, view),
                    cell=cell,
                )
