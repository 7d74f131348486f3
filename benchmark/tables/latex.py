"""LaTeX tables: fragments for booktabs, to be pasted into a paper.

Each block of columns is a `table` environment with the whole caption, so that no part looks like more than it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import groupby

from benchmark.printable import printable
from benchmark.tables import notes
from benchmark.tables.layout import Block, Ink, LaidRow, lay_out
from benchmark.tables.values import DataTable, TableResult

NEEDS = "% Needs \\usepackage{booktabs}."


def _greek(letter: str) -> str:
    *_, case, _, name = unicodedata.name(letter).replace("LAMDA", "LAMBDA").split()
    return name.lower() if case == "SMALL" else name.capitalize()


GREEK = {letter: _greek(letter) for letter in "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ"}
MATHS = {"×": "times", "·": "cdot", "±": "pm", "≤": "leq", "≥": "geq", "≈": "approx", "∈": "in", "∞": "infty"}
MATHS |= {"→": "rightarrow", "†": "dagger", "−": "-", "²": "^2", "³": "^3", "≠": "neq", "∑": "sum", "√": "surd"}

ESCAPES = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "–": "--", "—": "---", "…": r"\ldots{}"},
        # A row that begins with a bracket or a star would be read as an argument of the line break before it.
        **{character: f"{{{character}}}" for character in "[]*"},
        **{symbol: f"$\\{name}$" for symbol, name in GREEK.items()},
        **{symbol: f"${name if name[0] in '^-' else chr(92) + name}$" for symbol, name in MATHS.items()},
    }
)


def draw_results(table: TableResult, decimals: int) -> str:
    """Return a table of results as one `table` environment per block, and one for numbers published apart."""
    marks = notes.published_marks(table)
    blocks = lay_out(table, marks, decimals)
    label = f"{table.paper}-{table.table}-{table.profile}"
    bodies = [f"{_block(table, block)}\n{_below(_notes(table, block, marks))}" for block in blocks]
    text = _floats(notes.title(table), _circumstances(table), label, bodies)
    if table.published_apart:
        bodies = [_grid(rows[0], rows[1:]) for rows in notes.text_blocks(table.published_apart)]
        heading = f"{notes.APART}: {table.paper}/{table.table}"
        text += "\n" + _floats(heading, "", f"{label}-published", bodies)
    return f"{NEEDS}\n{text}"


def draw_data(table: DataTable) -> str:
    """Return a table of plain facts as a `table` environment."""
    below = [_below([escape(text) for text in table.footnotes])] if table.footnotes else []
    body = "\n".join((_grid(table.header, table.rows), *below))
    text = _floats(notes.title(table), "", f"{table.paper}-{table.table}", [body])
    return f"{NEEDS}\n{text}"


def escape(text: str) -> str:
    r"""Return `text` on one line with LaTeX's special characters escaped and Greek and maths symbols translated.

    >>> print(escape("λ = 10 % of DDC-UCO_N"))
    $\lambda$ = 10 \% of DDC-UCO\_N
    """
    return " ".join(printable(text).split()).translate(ESCAPES)


def _circumstances(table: TableResult) -> str:
    reduced = f" \\emph{{{notes.REDUCED.capitalize()}.}}" if notes.is_reduced(table) else ""
    return f" {escape(notes.circumstances(table))}{reduced}"


def _floats(title: str, more: str, label: str, bodies: Sequence[str]) -> str:
    texts = []
    for i, body in enumerate(bodies, 1):
        part = f" Part {i} of {len(bodies)}." if len(bodies) > 1 else ""
        name = re.sub("[^A-Za-z0-9-]+", "-", label if i == 1 else f"{label}-part{i}")
        lines = [r"\begin{table}[htbp]", r"\centering"]
        lines += [f"\\caption[{escape(title)}]{{{escape(title)}.{more}{part}}}", f"\\label{{tab:{name}}}"]
        lines += [r"\small", r"\setlength{\tabcolsep}{4pt}", body, r"\end{table}", ""]
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
    lines += [*_header(table, block, labels), r"\midrule"]
    lines += _rows(block.rows, settings)
    if block.references:
        lines += [r"\midrule"] if block.rows else []
        lines.append(f"\\multicolumn{{{len(labels) + n_values}}}{{@{{}}l}}{{\\emph{{{notes.REFERENCE}}}}} \\\\")
        lines += _rows(block.references, settings)
    return "\n".join((*lines, r"\bottomrule", r"\end{tabular}"))


def _header(table: TableResult, block: Block, labels: Sequence[str]) -> list[str]:
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


def _rows(rows: Sequence[LaidRow], settings: bool) -> list[str]:
    lines: list[str] = []
    for row in rows:
        lines += [r"\addlinespace"] if lines else []
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
    return "\n".join((*lines, r"\bottomrule", r"\end{tabular}"))


def _joined(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"
