"""Tables as text: golden files from fixture cells, and the rules that every table must keep."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest

from benchmark.errors import UsageError
from benchmark.measure import Judgement
from benchmark.papers.published import Published
from benchmark.tables import Style, render_table, render_tables
from benchmark.tables.values import Cell, CellResult, Column, DataTable, Row, TableResult

MNIST = (Column("mnist", "acc", "MNIST", "ACC"), Column("mnist", "nmi", "MNIST", "NMI"))
USPS = (Column("usps", "acc", "USPS", "ACC"), Column("usps", "nmi", "USPS", "NMI"))
STAND_IN = tuple(
    Column("rcv1-23405", metric.lower(), "RCV1-23405", metric, stand_in=True, note="stands for Reuters & RCV1 (4 %).")
    for metric in ("ACC", "NMI")
)
BETTER = {"acc": True, "nmi": True}
JUDGEMENT = Judgement("equivalent", -0.5, (-2.75, 1.75), (-3.25, 2.25), 2.125, 24.0, 20)


def ran(value: float, sd: float | None = None, verdict: str = "", n: int = 20, **more: int) -> CellResult:
    """A result of n planned runs; `more` counts those collapsed (inside), failed, diverged, missing, and stale ones."""
    stale = more.pop("stale", 0)
    n_ok = n - sum(count for status, count in more.items() if status != "collapsed")
    counts = {"ok": n_ok - more.get("collapsed", 0), **more}
    run_ids = tuple(f"{i:016x}" for i in range(n_ok))
    return CellResult(value, sd, n_ok, n, verdict, counts, stale, run_ids, ("cpu",))


def empty(verdict: str, n: int = 20) -> CellResult:
    return CellResult(n=n, verdict=verdict, counts={"missing": n})


def cell(published: tuple[float, float | None] | None, *results: CellResult, note: str = "") -> Cell:
    number = Published(*published, note, runs=20) if published else None
    return Cell(number, dict(zip(("paper", "code"), results, strict=False)))


def row(label: str, *cells: Cell, **more: bool) -> Row:
    return Row(label.lower().strip("*").replace("_", "-"), label, cells=cells, **more)


JUDGED = replace(ran(87.94, 2.04, "equivalent"), judgement=JUDGEMENT)


def full() -> TableResult:
    """A paper-profile table in both readings with every verdict, failures, stale runs and a reference row."""
    rows = (
        row(
            "DDC",
            cell((88.2, 2.1), JUDGED, ran(80.06, 1.0, "lower", collapsed=1)),
            cell((87.7, 2.3), ran(91.3, 2.2, "higher"), ran(86.0, 5.1, "consistent", diverged=2, failed=1)),
            cell((67.9, 2.8), ran(71.25, 3.4, "incomplete", n=5, missing=2), empty("not run")),
            cell((70.1, None), empty("no data"), empty("not implemented")),
        ),
        row(
            "DDC-UCO_T",
            cell((96.0, 6.4), ran(90.0, 2.06, "consistent", stale=3), ran(84.0, 4.0, "lower")),
            cell((91.7, 5.2), ran(90.9, 0.5, "equivalent"), ran(85.9, 0.2, "equivalent")),
            cell((75.6, 3.1), ran(76.0, 0.0, "equivalent"), ran(75.1, None, "not judged")),
            cell((77.4, 2.5), ran(77.0, 0.4, "equivalent"), ran(72.0, 0.4, "lower")),
        ),
        row(
            "PSSC*",
            cell((72.8, 1.2), empty("quoted"), empty("quoted"), note="run by the authors, 5000 images"),
            cell(None, empty("quoted"), empty("quoted")),
            cell((73.3, 1.6), ran(74.0, 1.6, "equivalent"), ran(75.2, 1.6, "higher"), note="as read off"),
            cell((81.6, 2.6), ran(76.6, 2.6, "lower"), ran(72.5, 0.5, "lower")),
        ),
        row("k-means", *(cell(None, ran(99.0, 0.1), ran(99.0, 0.1)) for _ in range(4)), reference=True),
    )
    facts = ("20 runs", "200 epochs", "60 000 samples of MNIST")
    title = "Clustering results for DDC-based models."
    named = ("tkuco2024", "table2", title, "paper", ("paper", "code"))
    return TableResult(*named, (*MNIST, *USPS), rows, "%", facts, ("sd by exact bootstrap.",), BETTER)


def reduced() -> TableResult:
    """A cpu-profile table of settings in one reading: no verdicts, a stand-in, Greek letters."""
    numbers = {"λ = 0.01, ω = constant": (61.0, 30.0, 55.5), "λ = 0.1, ω = 10^(l-L)": (60.5, 31.5, 54.0)}
    rows = tuple(
        Row("ddc-uco-n", "DDC-UCO_N", setting, cells=tuple(
            cell((value + 1, 1.5), ran(value, 1.0, n=5)) if value else cell((50.0, 1.0), empty("not run", 5))
            for value in (*values, None)
        ))
        for setting, values in numbers.items()
    )  # fmt: skip
    facts = ("5 runs", "20 epochs", "at most 10 000 samples")
    named = ("tkuco2024", "table4", "Settings of λ and ω", "cpu", ("paper",))
    return TableResult(*named, (USPS[0], *STAND_IN, MNIST[0]), rows, "%", facts, (), BETTER)


def one_column(*rows: Row) -> TableResult:
    """A table of one data set, metric and reading."""
    return replace(full(), readings=("paper",), columns=MNIST[:1], rows=rows, facts=(), footnotes=())


def quick() -> TableResult:
    """A quick table on other data than the paper's, with the published numbers apart."""
    columns = (Column("digits", "acc", "digits", "ACC"), Column("digits", "nmi", "digits", "NMI"))
    rows = (
        row("DDC", cell(None, ran(61.2, 4.0, n=3)), cell(None, ran(58.0, 3.0, n=3))),
        row("DDC-AE", cell(None, ran(60.0, 9.0, n=3)), cell(None, ran(0.04, 0.0, n=3, collapsed=3))),
        row("DDC-UCO_N", *[cell(None, CellResult(n=3, verdict="incomplete", counts={"failed": 3}))] * 2),
        row("DDC-UCO_T", cell(None, ran(64.0, n=3, missing=2)), cell(None, empty("", 3))),
    )
    names = [f"{name} {metric}" for name in ("MNIST", "F-MNIST", "USPS") for metric in ("ACC", "NMI")]
    apart = (("Method", *names), ("DDC", "88.2 (2.1)", "87.7 (2.3)", "48.6 (8.1)", "44.3 (6.0)", "67.9 (2.8)", "–"))
    facts = ("3 runs", "4 epochs", "1797 samples")
    named = ("tkuco2024", "table2", "Clustering results", "quick", ("paper",))
    return TableResult(*named, columns, rows, "%", facts, (), BETTER, apart)


