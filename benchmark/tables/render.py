"""Tables as text: the one way from a computed table to Markdown, LaTeX or CSV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from benchmark.errors import UsageError, did_you_mean
from benchmark.tables import csv_table, latex, latex_paper, markdown
from benchmark.tables.values import DataTable, TableResult

TableFormat = Literal["md", "tex", "csv"]

FORMATS: tuple[str, ...] = get_args(TableFormat)

Style = Literal["full", "paper"]

STYLES: tuple[str, ...] = get_args(Style)

CLEAR = "\n\\clearpage\n\n"
"""Stands between LaTeX tables: many floats in a row are more than LaTeX can hold back."""


def render_table(
    table: TableResult | DataTable, format: TableFormat, *, decimals: int | None = None, style: Style = "full"
) -> str:
    """Return `table` as text in `format`, ending with a newline.

    `decimals` rounds the values of Markdown and LaTeX, in the unit of the table, in place of the table's own number;
    CSV is never rounded. `style` is that of LaTeX: full (all that the table says) or paper (values, caption and label,
    to be pasted into a paper). An unknown format or style, and a style of another format than LaTeX, raise UsageError.
    """
    return render_tables((table,), format, decimals=decimals, style=style)


def render_tables(
    tables: Sequence[TableResult | DataTable],
    format: TableFormat,
    *,
    decimals: int | None = None,
    style: Style = "full",
) -> str:
    """Return all `tables` as one text in `format`, ending with a newline.

    Markdown and LaTeX keep the order given. In CSV the tables of results share one header and come first; each data
    table follows after an empty line, under its own header. No tables give an empty text. `decimals` and `style` are as
    in `render_table`.
    """
    if format not in FORMATS:
        raise UsageError(did_you_mean("table format", format, FORMATS))
    if style not in STYLES:
        raise UsageError(did_you_mean("style of tables", style, STYLES))
    if style == "paper" and format != "tex":
        raise UsageError(f"the style paper is one of LaTeX: --format tex, not {format}.")
    if format == "csv":
        return csv_table.write(tables)
    writer = markdown if format == "md" else latex
    results = latex_paper if style == "paper" else writer
    texts = [
        results.draw_results(table, table.decimals if decimals is None else decimals)
        if isinstance(table, TableResult)
        else writer.draw_data(table)
        for table in tables
    ]
    return ("\n" if format == "md" else CLEAR).join(texts)
