"""LaTeX tables: fragments for booktabs, to be pasted into a paper.

Each block of columns is a float over the whole width of the page, with the whole caption, so that no part looks like
more than it is; in a class with one column `table*` is `table`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby

from benchmark.tables import notes
from benchmark.tables.latex_text import escape
from benchmark.tables.layout import Block, Ink, LaidRow, lay_out, split_rows
from benchmark.tables.values import DataTable, TableResult

NEEDS = "% Needs \\usepackage{booktabs,graphicx}."

MAX_FLOATS = 12
"""So many floats in a row are printed before others come: LaTeX can hold only some dozens back."""

MAX_LINES = 21
"""A float has at most so many lines of rows: with header and notes they fill a page."""

FIT = r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi"
"""Draws the box 0, shrunk to the width of the text where it is wider."""


def draw_results(table: TableResult, decimals: int) -> str:
    """Return a table of results as one `table` environment per block, and one for numbers published apart."""
    marks = notes.published_marks(table)
    blocks = [page for block in lay_out(table, marks, decimals) for page in split_rows(block, MAX_LINES)]
    label = f"{table.paper}-{table.table}-{table.profile}"
    bodies = [f"{_block(table, block)}\n{_below(_notes(table, block, marks))}" for block in blocks]
    text = _floats(notes.caption(table), _circumstances(table), label, bodies)
    if table.published_apart:
        bodies = [_grid(rows[0], rows[1:]) for rows in notes.text_blocks(table.published_apart)]
        heading = f"{notes.APART}: {notes.caption(table)}"
        text += "\n" + _floats(heading, "", f"{label}-published", bodies)
    return f"{NEEDS}\n{text}"


def draw_data(table: DataTable) -> str:
    """Return a table of plain facts as a `table` environment."""
    below = [_below([escape(text) for text in table.footnotes])] if table.footnotes else []
    body = "\n".join((_grid(table.header, table.rows), *below))
    text = _floats(notes.caption(table), "", f"{table.paper}-{table.table}", [body])
    return f"{NEEDS}\n{text}"


def _circumstances(table: TableResult) -> str:
    reduced = f" \\emph{{{notes.REDUCED.capitalize()}.}}" if notes.is_reduced(table) else ""
    return f" {escape(notes.circumstances(table))}{reduced}"


def _floats(title: str, more: str, label: str, bodies: Sequence[str]) -> str:
    texts = []
    for i, body in enumerate(bodies, 1):
        part = f" Part {i} of {len(bodies)}." if len(bodies) > 1 else ""
        name = re.sub("[^A-Za-z0-9-]+", "-", label if i == 1 else f"{label}-part{i}")
        lines = [r"\begin{table*}[tp]", r"\centering", r"\setlength{\belowcaptionskip}{4pt}"]
        lines += [f"\\caption[{escape(title)}]{{{escape(title)}.{more}{part}}}", f"\\label{{tab:{name}}}"]
        lines += [r"\small", r"\setlength{\tabcolsep}{4pt}", body, r"\end{table*}", ""]
        lines += ["\\clearpage", ""] if i % MAX_FLOATS == 0 and i < len(bodies) else []
        texts.append("\n".join(lines))
    return "\n".join(texts)


def _notes(table: TableResult, block: Block, marks: Mapping[str, str]) -> list[str]:
    legend = notes.table_legend([block], r"\textbf{bold}", r"\underline{underlined}")
    return [legend, *(_footnote(note) for note in notes.footnotes(table, [block], marks))]


def _below(texts: Sequence[str]) -> str:
    lines = ["", r"\smallskip", r"\begin{minipage}{\linewidth}", r"\footnotesize"]
    return "\n".join((*lines, *(f"{text}\\par" for text in texts), r"\end{minipage}"))


def _block(table: TableResult, block: Block) -> str:
    settings = any(row.setting for row in table.rows)
    labels = ["Method", "Setting"] if settings else ["Method"]
    n_values = len(block.columns) * len(table.readings)
    lines = [f"\\begin{{tabular}}{{@{{}}{'l' * len(labels)}{'c' * n_values}@{{}}}}", r"\toprule"]
    lines += [*header_rows(table, block, labels), r"\midrule"]
    lines += body_rows(block.rows, settings)
    if block.references:
        lines += [r"\midrule"] if block.rows else []
        lines.append(f"\\multicolumn{{{len(labels) + n_values}}}{{@{{}}l}}{{\\emph{{{notes.REFERENCE}}}}} \\\\")
        lines += body_rows(block.references, settings)
    return fitted((*lines, r"\bottomrule", r"\end{tabular}"))


def fitted(tabular: Sequence[str]) -> str:
    """Return the lines of a `tabular` so that it is shrunk where it is wider than the text."""
    return "\n".join((r"\sbox0{%", *tabular[:-1], f"{tabular[-1]}}}%", FIT))


def header_rows(table: TableResult, block: Block, labels: Sequence[str]) -> list[str]:
    """Return the rows of LaTeX that name the columns of a block: data sets, metrics, and readings where several."""
    width, n_labels = len(table.readings), len(labels)
    datasets = [(name, width * len(list(group))) for name, group in groupby(map(notes.dataset_label, block.columns))]
    metrics = [(column.metric_label, width) for column in block.columns]
    lines = _spanning(datasets, n_labels)
    if width > 1:
        lines += _spanning(metrics, n_labels)
    last = [name for _ in metrics for name in table.readings] if width > 1 else [name for name, _ in metrics]
    return [*lines, _joined([escape(text) for text in (*labels, *last)])]


def _spanning(names: Sequence[tuple[str, int]], n_labels: int) -> list[str]:
    cells = [f"\\multicolumn{{{span}}}{{c}}{{{escape(name)}}}" for name, span in names]
    rules, start = [], n_labels + 1
    for _, span in names:
        rules.append(f"\\cmidrule(lr){{{start}-{start + span - 1}}}")
        start += span
    return [_joined([""] * n_labels + cells), "".join(rules)]


def body_rows(rows: Sequence[LaidRow], settings: bool) -> list[str]:
    """Return rows of a block as rows of LaTeX, a line each; `settings` says whether they have a column of settings."""
    lines: list[str] = []
    apart = any(len(row.lines) > 1 for row in rows)
    for row in rows:
        lines += [r"\addlinespace"] if lines and apart else []
        for line in row.lines:
            if line.name == "ours":
                labels = [escape(row.label), *([escape(row.setting)] if settings else [])]
            else:
                labels = [f"\\quad\\scriptsize {line.label}" if line.label else "", *([""] if settings else [])]
            size = "" if line.name == "ours" else r"\scriptsize "
            lines.append(_joined(labels + [_ink(ink, size) for ink in line.inks]))
    return lines


def _ink(ink: Ink, size: str) -> str:
    command = {"best": "textbf", "near": "underline", "partial": "textit", "reason": "textit"}.get(ink.style)
    text = f"\\{command}{{{escape(ink.text)}}}" if command and ink.text else escape(ink.text)
    marks = "".join(f"\\textsuperscript{{{escape(mark)}}}" for mark in ink.marks)
    drawn = f"{size}{text}{marks}" if text else ""
    return f"\\multicolumn{{{ink.span}}}{{c}}{{{drawn}}}" if ink.span > 1 else drawn


def _footnote(note: notes.Footnote) -> str:
    mark = f"\\textsuperscript{{{escape(note.mark)}}} " if note.mark else ""
    return f"{mark}{escape(note.text)}"


def _grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    columns = list(zip(*rows, strict=True))
    aligned = "".join("r" if notes.is_numeric(column) else "l" for column in columns) or "l" * len(header)
    lines = [f"\\begin{{tabular}}{{@{{}}{aligned}@{{}}}}", r"\toprule", _joined([escape(text) for text in header])]
    lines += [r"\midrule", *(_joined([escape(text) for text in row]) for row in rows)]
    return fitted((*lines, r"\bottomrule", r"\end{tabular}"))


def _joined(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"
