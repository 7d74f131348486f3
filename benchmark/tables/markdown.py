"""Markdown tables, readable on a terminal as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tabulate import tabulate

from benchmark.printable import printable
from benchmark.tables import notes
from benchmark.tables.layout import DAGGER, Block, Ink, LaidRow, lay_out
from benchmark.tables.values import DataTable, TableResult


def draw_results(table: TableResult, decimals: int) -> str:
    """Return a table of results as Markdown: heading, circumstances, blocks, legend, footnotes, published apart."""
    marks = notes.published_marks(table)
    blocks = lay_out(table, marks, decimals)
    parts = [f"### {escape(notes.title(table))}", escape(notes.circumstances(table))]
    parts += [f"> {notes.REDUCED}"] if notes.is_reduced(table) else []
    parts += [_block(table, block) for block in blocks]
    parts.append(notes.table_legend(blocks, "**bold**", "<u>underlined</u>"))
    parts += _footnotes(notes.footnotes(table, blocks, marks))
    if table.published_apart:
        parts.append(f"#### {notes.APART}")
        parts += [_grid(rows[0], rows[1:]) for rows in notes.text_blocks(table.published_apart)]
    return "\n\n".join(parts) + "\n"


def draw_data(table: DataTable) -> str:
    """Return a table of plain facts as Markdown."""
    parts = [f"### {escape(notes.title(table))}", _grid(table.header, table.rows)]
    parts += _footnotes([notes.Footnote("", text) for text in table.footnotes])
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    r"""Return `text` on one line with what Markdown would read as markup, HTML or a link escaped.

    >>> print(escape("DC* | DDC-UCO_T"))
    DC\* \| DDC-UCO_T
    """
    return re.sub(r"([\\`*|<$~]|(?<!\w)_|_(?!\w)|&(?=[#\w])|\](?=[(\[:]))", r"\\\1", " ".join(printable(text).split()))


def _block(table: TableResult, block: Block) -> str:
    settings = any(row.setting for row in table.rows)
    readings = [f", {reading}" if len(table.readings) > 1 else "" for reading in table.readings]
    headers = ["Method", *(["Setting"] if settings else []), ""]
    headers += [
        escape(f"{notes.dataset_label(column)} {column.metric_label}{reading}")
        for column in block.columns
        for reading in readings
    ]
    rows = [line for row in block.rows for line in _row(row, settings)]
    if block.references:
        rows.append([f"*{notes.REFERENCE}*"] + [""] * (len(headers) - 1))
        rows += [line for row in block.references for line in _row(row, settings)]
    n_labels = 3 if settings else 2
    aligned = ["left"] * n_labels + ["right"] * (len(headers) - n_labels)
    return _tabulate(headers, rows, aligned)


def _row(row: LaidRow, settings: bool) -> list[list[str]]:
    lines = []
    for line in row.lines:
        first = line.name == "ours"
        labels = [row.label, *([row.setting] if settings else [])]
        cells = [_ink(ink) for ink in line.inks for _ in range(ink.span)]
        lines.append([escape(label) if first else "" for label in labels] + [line.label, *cells])
    return lines


def _ink(ink: Ink) -> str:
    before, after = {"best": ("**", "**"), "near": ("<u>", "</u>"), "partial": ("*", "*")}.get(ink.style, ("", ""))
    marks = "".join(mark if mark == DAGGER else f" [{mark}]" for mark in ink.marks)
    return f"{before}{escape(ink.text)}{after}{marks}"


def _footnotes(footnotes: Sequence[notes.Footnote]) -> list[str]:
    lines = [_footnote(note) for note in footnotes]
    return ["\n".join(lines)] if lines else []


def _footnote(note: notes.Footnote) -> str:
    mark = f"{note.mark} " if note.mark == DAGGER else f"[{note.mark}] " if note.mark else ""
    return f"- {mark}{escape(note.text)}"


def _grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    columns = list(zip(*rows, strict=True))
    aligned = ["right" if notes.is_numeric(column) else "left" for column in columns] or ["left"] * len(header)
    return _tabulate([escape(text) for text in header], [[escape(text) for text in row] for row in rows], aligned)


def _tabulate(headers: Sequence[str], rows: Sequence[Sequence[str]], aligned: Sequence[str]) -> str:
    # Without numparse: tabulate would rewrite numbers such as 88.20 and align mixed columns by guess.
    return tabulate(
        rows, headers=headers, tablefmt="pipe", colalign=aligned if rows else None, disable_numparse=True, missingval=""
    )
