"""LaTeX: what is written compiles as it stands, text is harmless, and a table for a paper holds values only."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.errors import UsageError
from benchmark.tables import Style, render_table, render_tables
from benchmark.tables.excerpt import with_lines
from benchmark.tables.latex import MAX_LINES
from benchmark.tables.latex_text import escape
from benchmark.tables.layout import Block, LaidRow, Line, split_rows
from tests.tables.test_render_tables import TABLES, cell, data, empty, full, one_column, ran, reduced, row

CLASSES = (r"\documentclass{article}", r"\documentclass[twocolumn]{article}")

HOSTILE = (
    r"\input{/etc/passwd}", r"\end{table*}", "%", "$", "^^M", "a & b \\\\ c", "#1", "{", "}", "~", "[2pt] x", "*",
    "`x`", '"q"', "\x1b[31mred", "line\nbreak", "tab\there", "漢字", "Ä ß ł ő ñ", "α→β ≤ ½ ≈ 10⁻³ × ∑√∞", "''", "``",
    "-- ---", "\u202e", "\u0301",
)  # fmt: skip


@pytest.fixture
def compiles(tmp_path: Path) -> Callable[[str, str], str]:
    """Compile a fragment in a document of a class, and return what pdflatex said; a fault fails the test."""
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")

    def run(head: str, fragment: str) -> str:
        text = f"{head}\n\\usepackage{{booktabs,graphicx}}\n\\begin{{document}}\n{fragment}\n\\end{{document}}\n"
        (tmp_path / "t.tex").write_text(text, encoding="utf-8")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "t.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        return done.stdout

    return run


@pytest.mark.parametrize("style", ["full", "paper"])
@pytest.mark.parametrize("head", CLASSES)
def test_every_kind_of_table_compiles_and_none_is_wider_than_the_text(
    compiles: Callable[[str, str], str], head: str, style: Style
) -> None:
    said = compiles(head, render_tables([draw() for draw in TABLES.values()], "tex", style=style))
    assert "Overfull" not in said


@pytest.mark.parametrize("head", CLASSES)
def test_all_stored_tables_compile_as_one_document(
    compiles: Callable[[str, str], str], head: str, tmp_path: Path
) -> None:
    to, results = tmp_path / "all.tex", tmp_path / "results"
    results.mkdir()
    command = [sys.executable, "-m", "benchmark", "tables", "--profile", "cpu", "--format", "tex", "--out", str(to)]
    subprocess.run([*command, "--results", str(results)], check=True, capture_output=True)
    text = to.read_text(encoding="utf-8")
    assert text.count(r"\begin{table*}") > 40  # more floats than LaTeX holds back
    said = compiles(head, text)
    assert "Overfull" not in said
    assert not [points for points in re.findall(r"too large for page by ([\d.]+)pt", said) if float(points) > 12]


def test_no_text_can_do_anything_in_a_document(compiles: Callable[[str, str], str]) -> None:
    rows = [row(text, cell((1.0, None), ran(2.0), note=text)) for text in HOSTILE]
    table = replace(one_column(*rows), title=" ".join(HOSTILE), footnotes=HOSTILE)
    plain = replace(data(), title=HOSTILE[1], rows=tuple((text, "1", "2", "3") for text in HOSTILE))
    for style in ("full", "paper"):
        compiles(CLASSES[0], render_tables([table, plain], "tex", style=style))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", HOSTILE)
def test_an_escaped_text_is_one_line_of_ascii_without_a_command_of_its_own(text: str) -> None:
    escaped = escape(text)
    assert escaped.isascii() and escaped.isprintable()
    assert not re.search(r"\\(input|end|begin|def|write)\b", escaped)
    plain = re.sub(r"\\[\\{}$&%#_]", "", escaped)
    assert plain.count("{") == plain.count("}") and not re.search(r"(?<!\\)[%#&$]", plain)


@pytest.mark.parametrize(("text", "expected"), [
    ('"as is"', "``as is''"),
    ("run `results renew`", r"run \texttt{results renew}"),
    ("the authors' code", "the authors' code"),
    ("λ = 10 %", r"\ensuremath{\lambda} = 10 \%"),
    ("MNIST – 漢", r"MNIST \textendash{} ?"),
    ("a < b | c", r"a \textless{} b \textbar{} c"),
])  # fmt: skip
def test_text_is_set_as_people_write_it(text: str, expected: str) -> None:
    assert escape(text) == expected


def test_a_caption_names_the_papers_table_after_what_it_shows() -> None:
    text = render_table(replace(full(), title="Table 2. Clustering results."), "tex")
    assert "{Clustering results (tkuco2024, Table 2)." in text and "table2:" not in text
    assert "(tkuco2024/table2)." in render_table(full(), "tex")


def test_a_table_for_a_paper_has_our_final_values_and_how_they_were_made_and_nothing_else() -> None:
    text = render_table(full(), "tex", style="paper")
    body = text[text.index(r"\toprule") :]
    assert r"\textbf{90.0 (2.1)}" in body and r"\underline{87.9 (2.0)}" in body
    for word in ("88.2", "equivalent", "20/20", "incomplete", "71.2", "quoted", "not run", "Reference", "minipage"):
        assert word not in body
    caption = re.search(r"\\caption\{(.*)\}\n", text)
    assert caption and "Profile paper" in caption[1] and "sd in parentheses" in caption[1]
    assert text.count(r"\begin{table*}[t]") == 1 and r"\label{tab:tkuco2024-table2}" in text


def test_published_values_stand_beside_ours_in_a_table_for_a_paper_where_that_is_asked_for() -> None:
    (table,) = with_lines([full()], ("ours", "published"))
    text = render_table(table, "tex", style="paper")
    assert r"\quad\scriptsize published" in text and "88.2 (2.1)" in text
    assert not re.search("equivalent|20/20", text)


def test_rows_and_columns_without_a_final_value_are_left_out_and_named() -> None:
    rows = (row("a", cell((1.0, None), ran(50.0, 1.0))), row("b", cell((2.0, None), empty("not run"))))
    text = render_table(one_column(*rows), "tex", style="paper")
    assert "% Left out, without a final value: b." in text and "\nb &" not in text and "\na & 50.0 (1.0)" in text
    assert r"\begin{table}[t]" in text  # one column of a page is enough
    nothing = render_table(one_column(rows[1]), "tex", style="paper")
    assert nothing == "% tkuco2024/table2, profile paper: no cell has a final value.\n"


def test_a_cell_without_a_final_value_in_a_kept_row_is_a_dash_and_takes_no_part() -> None:
    text = render_table(full(), "tex", style="paper")
    ddc = next(line for line in text.splitlines() if line.startswith("DDC &"))
    assert ddc.count(r"\textit{\textendash{}}") == 4  # incomplete 3/5, not run, no data, not implemented


def test_no_column_of_values_is_empty_in_a_table_for_a_paper() -> None:
    """MNIST was run under one reading, USPS under both: each stands in a table of the readings that it has."""
    ours = (cell(None, ran(50.0, 1.0), empty("not run")),) * 2 + (cell(None, ran(60.0, 2.0), ran(61.0, 3.0)),) * 2
    reference = row("k-means", *(cell(None, ran(40.0, 0.1), ran(40.0, 0.1)) for _ in range(4)), reference=True)
    text = render_table(replace(full(), rows=(row("a", *ours), reference)), "tex", style="paper")
    assert "textendash" not in text
    first, second = re.findall(r"\\begin\{table\*?\}.*?\\end\{table\*?\}", text, re.S)
    assert "reading paper;" in first and "a & 50.0 (1.0) & 50.0 (1.0) \\\\" in first and "{USPS}" not in first
    assert "readings paper and code;" in second and "a & 60.0 (2.0) & 61.0 (3.0)" in second and "{MNIST}" not in second
    assert "Part 1 of 2." in first and "Part 2 of 2." in second


def test_a_reduced_profile_is_named_in_the_caption_of_a_table_for_a_paper() -> None:
    text = render_table(reduced(), "tex", style="paper")
    assert "Profile cpu; reading paper;" in text and "5 runs; 20 epochs" in text


def test_the_style_paper_is_one_of_latex() -> None:
    with pytest.raises(UsageError, match="--format tex, not md"):
        render_table(full(), "md", style="paper")
    with pytest.raises(UsageError, match="no style of tables named 'papper'"):
        render_table(full(), "tex", style="papper")  # type: ignore[arg-type]


def test_a_block_of_many_rows_is_split_into_pages_of_whole_rows() -> None:
    rows = tuple(LaidRow(f"m{i}", "", (Line("ours", ()),) * (1 + i % 4)) for i in range(30))
    block = Block((), rows[:-1], rows[-1:])
    pages = split_rows(block, MAX_LINES)
    assert [row for page in pages for row in (*page.rows, *page.references)] == list(rows)
    assert all(sum(len(row.lines) for row in page.rows) <= MAX_LINES for page in pages) and pages[-1].references
    assert split_rows(block, 10**6) == [block]
