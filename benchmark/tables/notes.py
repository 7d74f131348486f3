"""Words around a table: caption, legend and footnotes, as plain text, so that a table explains itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from benchmark.measure.verdict import JUDGED, MARGIN, NOT_JUDGED
from benchmark.tables.layout import DAGGER, MAX_VALUE_COLUMNS, Block
from benchmark.tables.values import Column, DataTable, TableResult

NUMBERED = re.compile(r"(?P<number>(?:Tab(?:le|\.)|Fig(?:ure|\.))s? [^.]*)\. (?P<text>.+)", re.S)

FULL_PROFILE = "paper"
REDUCED = "reduced profile: no verdict on the published numbers"
APART = "Published (other data and budget; not comparable)"
REFERENCE = "Reference rows"
VERDICT = f"equivalent = same within {MARGIN:g} points; higher, lower = ours differs; consistent = neither shown"
VALUE = "Value:"
"""A footnote of a table that begins so says what its values are: of which run, or of how many."""

OURS = "Cell: our value (sd over new sets of runs)"


@dataclass(frozen=True)
class Footnote:
    """A footnote: `mark` is what points to it in the table, or empty."""

    mark: str
    text: str


def title(table: TableResult | DataTable) -> str:
    """Return the identity and the title of a table, without a full stop."""
    return f"{table.paper}/{table.table}: {table.title.rstrip('.')}"


def caption(table: TableResult | DataTable) -> str:
    """Return what a table shows and where it is from, as a caption begins, without a full stop.

    A title that names the paper's own table ("Table 2. Results") is turned round, for a document numbers its own.
    """
    numbered = NUMBERED.fullmatch(table.title.rstrip("."))
    if numbered is None:
        return f"{table.title.rstrip('.')} ({table.paper}/{table.table})"
    return f"{numbered['text']} ({table.paper}, {numbered['number']})"


def circumstances(table: TableResult) -> str:
    """Return one sentence on how the numbers of a table were made: profile, reading, unit and facts."""
    word = "reading" if len(table.readings) == 1 else "readings"
    parts = [f"Profile {table.profile}", f"{word} {' and '.join(table.readings)}"]
    parts += [f"values in {table.unit}"] if table.unit else []
    return "; ".join((*parts, *table.facts)) + "."


def is_reduced(table: TableResult) -> bool:
    """Say whether the profile spends less than the paper did, so that nothing is judged."""
    return table.profile != FULL_PROFILE


def dataset_label(column: Column) -> str:
    """Return the data set's label, marked where it is a stand-in."""
    return f"{column.dataset_label} (stand-in)" if column.stand_in else column.dataset_label