def data() -> DataTable:
    rows = (("MNIST", "28×28×1", "60 000", "10"), ("10×73k", "720", "73 233", "8"))
    header = ("Data set", "Shape", "n", "k")
    return DataTable("tkuco2024", "table1", "Data sets & sizes", header, rows, ("n: samples, k: clusters_",))


TABLES = {"full": full, "reduced": reduced, "quick": quick, "data": data}


def body(text: str) -> list[list[str]]:
    """The rows of all pipe tables of a Markdown text, split into stripped cells."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[part.strip() for part in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def md_column(text: str, header: str, line: str) -> dict[str, str]:
    """The cells of one named line of the column `header`, by method."""
    found: dict[str, str] = {}
    place, method = None, ""
    for row in body(text):
        if row[0] == "Method":
            place = row.index(header) if header in row else None
            continue
        method = row[0] or method
        if place is not None and line in row[:place]:
            found[method] = row[place]
    return found


def lines_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("format", ["md", "tex", "csv"])
def test_a_table_is_drawn_as_its_golden_file(name: str, format: str, file_regression) -> None:
    text = render_table(TABLES[name](), format)
    assert text.endswith("\n") and not text.endswith("\n\n")
    file_regression.check(text, basename=name, extension=f".{format}", encoding="utf-8")


def test_bold_is_the_maximum_and_underlined_what_lies_within_its_sd() -> None:
    column = md_column(render_table(full(), "md"), "MNIST ACC, paper", "ours")
    assert column["DDC-UCO_T"] == "**90.0 (2.1)**†"
    assert column["DDC"] == "<u>87.9 (2.0)</u>"  # 90.00 - 87.94 = 2.06, just the sd of the best
    other = md_column(render_table(full(), "md"), "MNIST ACC, code", "ours")
    assert other["DDC-UCO_T"] == "**84.0 (4.0)**"
    assert other["DDC"] == "<u>80.1 (1.0)</u>"  # within 4.0 of the best, though not within its own sd of 1.0
    assert r"\textbf{90.0 (2.1)}" in render_table(full(), "tex")
    assert r"\underline{87.9 (2.0)}" in render_table(full(), "tex")


@pytest.mark.parametrize("decimals", [None, 0, 3])
@pytest.mark.parametrize("form", ["md", "tex", "csv"])
def test_a_published_number_keeps_the_decimals_of_its_paper_whatever_ours_have(form: str, decimals: int | None) -> None:
    printed = Cell(Published(76.05, 0.6, decimals=2, sd_decimals=2), {"paper": ran(70.12, 1.0)})
    text = render_table(one_column(row("IDEC", printed)), form, decimals=decimals)
    assert ("76.05,0.60," if form == "csv" else "76.05 (0.60)") in text


def test_a_table_says_that_a_published_sd_of_0_is_a_rounded_one() -> None:
    said = "sd of 0 is one rounded"
    for sd, there in ((0.0, True), (0.1, False), (None, False)):
        text = render_table(one_column(row("DDC", cell((88.2, sd), ran(87.9, 1.0, "consistent")))), "md")
        assert (said in text) is there


def test_a_best_value_without_sd_underlines_nothing() -> None:
    rows = tuple(row(name, cell(None, ran(value))) for name, value in (("a", 90.0), ("b", 89.999)))
    text = render_table(one_column(*rows), "md")
    assert md_column(text, "MNIST ACC", "ours") == {"a": "**90.0**", "b": "90.0"}


def test_lower_is_bold_where_lower_is_better_and_nothing_where_no_direction_is_known() -> None:
    rows = tuple(row(name, cell(None, ran(value))) for name, value in (("a", 3.0), ("b", 2.0)))
    table = replace(one_column(*rows), columns=(Column("d", "seconds", "D", "s"),))
    lower = render_table(replace(table, higher_is_better={"seconds": False}), "md")
    assert md_column(lower, "D s", "ours") == {"a": "3.0", "b": "**2.0**"}
    unknown = render_table(replace(table, higher_is_better={}), "md")
    assert md_column(unknown, "D s", "ours") == {"a": "3.0", "b": "2.0"}


@pytest.mark.parametrize("mark", ["**", "<u>", r"\textbf", r"\underline"])
def test_reference_rows_and_lone_values_and_incomplete_ones_are_never_highlighted(mark: str) -> None:
    lone = row("DDC", cell(None, ran(50.0, 2.0)))
    unfinished = row("DDC-AE", cell(None, ran(70.0, 30.0, "incomplete", missing=9)))
    reference = row("k-means", cell(None, ran(99.0, 1.0)), reference=True)
    text = render_table(one_column(reference, lone, unfinished), "tex" if mark[0] == "\\" else "md")
    assert mark not in text
    assert text.index("50.0 (2.0)") < text.index("Reference rows") < text.index("99.0 (1.0)")


def test_an_incomplete_cell_shows_no_value_in_the_place_of_a_final_one() -> None:
    text = render_table(full(), "md")
    assert md_column(text, "USPS ACC, paper", "ours")["DDC"] == "incomplete 3/5"
    assert text.count("71.2") == text.count("*so far 71.2 (3.4)*") == 1
    assert r"\textit{so far 71.2 (3.4)}" in render_table(full(), "tex")


@pytest.mark.parametrize(("header", "reason"), [
    ("USPS ACC, code", "not run"), ("USPS NMI, paper", "no data"), ("USPS NMI, code", "not implemented"),
])  # fmt: skip
def test_a_missing_value_says_why_beside_the_published_number(header: str, reason: str) -> None:
    text = render_table(full(), "md")
    assert md_column(text, header, "ours")["DDC"] == reason
    assert md_column(text, header, "published")["DDC"] == ("67.9 (2.8)" if "ACC" in header else "70.1")
    assert not md_column(text, header, "verdict").get("DDC") and not md_column(text, header, "runs").get("DDC")


@pytest.mark.parametrize("format", ["md", "tex", "csv"])
def test_a_missing_value_is_never_a_zero(format: str) -> None:
    nothing = [empty(verdict) for verdict in ("not run", "no data", "not implemented", "quoted", "incomplete", "")]
    nothing += [CellResult(n=20, counts={"failed": 20}), CellResult(n_ok=20, n=20, counts={"ok": 20})]
    rows = [row("m", Cell(None, {"paper": result})) for result in nothing]
    text = render_table(one_column(*rows, row("m", Cell(None, {}))), format)
    if format == "csv":
        shown = {line[key] for line in lines_of(text) for key in ("value", "sd", "published", "difference")}
        assert shown == {""}
    assert not re.search(r"\b0\.0|None|nan|&\s*0\s*[&\\]|\|\s*0\s*\|", text)


def test_failed_diverged_and_collapsed_runs_are_told_beside_and_inside_n() -> None:
    text = render_table(full(), "md")
    assert md_column(text, "MNIST NMI, code", "runs")["DDC"] == "17/20, 2 diverged, 1 failed"
    assert md_column(text, "MNIST ACC, code", "runs")["DDC"] == "20/20 (1 collapsed)"
    assert md_column(text, "MNIST ACC, paper", "runs")["DDC-UCO_T"] == "20/20, 3 stale†"
    assert md_column(render_table(quick(), "md"), "digits ACC", "ours")["DDC-UCO_N"] == "no run succeeded"


@pytest.mark.parametrize("format", ["md", "tex"])
def test_a_reduced_profile_says_so_and_gives_no_verdict(format: str) -> None:
    for table in (reduced(), quick()):
        text = render_table(table, format)
        assert "reduced profile: no verdict" in text.lower() and f"Profile {table.profile};" in text
        assert not re.search("equivalent|higher|lower|consistent", text)
    assert "reduced" not in render_table(full(), format).lower()


@pytest.mark.parametrize("format", ["md", "tex"])
def test_published_numbers_apart_are_not_drawn_in_the_cells(format: str) -> None:
    columns = (cell((88.25, 2.1), ran(61.2, n=3)), cell((87.7, 2.3), ran(1.0)))
    text = render_table(replace(quick(), rows=(row("DDC", *columns),)), format)
    head, apart = text.split("Published (other data and budget; not comparable)", 1)
    assert "88.2" not in head and not re.search(r"(\| |scriptsize )published", head) and "88.2 (2.1)" in apart


def test_a_table_of_seven_data_sets_stays_narrow_and_complete() -> None:
    columns = tuple(Column(f"d{i}", m, f"Fashion-{i}", m) for i in range(7) for m in ("ACC", "NMI"))
    cells = tuple(cell((i + 0.5, 1.0), ran(i + 20.5, 1.0, "higher"), ran(i + 50.5)) for i in range(14))
    text = render_table(replace(full(), columns=columns, rows=(row("DDC-UCO_T", *cells),)), "md")
    assert max(len(line) for line in text.splitlines() if line.startswith("|")) <= 125
    for i in range(14):
        assert f"{i + 20.5} (1.0)" in text and f"{i + 50.5}" in text and f"{i + 0.5} (1.0)" in text


@pytest.mark.parametrize("style", ["full", "paper"])
@pytest.mark.parametrize("name", TABLES)
def test_latex_is_balanced_and_every_row_fills_its_columns(name: str, style: Style) -> None:
    text = render_table(TABLES[name](), "tex", style=style)
    stack: list[str] = []
    for kind, environment in re.findall(r"\\(begin|end)\{(\w+\*?)\}", text):
        assert kind == "begin" or stack.pop() == environment
        stack += [environment] if kind == "begin" else []
    assert not stack
    plain = re.sub(r"\\[\\{}$&%#_]", "", text)
    assert plain.count("{") == plain.count("}") and plain.count("$") % 2 == 0
    assert not re.search(r"[^\x00-\x7f]", plain)  # all of it compiles without a Unicode engine
    tabulars = re.findall(r"\\begin\{tabular\}\{@\{\}(\w+)@\{\}\}\n(.*?)\\end\{tabular\}", text, re.S)
    assert tabulars
    for columns, inside in tabulars:
        for row in re.findall(r"^(.*) \\\\$", inside, re.M):
            spans = [int(span) - 1 for span in re.findall(r"\\multicolumn\{(\d+)\}", row)]
            assert len(re.findall(r"(?<!\\)&", row)) + 1 + sum(spans) == len(columns)


def test_special_characters_are_escaped_in_latex_and_markdown() -> None:
    title = r"50 % & #1 $x$ a_b {c} \d ~e ^f <g> h|i"
    table = replace(one_column(row("[m] *|_x_", cell(None, ran(1.0)))), title=title)
    tex = render_table(table, "tex")
    assert r"50 \% \& \#1 \$x\$ a\_b \{c\} \textbackslash{}d \textasciitilde{}e \textasciicircum{}f" in tex
    assert "\n{[}m{]} {*}\\textbar{}\\_x\\_ & " in tex
    assert r"| \[m] " not in (md := render_table(table, "md")) and r"[m] \*\|\_x\_" in md


def test_csv_holds_the_exact_numbers_of_every_cell_and_reading() -> None:
    table = full()
    lines = lines_of(render_table(table, "csv"))
    assert len(lines) == len(table.rows) * len(table.columns) * 2
    expected = [
        (row.method, column.dataset, column.metric, reading, cell.results[reading], cell.published)
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
        for reading in table.readings
    ]
    for line, (*place, result, published) in zip(lines, expected, strict=True):
        assert [line[key] for key in ("method", "dataset", "metric", "reading")] == place
        assert (float(line["value"]) if line["value"] else None) == result.value
        assert (float(line["sd"]) if line["sd"] else None) == result.sd
        assert (float(line["published"]) if line["published"] else None) == (published.value if published else None)
        assert (int(line["n_ok"]), int(line["n"]), int(line["stale"])) == (result.n_ok, result.n, result.stale)
        assert tuple(filter(None, line["run_ids"].split(";"))) == result.run_ids
    first, incomplete = lines[0], lines[4]
    assert float(first["difference"]) == pytest.approx(-0.26) and first["devices"] == "cpu"
    assert (incomplete["verdict"], incomplete["missing"], incomplete["difference"]) == ("incomplete", "2", "")


def test_csv_says_what_a_verdict_rests_on() -> None:
    first, second, *_ = lines_of(render_table(full(), "csv"))
    ground = ("predicted_difference", "low90", "high90", "low95", "high95", "margin", "judged_sd", "published_runs")
    assert [float(first[name]) for name in ground] == [-0.5, -2.75, 1.75, -3.25, 2.25, 3.0, 2.125, 20]
    assert [second[name] for name in ground] == [""] * 8
    header = list(first)
    start = header.index("verdict") + 1
    assert tuple(header[start : start + 8]) == ground


def test_a_number_that_no_rule_judges_says_so_and_the_legend_explains_it() -> None:
    plain = one_column(row("a", cell((80.0, 1.0), ran(80.0, 1.0, "not judged"))))
    text = render_table(plain, "md")
    assert re.search(r"\| verdict +\| +not judged \|", text) and "Not judged: no rule" in text
    assert "Not judged" not in render_table(one_column(row("a", cell((80.0, 1.0), ran(80.0, 1.0, "lower")))), "md")


@pytest.mark.parametrize(("runs", "said"), [(20, "of 20 runs,"), (None, "of a single run, where the paper is silent,")])
def test_a_table_says_of_how_many_runs_verdicts_take_its_published_values(runs: int | None, said: str) -> None:
    judged = Cell(Published(80.0, runs=runs), {"paper": ran(80.0, 1.0, "lower")})
    assert f"as a draw {said}" in render_table(one_column(row("a", judged)), "md")
    unjudged = Cell(Published(80.0, runs=runs), {"paper": ran(80.0, 1.0)})
    assert "as a draw" not in render_table(one_column(row("a", unjudged)), "md")


def test_csv_does_not_round() -> None:
    numbers = (1 / 3, 99.95, 1e-17)
    text = render_table(one_column(*(row("m", cell((value, value), ran(value, value))) for value in numbers)), "csv")
    assert [(float(line["value"]), float(line["published_sd"])) for line in lines_of(text)] == [(v, v) for v in numbers]


def test_decimals_are_the_same_everywhere_and_no_zero_is_negative() -> None:
    text = render_table(one_column(row("a", cell((12.3456, 0.001), ran(-0.001, 0.5)))), "md", decimals=2)
    assert "0.00 (0.50)" in text and "-0.00" not in text and "12.35 (0.00)" in text


def test_several_tables_keep_their_order_and_csv_tables_of_results_share_a_header() -> None:
    tables = (data(), full(), quick())
    assert render_tables(tables, "md") == "\n".join(render_table(table, "md") for table in tables)
    text = render_tables(tables, "csv")
    results, plain = text.split("\n\n")
    assert len(lines_of(results)) == len(lines_of(render_table(full(), "csv"))) + len(
        lines_of(render_table(quick(), "csv"))
    )
    assert plain == render_table(data(), "csv") and render_tables((), "csv") == render_tables((), "md") == ""


def test_notes_shared_by_all_published_numbers_need_no_mark() -> None:
    rows = [row(name, cell((1.0, None), ran(2.0), note="of 20 runs")) for name in ("a", "b")]
    text = render_table(one_column(*rows), "md")
    assert "- Published values: of 20 runs" in text and "[a]" not in text
    marked = render_table(full(), "md")
    assert "72.8 (1.2) [a]" in marked and "- [a] run by the authors, 5000 images" in marked


def test_an_unknown_format_is_refused_with_the_right_ones() -> None:
    with pytest.raises(UsageError, match="no table format named 'html'"):
        render_table(full(), "html")  # type: ignore[arg-type]
