"""Parts of a table of results: the rows and columns with stored runs, and the lines of a row that are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from benchmark.errors import UsageError, did_you_mean
from benchmark.tables.values import BLANK, LINES, Cell, DataTable, TableResult

T = TypeVar("T", TableResult, DataTable, TableResult | DataTable)


def excerpts(tables: Sequence[TableResult | DataTable], some: bool | None) -> list[TableResult | DataTable]:
    """Return tables with stored rows and columns only, whole ones (`some` False), or as they are most `readable`.

    A table of results without any stored run is left out where only stored ones are wanted.
    """
    if some is None:
        return [readable(table) for table in tables]
    cut = [stored_only(table) if some and isinstance(table, TableResult) else table for table in tables]
    return [table for table in cut if not isinstance(table, TableResult) or table.rows]


def readable(table: T) -> T:
    """Return a table without the rows and columns that have no stored run where most of its cells have none."""
    if not isinstance(table, TableResult):
        return table
    cells = [cell for row in table.rows for cell in row.cells if not _blank(cell)]
    stored = sum(map(is_stored, cells))
    return stored_only(table) if 0 < stored < len(cells) / 2 else table


def stored_only(table: TableResult) -> TableResult:
    """Return a table with the rows and columns that have a stored run; a footnote names the others."""
    rows = [row for row in table.rows if any(map(is_stored, row.cells))]
    places = [place for place in range(len(table.columns)) if any(is_stored(row.cells[place]) for row in rows)]
    shown = tuple(replace(row, cells=tuple(row.cells[place] for place in places)) for row in rows)
    columns = tuple(table.columns[place] for place in places)
    lacking = dict.fromkeys(row.label for row in table.rows if row.label not in {row.label for row in rows})
    bare = dict.fromkeys(c.dataset_label for c in table.columns if c.dataset not in {c.dataset for c in columns})
    left = [f"{what} {', '.join(names)}" for what, names in (("rows", lacking), ("columns", bare)) if names]
    note = f"Left out, as no run of theirs is stored: {'; '.join(left)}. `tables --all-rows` shows them."
    return replace(table, rows=shown, columns=columns, footnotes=(*table.footnotes, *([note] if left else [])))


def is_stored(cell: Cell) -> bool:
    """Whether any run of a cell is stored, whatever its status."""
    return any(result.run_ids for result in cell.results.values())


def chosen_lines(names: str) -> tuple[str, ...]:
    """Return the lines that a text such as ``ours,published`` names, or raise UsageError; ours is always one."""
    chosen = tuple(name.strip() for name in names.split(","))
    for name in chosen:
        if name not in LINES:
            raise UsageError(did_you_mean("line of a row", name, LINES))
    if LINES[0] not in chosen:
        raise UsageError(f"--rows {names!r} leaves out {LINES[0]!r}, the line that carries the name of a row.")
    return chosen


def with_lines(tables: Sequence[TableResult | DataTable], lines: tuple[str, ...]) -> list[TableResult | DataTable]:
    """Return tables that show only these lines of a row."""
    return [replace(table, lines=lines) if isinstance(table, TableResult) else table for table in tables]


def _blank(cell: Cell) -> bool:
    return all(result.verdict == BLANK for result in cell.results.values())
