"""Cells: what a rendered table is made of, computed from specs and stored records, ready for drawing.

These are values that only know how they are written; this folder draws them, and nothing here trains.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmark.papers.published import Published

if TYPE_CHECKING:
    from benchmark.measure.judgement import Judgement

LINES = ("ours", "published", "verdict", "runs")
"""The lines of a row; a value so far of a cell that is not complete goes with ours."""

BLANK = "blank"
"""The verdict of a cell that its row does not have: neither planned nor counted, and drawn empty."""


@dataclass(frozen=True)
class CellResult:
    """What our runs say for one cell under one reading.

    `value` and `sd` are in the unit of the table; None when there is nothing to show. `sd` says how far the value would
    vary over new sets of runs: the bootstrap's sd of a best or a highest value, the standard error of a mean; None for
    one run and for an sd. `n_ok` of `n` planned runs entered the statistic; `counts` has the number of runs by status
    (ok, collapsed, failed, diverged, missing), `stale` those made by other code. `verdict` is one of
    `benchmark.measure.verdict`, blank, or "" where none is given (reduced profiles); `judgement` is what it
    rests on, where the rule was asked. `run_ids` are the stored runs, in replicate order; `machines` the kinds that
    made them, that with the most first: one, unless no kind made all of them. `why` says in a few words why stored runs
    give no number ("history has no drift: ...").
    """

    value: float | None = None
    sd: float | None = None
    n_ok: int = 0
    n: int = 0
    verdict: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    stale: int = 0
    run_ids: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    why: str = ""
    judgement: Judgement | None = None


@dataclass(frozen=True)
class Cell:
    """One cell: the published number, if any, and our result for each reading shown."""

    published: Published | None
    results: dict[str, CellResult]


@dataclass(frozen=True)
class Column:
    """A pair of data set and metric: `dataset` and `metric` are ids, the labels are for people.

    `stand_in` marks a real data set used where the paper's cannot be had; `note` is shown below the table.
    """

    dataset: str
    metric: str
    dataset_label: str
    metric_label: str
    stand_in: bool = False
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A method, with a setting where the table varies one; `reference` rows are ours, in no table of the paper.

    A `guest` is a method that was asked for by name; it competes with the paper's rows. `cells` align with the columns
    of the table.
    """

    method: str
    label: str
    setting: str = ""
    reference: bool = False
    cells: tuple[Cell, ...] = ()
    guest: bool = False


@dataclass(frozen=True)
class TableResult:
    """A whole table for one profile: `readings` in the order shown, `facts` (runs, epochs, samples...) stated below it.

    `unit` is shown in the caption ("%"), `decimals` are those of its values; `higher_is_better` by metric id decides
    what is bold. `published_apart` says that published numbers stand in a table of their own because the columns are
    not the paper's (quick profile). `lines` are those of a row that are drawn for people.
    """

    paper: str
    table: str
    title: str
    profile: str
    readings: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    unit: str = "%"
    facts: tuple[str, ...] = ()
    footnotes: tuple[str, ...] = ()
    higher_is_better: dict[str, bool] = field(default_factory=dict)
    published_apart: tuple[tuple[str, ...], ...] = ()
    decimals: int = 1
    lines: tuple[str, ...] = LINES


@dataclass(frozen=True)
class DataTable:
    """A table of plain facts (such as the data sets of a paper): a header and rows of text."""

    paper: str
    table: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    footnotes: tuple[str, ...] = ()
