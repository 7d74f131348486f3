"""Layout: which text stands where in a table of results, before any markup.

A row of the table becomes up to five lines: our value, the value so far of incomplete cells, the published value, the
verdict, and the runs. Wide tables are split into blocks of columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from benchmark.measure.ties import tied
from benchmark.measure.verdict import INCOMPLETE, NO_DATA, NOT_IMPLEMENTED, NOT_RUN, OUT_OF_MEMORY, QUOTED
from benchmark.tables.values import BLANK, Cell, CellResult, Column, Row, TableResult

MAX_VALUE_COLUMNS = 4
"""A block of a table has at most so many value columns: four fit a terminal and the width of a page."""

REASONS = (NOT_RUN, NO_DATA, NOT_IMPLEMENTED, QUOTED)
"""The verdicts that say why there is no value of ours."""

DAGGER = "†"

ABSENT = "–"
"""Stands for a number that the paper does not give."""

Style = Literal["plain", "best", "near", "partial", "reason"]
Position = tuple[int, int, str]
"""The index of a row, the index of a column, and a reading."""


@dataclass(frozen=True)
class Ink:
    """A text to be drawn over `span` value columns in a style, with marks that point to footnotes.

    `best` and `near` (within one sd of the best) are highlights, `partial` is a value that is not final, and `reason`
    words in the place of a value.
    """

    text: str
    style: Style = "plain"
    marks: tuple[str, ...] = ()
    span: int = 1


@dataclass(frozen=True)
class Line:
    """One line of a row: `name` is ours, so far, published, verdict or runs."""

    name: str
    inks: tuple[Ink, ...]

    @property
    def label(self) -> str:
        """What names the line in the table; a value so far says so itself."""
        return "" if self.name == "so far" else self.name


@dataclass(frozen=True)
class LaidRow:
    """A row of the table within a block, as lines; the first is always ours."""

    label: str
    setting: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Block:
    """Some columns of a table for all its rows; the reference rows are apart."""

    columns: tuple[Column, ...]
    rows: tuple[LaidRow, ...]
    references: tuple[LaidRow, ...]

    def inks(self) -> list[tuple[str, Ink]]:
        """Return every text of the block with the name of its line."""
        return [(line.name, ink) for row in (*self.rows, *self.references) for line in row.lines for ink in line.inks]


def lay_out(table: TableResult, notes: Mapping[str, str], decimals: int) -> tuple[Block, ...]:
    """Return the blocks of `table`; `notes` maps the notes of published values to their footnote marks."""
    places = column_blocks(table.columns, len(table.readings))
    return tuple(laid_block(table, block, notes, decimals) for block in places)


def laid_block(table: TableResult, places: Sequence[int], notes: Mapping[str, str], decimals: int) -> Block:
    """Return the block of the columns at `places`."""
    styles = highlights(table)
    laid = []
    for index, row in enumerate(table.rows):
        lines = _lines(table, index, places, styles, notes, decimals)
        laid.append((row.reference, LaidRow(row.label, row.setting, lines)))
    rows, references = (tuple(row for is_reference, row in laid if is_reference is kind) for kind in (False, True))
    return Block(tuple(table.columns[place] for place in places), rows, references)


def split_rows(block: Block, most: int) -> list[Block]:
    """Split a block into blocks of at most `most` lines of rows, of whole rows; reference rows come last."""
    blocks: list[Block] = []
    kinds = [(row, False) for row in block.rows] + [(row, True) for row in block.references]
    page: list[tuple[LaidRow, bool]] = []
    for place in range(len(kinds)):
        page.append(kinds[place])
        after = kinds[place + 1][0].lines if place + 1 < len(kinds) else None
        if after is None or sum(len(laid.lines) for laid, _ in page) + len(after) > most:
            rows, references = (tuple(laid for laid, kind in page if kind is wanted) for wanted in (False, True))
            blocks.append(Block(block.columns, rows, references))
            page = []
    return blocks


def column_blocks(columns: Sequence[Column], n_readings: int, most: int = MAX_VALUE_COLUMNS) -> list[tuple[int, ...]]:
    """Split columns into blocks of at most `most` value columns, given as indices.

    A column takes one value column per reading, and its readings stay together. Data sets that fit stay whole; one that
    is too wide is split by metric.
    """
    room = max(1, most // max(1, n_readings))
    blocks: list[tuple[int, ...]] = []
    for _, group in groupby(range(len(columns)), key=lambda place: columns[place].dataset):
        places = tuple(group)
        if blocks and len(blocks[-1]) + len(places) <= room:
            blocks[-1] += places
        else:
            blocks += [places[start : start + room] for start in range(0, len(places), room)]
    return blocks


def highlights(table: TableResult) -> dict[Position, Style]:
    """Return where the best value of each column and reading stands, and those within one sd (the best's) of it.

    Reference rows and cells that are not final take no part. Nothing is highlighted where a single value has no
    rival, or where the table does not say which direction of the metric is better.
    """
    styles: dict[Position, Style] = {}
    for place, column in enumerate(table.columns):
        higher = table.higher_is_better.get(column.metric)
        for reading in table.readings if higher is not None else ():
            rivals = {
                index: result
                for index, row in enumerate(table.rows)
                if not row.reference and is_final(result := result_of(row.cells[place], reading))
            }
            ranked = _ranked(rivals, 1.0 if higher else -1.0)
            styles |= {(index, place, reading): style for index, style in ranked.items()}
    return styles


def _ranked(rivals: Mapping[int, CellResult], sign: float) -> dict[int, Style]:
    scores = {index: sign * result.value for index, result in rivals.items() if result.value is not None}
    if len(scores) < 2:
        return {}
    best = max(scores, key=lambda index: scores[index])
    reach = rivals[best].sd or 0.0
    ranked: dict[int, Style] = {}
    for index, score in scores.items():
        gap = scores[best] - score
        if tied(scores[best], score):
            ranked[index] = "best"
        elif gap <= reach or tied(gap, reach, scale=abs(scores[best])):
            ranked[index] = "near"
    return ranked


def result_of(cell: Cell, reading: str) -> CellResult:
    """Return our result under `reading`; an empty one where the cell has none."""
    return cell.results.get(reading, CellResult())


def is_incomplete(result: CellResult) -> bool:
    """Say whether planned runs are still to come, or too few of them entered; failed and diverged ones have been."""
    lost = _lost(result)
    if not result.n_ok and lost and lost >= result.n:
        return False
    return result.verdict == INCOMPLETE or 0 < result.n_ok < result.n - lost


def is_final(result: CellResult) -> bool:
    """Say whether there is a finite value from all the planned runs."""
    return result.value is not None and math.isfinite(result.value) and not is_incomplete(result)


def _lost(result: CellResult) -> int:
    return result.counts.get("failed", 0) + result.counts.get("diverged", 0)


def _lines(
    table: TableResult,
    index: int,
    places: Sequence[int],
    styles: Mapping[Position, Style],
    notes: Mapping[str, str],
    decimals: int,
) -> tuple[Line, ...]:
    row = table.rows[index]
    found = [
        (result_of(row.cells[place], reading), styles.get((index, place, reading), "plain"))
        for place in places
        for reading in table.readings
    ]
    lines = (
        Line("ours", tuple(_ours(result, style, decimals) for result, style in found)),
        Line("so far", tuple(_so_far(result, decimals) for result, _ in found)),
        Line("published", _published(table, row, places, notes, decimals)),
        Line("verdict", tuple(Ink(_verdict(result)) for result, _ in found)),
        Line("runs", tuple(Ink(_runs(result), marks=_stale(result)) for result, _ in found)),
    )
    wanted = {*table.lines, "so far"}
    return tuple(
        line for line in lines if line.name == "ours" or (line.name in wanted and any(ink.text for ink in line.inks))
    )


def _ours(result: CellResult, style: Style, decimals: int) -> Ink:
    if is_incomplete(result) and not (result.why and not result.n_ok):
        return Ink(f"incomplete {result.n_ok}/{result.n}", "reason")
    if result.value is None:
        return Ink(_reason(result), "reason")
    return Ink(_number(result.value, result.sd, decimals), style, _stale(result))


def _stale(result: CellResult) -> tuple[str, ...]:
    return (DAGGER,) if result.stale else ()


def _reason(result: CellResult) -> str:
    if result.why and not result.n_ok:
        return result.why
    if result.verdict in (BLANK, OUT_OF_MEMORY):
        return "" if result.verdict == BLANK else "-"
    if result.verdict in REASONS:
        return result.verdict
    if result.n_ok:
        return "no value"
    return "no run succeeded" if _lost(result) else NOT_RUN


def _so_far(result: CellResult, decimals: int) -> Ink:
    if result.value is None or not is_incomplete(result):
        return Ink("")
    return Ink(f"so far {_number(result.value, result.sd, decimals)}", "partial", _stale(result))


def _published(
    table: TableResult, row: Row, places: Sequence[int], notes: Mapping[str, str], decimals: int
) -> tuple[Ink, ...]:
    numbers = [row.cells[place].published for place in places]
    if table.published_apart or not any(numbers):
        return ()
    inks = []
    for number in numbers:
        text = number.text(decimals) if number else ABSENT
        mark = notes.get(number.note, "") if number else ""
        inks.append(Ink(text, marks=(mark,) if mark else (), span=len(table.readings)))
    return tuple(inks)


def _verdict(result: CellResult) -> str:
    if result.verdict == OUT_OF_MEMORY:
        return result.verdict
    # Incomplete cells and those without a value say so in the place of the value.
    return "" if result.value is None or is_incomplete(result) else result.verdict


def _runs(result: CellResult) -> str:
    if not result.n_ok and not _lost(result):
        return ""
    collapsed = result.counts.get("collapsed", 0)
    # Collapsed runs are among those that entered, so they stand in parentheses; the others stand beside.
    parts = [f"{result.n_ok}/{result.n}" + (f" ({collapsed} collapsed)" if collapsed else "")]
    beside = {status: result.counts.get(status, 0) for status in ("diverged", "failed", "missing")}
    parts += [f"{count} {status}" for status, count in (beside | {"stale": result.stale}).items() if count]
    return ", ".join(parts)


def _number(value: float, sd: float | None, decimals: int) -> str:
    text = f"{value:z.{decimals}f}"
    return text if sd is None else f"{text} ({sd:.{decimals}f})"
