"""CSV: the machine-readable long form of tables, one line for each cell and reading, numbers unrounded."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from benchmark.measure.verdict import MARGIN
from benchmark.papers.published import Published
from benchmark.printable import printable
from benchmark.tables.layout import is_final, result_of
from benchmark.tables.values import Cell, CellResult, Column, DataTable, Row, TableResult

COUNTS = ("ok", "collapsed", "failed", "diverged", "missing")

COLUMNS = (
    *("paper", "table", "profile", "method", "label", "setting", "reference", "dataset", "metric", "stand_in"),
    *("reading", "unit", "value", "sd", "published", "published_sd", "published_note", "difference", "verdict"),
    *("predicted_difference", "low90", "high90", "low95", "high95", "margin", "judged_sd", "published_runs"),
    *("n_ok", "n", *COUNTS, "stale", "devices", "machines", "run_ids"),
)


FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a cell of a spreadsheet begins with where it is a formula, also in full width."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|-?inf|nan")


def write(tables: Sequence[TableResult | DataTable]) -> str:
    """Return `tables` as CSV: those of results in one long form with one header, then each data table as it is.

    Nothing is rounded: floats are written by repr, published numbers with the decimals of their papers, what is missing
    is an empty field, lists are joined by ";".
    `difference` is value minus published, given for complete cells only. What the verdict rests on stands behind it:
    `predicted_difference` is what our runs predict for the statistic of the paper's `published_runs` (1 where it is
    silent) minus the published value, with the ends of its 90 % and 95 % intervals, the margin, and `judged_sd`, the sd
    that the published number was given. `published_apart` is text, and left out.
    """
    results = [table for table in tables if isinstance(table, TableResult)]
    texts = []
    if results:
        texts.append(_text(COLUMNS, [list(line.values()) for table in results for line in long_form(table)]))
    texts += [_text(table.header, table.rows) for table in tables if isinstance(table, DataTable)]
    return "\n".join(texts)


def long_form(table: TableResult) -> Iterator[dict[str, object]]:
    """Yield one mapping of `COLUMNS` to values for each cell and reading of `table`, row by row."""
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            for reading in table.readings:
                yield _entry(table, row, column, cell, reading)


def _entry(table: TableResult, row: Row, column: Column, cell: Cell, reading: str) -> dict[str, object]:
    result = result_of(cell, reading)
    published = None if table.published_apart else cell.published
    comparable = published is not None and result.value is not None and is_final(result)
    values: tuple[object, ...] = (
        *(table.paper, table.table, table.profile, row.method, row.label, row.setting, row.reference),
        *(column.dataset, column.metric, column.stand_in, reading, table.unit, result.value, result.sd),
        *(_as_printed(published) if published else (None, None, "")),
        result.value - published.value if comparable and published and result.value is not None else None,
        *(result.verdict, *_ground(result, published)),
        *(result.n_ok, result.n, *(result.counts.get(status, 0) for status in COUNTS)),
        *(result.stale, ";".join(result.devices), ";".join(result.machines), ";".join(result.run_ids)),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _ground(result: CellResult, published: Published | None) -> tuple[object, ...]:
    """Return what a verdict rests on: its difference, intervals, margin, the published sd that was used, and m."""
    found = result.judgement
    if found is None or found.interval90 is None or found.interval95 is None or published is None:
        return (None,) * 8
    runs = 1 if published.runs is None else published.runs
    return (found.difference, *found.interval90, *found.interval95, MARGIN, found.published_sd, runs)


def _as_printed(published: Published) -> tuple[object, object, str]:
    """Return a published value, its sd and its note, numbers with the decimals that the paper prints."""
    number = published.value if published.decimals is None else published.number(published.decimals)
    if published.sd is None or published.sd_decimals is None:
        return number, published.sd, published.note
    return number, f"{published.sd:.{published.sd_decimals}f}", published.note


def _text(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(_field, header))
    writer.writerows([_field(value) for value in row] for row in rows)
    return buffer.getvalue()


def _field(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text_field(value)
    # NumPy scalars print as np.float64(...), so they are made plain first.
    return repr(float(value)) if isinstance(value, float) else value


def _text_field(text: str) -> str:
    """Return a text that a spreadsheet takes for a text; one that is a number stays a number.

    >>> _text_field("=1+1"), _text_field("-0.5"), _text_field("ddc")
    ("'=1+1", '-0.5', 'ddc')
    """
    shown = printable(text)
    return f"'{shown}" if text.startswith(FORMULA) and NUMBER.fullmatch(text) is None else shown
