"""LaTeX tables as a paper prints them: our values under a caption and a label, and nothing else.

What a value must not be without stays: how it was made stands in the caption, and a table of few columns fits one
column of a page. Rows and columns without a final value are left out; a TeX comment names them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from benchmark.tables import notes
from benchmark.tables.latex import FIT, NEEDS, body_rows, header_rows
from benchmark.tables.latex_text import escape
from benchmark.tables.layout import (
    ABSENT,
    DAGGER,
    MAX_VALUE_COLUMNS,
    Block,
    column_blocks,
    is_final,
    laid_block,
    result_of,
)
from benchmark.tables.values import LINES, Cell, CellResult, TableResult

MAX_WIDE_COLUMNS = 12
"""A table over both columns of a page has at most so many value columns."""


def draw_results(table: TableResult, decimals: int) -> str:
    """Return the final values of `table` as floats to be pasted: narrow ones for one column of a page, or wide.

    Of a row, our line is drawn alone, unless the table names its lines. One without a final value is a TeX comment.
    """
    table = replace(table, lines=LINES[:1] if table.lines == LINES else table.lines)
    kept, left = _final_part(table)
    name = f"{table.paper}/{table.table}, profile {table.profile}"
    if not kept.rows:
        return f"% {name}: no cell has a final value.\n"
    parts = [part for table in _alike(kept) for part in _parts(table, decimals)]
    floats = [_float(table, block, wide, (i, len(parts))) for i, (table, block, wide) in enumerate(parts, 1)]
    comments = [f"% {name}."] + ([f"% Left out, without a final value: {', '.join(left)}."] if left else [])
    return "\n".join((NEEDS, *comments, *floats))


def _parts(table: TableResult, decimals: int) -> list[tuple[TableResult, Block, str]]:
    """Return a table as the blocks of its floats, each with the environment that it takes."""
    n_readings = len(table.readings)
    narrow = len(table.columns) * n_readings <= MAX_VALUE_COLUMNS
    places = column_blocks(table.columns, n_readings, MAX_VALUE_COLUMNS if narrow else MAX_WIDE_COLUMNS)
    environment = "table" if narrow else "table*"
    return [(table, laid_block(table, block, {}, decimals), environment) for block in places]


def _alike(table: TableResult) -> list[TableResult]:
    """Split a table so that no column of values is empty: by the readings under which a column has final values."""
    found: dict[tuple[str, ...], list[int]] = {}
    for place in range(len(table.columns)):
        cells = [row.cells[place] for row in table.rows if not row.reference]
        there = (name for name in table.readings if any(is_final(result_of(cell, name)) for cell in cells))
        found.setdefault(tuple(there), []).append(place)
    return [_columns_of(table, readings, places) for readings, places in found.items()]


def _columns_of(table: TableResult, readings: tuple[str, ...], places: Sequence[int]) -> TableResult:
    """Return the table with these columns under these readings, and the rows that have final values there."""
    rows = [replace(row, cells=tuple(row.cells[place] for place in places)) for row in table.rows]
    held = [row for row in rows if any(is_final(result_of(cell, name)) for cell in row.cells for name in readings)]
    columns = tuple(table.columns[place] for place in places)
    return replace(table, readings=readings, columns=columns, rows=tuple(held))


def _final_part(table: TableResult) -> tuple[TableResult, list[str]]:
    """Return the table without rows, columns and readings that have no final value, and the names of those rows."""

    def final(row: int, column: int, reading: str) -> bool:
        return is_final(result_of(table.rows[row].cells[column], reading))

    n_rows, n_columns = range(len(table.rows)), range(len(table.columns))
    own = [i for i in n_rows if not table.rows[i].reference]
    readings = tuple(r for r in table.readings if any(final(i, j, r) for i in own for j in n_columns))
    columns = [j for j in n_columns if any(final(i, j, r) for i in own for r in readings)]
    rows = [i for i in n_rows if any(final(i, j, r) for j in columns for r in readings)]
    kept = tuple(replace(table.rows[i], cells=tuple(_final(table.rows[i].cells[j]) for j in columns)) for i in rows)
    names = [f"{row.label} {row.setting}".strip() for i, row in enumerate(table.rows) if i not in rows]
    names += [f"{c.dataset_label} {c.metric_label}" for j, c in enumerate(table.columns) if j not in columns]
    names += [f"reading {name}" for name in table.readings if name not in readings]
    left = replace(table, readings=readings, columns=tuple(table.columns[j] for j in columns), rows=kept)
    return left, [" ".join(name.split()) for name in names]


def _final(cell: Cell) -> Cell:
    absent = CellResult(why=ABSENT)
    return replace(cell, results={name: ours if is_final(ours) else absent for name, ours in cell.results.items()})


def _float(table: TableResult, block: Block, environment: str, part: tuple[int, int]) -> str:
    settings = any(row.setting for row in (*block.rows, *block.references))
    labels = ["Method", "Setting"] if settings else ["Method"]
    n_values = len(block.columns) * len(table.readings)
    grid = [f"\\begin{{tabular}}{{@{{}}{'l' * len(labels)}{'c' * n_values}@{{}}}}", r"\toprule"]
    grid += [*header_rows(table, block, labels), r"\midrule", *body_rows(block.rows, settings)]
    if block.references:
        grid += [r"\midrule", *body_rows(block.references, settings)]
    grid += [r"\bottomrule", r"\end{tabular}}%"]
    label = f"{table.paper}-{table.table}" + (f"-part{part[0]}" if part[0] > 1 else "")
    name = re.sub("[^A-Za-z0-9-]+", "-", label)
    lines = [f"\\begin{{{environment}}}[t]", r"\centering", r"\setlength{\belowcaptionskip}{4pt}"]
    lines += [
        f"\\caption{{{_caption(table, block, part)}}}",
        f"\\label{{tab:{name}}}",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{3pt}",
    ]
    return "\n".join((*lines, r"\sbox0{%", *grid, FIT, f"\\end{{{environment}}}", ""))


def _caption(table: TableResult, block: Block, part: tuple[int, int]) -> str:
    inks = [ink for _, ink in block.inks()]
    styles = {ink.style for ink in inks}
    near = r", \underline{underlined}: within one sd of it" if "near" in styles else ""
    marked = any(DAGGER in ink.marks for ink in inks)
    sentences = [
        escape(notes.caption(table)),
        *(escape(text.rstrip(".")) for text in table.footnotes if text.startswith(notes.VALUE)),
        escape(f"{notes.circumstances(table).rstrip('.')}; sd in parentheses"),
        *([f"\\textbf{{Bold}}: best of a column{near}"] if "best" in styles else []),
        *([f"\\textsuperscript{{{escape(DAGGER)}}}: made wholly or in part by other code than today's"] * marked),
        *([f"Part {part[0]} of {part[1]}"] if part[1] > 1 else []),
    ]
    return " ".join(f"{sentence}." for sentence in sentences)