def published_marks(table: TableResult) -> dict[str, str]:
    """Map each note of a published value to a letter; a note that all of them share needs no mark."""
    numbers = [cell.published for row in table.rows for cell in row.cells if cell.published]
    notes = list(dict.fromkeys(number.note for number in numbers if number.note))
    if table.published_apart or not notes:
        return {}
    if len(notes) == 1 and all(number.note for number in numbers):
        return {notes[0]: ""}
    return {note: ascii_lowercase[i % 26] * (i // 26 + 1) for i, note in enumerate(notes)}


def footnotes(table: TableResult, blocks: Sequence[Block], marks: Mapping[str, str]) -> list[Footnote]:
    """Return the footnotes of these blocks: stale runs, published values, columns, and those of the table itself."""
    used = {mark for block in blocks for _, ink in block.inks() for mark in ink.marks}
    notes = [Footnote(DAGGER, "made wholly or in part by other code than today's (stale runs).")] * (DAGGER in used)
    notes += [Footnote(mark, note) for note, mark in marks.items() if mark in used]
    notes += [Footnote("", f"Published values: {note}") for note, mark in marks.items() if not mark]
    notes += [Footnote("", text) for text in (*_compared(table), *_clocks(table))]
    notes += [Footnote("", "A published sd of 0 is one rounded to the printed digits, and not exact.")] * _rounded(
        table
    )
    columns = dict.fromkeys(
        f"{dataset_label(column)}: {column.note or 'a real data set used where that of the paper cannot be had.'}"
        for block in blocks
        for column in block.columns
        if column.stand_in or column.note
    )
    return notes + [Footnote("", text) for text in (*columns, *table.footnotes)]


def _rounded(table: TableResult) -> bool:
    """Whether a published value has an sd that was rounded to 0."""
    return any(cell.published is not None and cell.published.sd == 0 for row in table.rows for cell in row.cells)


def _clocks(table: TableResult) -> list[str]:
    """Return on which machines the seconds of a table were measured, in one sentence, if it shows any."""
    if table.unit != "s":
        return []
    results = [result for row in table.rows for cell in row.cells for result in cell.results.values()]
    machines = dict.fromkeys(machine for result in results for machine in result.machines)
    return [f"Our seconds are of {'; '.join(machines)}."] if machines else []


def _compared(table: TableResult) -> list[str]:
    """Return of how many runs the published values are that a verdict rests on, in one sentence, if there is any."""
    pairs = ((cell.published, result) for row in table.rows for cell in row.cells for result in cell.results.values())
    runs = {value.runs or 1 for value, result in pairs if value is not None and result.verdict in JUDGED}
    single = "of a single run, where the paper is silent"
    many = [f"of {n} runs" if n > 1 else single for n in sorted(runs, reverse=True)]
    if not many:
        return []
    return [
        f"Verdicts take a published value as a draw {' or '.join(many)}, and ask what our runs predict for it; the "
        "CSV and the command explain give the intervals."
    ]


def table_legend(blocks: Sequence[Block], bold: str, underlined: str) -> str:
    """Return how to read a cell, naming only what the blocks show; `bold` and `underlined` are marked-up samples."""
    inks = [pair for block in blocks for pair in block.inks() if pair[1].text]
    names, styles = {name for name, _ in inks}, {ink.style for _, ink in inks}
    runs = " ".join(ink.text for name, ink in inks if name == "runs")
    verdicts = {ink.text for name, ink in inks if name == "verdict"}
    lines = {"published": "published value (sd)", "verdict": "verdict on it", "runs": "runs entered/planned"}
    near = f"; {underlined}: within one sd of the best" if "near" in styles else ""
    sentences = {
        "; ".join((OURS, *(text for name, text in lines.items() if name in names))): True,
        f"{bold}: best of its column{near}": "best" in styles,
        f"Verdict: {VERDICT}": "verdict" in names,
        "Not judged: no rule says how far such a number varies": NOT_JUDGED in verdicts,
        "Incomplete: planned runs are still missing, or too few of them entered; a value so far is no result": any(
            ink.text.startswith("incomplete") for _, ink in inks
        ),
        "Collapsed runs enter the value": "collapsed" in runs,
        "Diverged and failed runs do not enter the value": "diverged" in runs or "failed" in runs,
        f"{REFERENCE}: in no table of the paper, never highlighted": any(block.references for block in blocks),
    }
    return " ".join(f"{sentence}." for sentence, applies in sentences.items() if applies)


def text_blocks(rows: Sequence[Sequence[str]]) -> list[list[list[str]]]:
    """Split rows of text into blocks that repeat the first column beside at most `MAX_VALUE_COLUMNS` others."""
    width = max(len(row) for row in rows)
    full = [[*row, *[""] * (width - len(row))] for row in rows]
    starts = range(1, max(width, 2), MAX_VALUE_COLUMNS)
    return [[[row[0], *row[start : start + MAX_VALUE_COLUMNS]] for row in full] for start in starts]


def is_numeric(texts: Sequence[str]) -> bool:
    """Say whether all texts are numbers, with spaces or commas between thousands."""
    return bool(texts) and all(text.replace(" ", "").replace(",", "").replace(".", "").isdecimal() for text in texts)
