"""Tables as text: the one way from a computed table to Markdown, LaTeX or CSV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from benchmark.errors import UsageError, did_you_mean
from benchmark.tables import csv_table, latex, markdown
from benchmark.tables.values import DataTable, TableResult

TableFormat = Literal["md", "tex", "csv"]

FORMATS: tuple[str, ...] = get_args(TableFormat)


def render_table(table: TableResult | DataTable, format: TableFormat, *, decimals: int | None = None) -> str:
    """Return `table` as text in `format`, ending with a newline.

    `decimals` rounds the values of Markdown and LaTeX, in the unit of the table, in place of the table's own number;
    CSV is never rounded. An unknown format raises UsageError.
    """
    return render_tables((table,), format, decimals=decimals)


def render_tables(
    tables: Sequence[TableResult | DataTable], format: TableFormat, *, decimals: int | None = None
) -> str:
    """Return all `tables` as one text in `format`, ending with a newline.

    Markdown and LaTeX keep the order given. In CSV the tables of results share one header and come first; each data
    table follows after an empty line, under its own header. No tables give an empty text.
    """
    if format not in FORMATS:
        raise UsageError(did_you_mean("table format", format, FORMATS))
    if format == "csv":
        return csv_table.write(tables)
    writer = markdown if format == "md" else latex
    texts = [
        writer.draw_results(table, table.decimals if decimals is None else decimals)
        if isinstance(table, TableResult)
        else writer.draw_data(table)
        for table in tables
    ]
    return "\n".join(texts)
