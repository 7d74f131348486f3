"""Names and texts of anybody, through every format: what terminals, browsers or spreadsheets obey is only read."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmark.cli import screen
from benchmark.cli.console import Screen
from benchmark.cli.listing import print_list
from benchmark.cli.progress import Clock, follow
from benchmark.errors import UsageError
from benchmark.figures.comparisons import ranks
from benchmark.figures.kit import canvas, line, png_bytes, svg_bytes
from benchmark.printable import printable
from benchmark.registry import (
    METHODS,
    NAME,
    REGISTRIES,
    check_name,
    load_plugins,
    register_method,
    register_network,
)
from benchmark.report.curves import curve_svg
from benchmark.report.site import Site, inline_svg
from benchmark.tables.render import render_table
from benchmark.tables.values import DataTable
from tests.support.checkout import ROOT

pytestmark = pytest.mark.attack("texts")

ESCAPES = "\x1b[2J\x1b]0;owned\x07"
TEXTS = {
    "terminal": f"acc{ESCAPES} 90 %\r  0 %\x9b31m",
    "direction": "abc\u202e321\u2066x\u200b",
    "surrogate": "half \ud800 of a letter",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>\"' onmouseover='x",
    "entity": "&lt;script&gt; &#60;b&#62;",
    "latex": r"\input{/etc/passwd} \write18{rm} $x$ %# ^^5cinput{x} {\bf",
    "markdown": "[click](javascript:alert(1)) ![i](http://x/y.png) [a][b] `c` **d** <http://x> | e",
    "definition": "[a]: http://x/y",
    "formula": '=HYPERLINK("http://x";"y")',
    "mathematics": r"$\frac{$ and $\input{x}$",
    "markup": "[/b][red]x[/][link=http://x]y[/link]",
}

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def table_of(text: str) -> DataTable:
    table = DataTable.__dataclass_fields__
    values: dict[str, Any] = {"paper": "p", "table": "t", "title": text, "header": ("a", text), "rows": ((text, "1"),)}
    return DataTable(**{name: values[name] for name in table if name in values}, footnotes=(text,))


@pytest.fixture(params=TEXTS)
def text(request: pytest.FixtureRequest) -> str:
    return TEXTS[request.param]


# The terminal


def test_the_terminal_gets_no_escapes(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    screen.say(f"error: {text}", err=True)
    print_list([{"name": text, text: "x"}], as_json=False)
    shown = capsys.readouterr()
    assert not CONTROL.search(shown.out + shown.err)
    assert shown.err == f"error: {printable(text)}\n"


def test_a_console_shows_texts_as_they_are(text: str) -> None:
    stream = io.StringIO()
    Screen(file=stream, force_terminal=True, soft_wrap=True, highlight=False).print(f"run {text}")
    assert stream.getvalue() == f"run {printable(text)}\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_phases_and_notes_of_any_text(
    text: str, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmark.execution.events import Noted, Progress

    monkeypatch.setattr(Clock, "seconds_left", lambda clock: None)
    spec = SimpleNamespace(run_id="r", method=text, data=SimpleNamespace(name=text), replicate=0)
    cell = SimpleNamespace(setting=text, reading="paper")
    plan: Any = SimpleNamespace(runs=[SimpleNamespace(spec=spec, cell=cell, seconds=None)])
    stream = io.StringIO()
    console = Screen(file=stream, force_terminal=terminal, width=300)
    follow([Progress(run_id="r", phase=text, step=1, total=2), Noted(text)], plan, 1, console)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())  # what rich itself draws bars with
    assert not CONTROL.search(plain.replace("\r", ""))
    assert "owned\x07" not in stream.getvalue()


def test_only_the_screen_and_the_console_write_to_the_terminal() -> None:
    for path in (ROOT / "benchmark" / "cli").glob("*.py"):
        if path.name not in ("screen.py", "console.py"):
            source = path.read_text(encoding="utf-8")
            source = re.sub(r"\b(out|console)\.print\(", "", source)
            found = re.search(r"typer\.echo|sys\.std(out|err)\.write|\bprint\(", source)
            assert not found, f"{path.name}: use benchmark.cli.screen.say"


# Tables


def test_csv_cells_are_no_formulas_and_numbers_stay_numbers(text: str) -> None:
    written = render_table(table_of(text), "csv")
    header, (first, one) = list(csv.reader(io.StringIO(written)))
    assert not first.startswith(("=", "+", "-", "@", "\t", "\r")) and not CONTROL.search(written)
    assert one == "1" and header[0] == "a"


@pytest.mark.parametrize("number", ["-0.5", "+3", "1e-5", "-2.5E+10", "-inf", ".5", "-.5"])
def test_numbers_stay_numbers_in_csv(number: str) -> None:
    assert list(csv.reader(io.StringIO(render_table(table_of(number), "csv"))))[1] == [number, "1"]


@pytest.mark.parametrize(
    "formula", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "-2+3cmd|'!A0"]
)
def test_formulas_become_texts_in_csv(formula: str) -> None:
    row = list(csv.reader(io.StringIO(render_table(table_of(formula), "csv"))))[1]
    assert row[0].startswith("'") and row[1] == "1"


def test_markdown_has_no_html_links_or_markup(text: str) -> None:
    written = render_table(table_of(text), "md")
    assert not CONTROL.search(written)
    unescaped = re.sub(r"\\[\\`*|<$~\]&_]", "", written)
    assert not re.search(r"<|\]\(|\]\[|\]:|`|\*|&[#\w]", unescaped), unescaped
    lines = [part for part in written.splitlines() if part.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", part)) for part in lines} == {3}


def test_latex_has_no_commands_of_the_text(text: str) -> None:
    written = render_table(table_of(text), "tex")
    assert not CONTROL.search(written)
    written.encode("utf-8")
    commands = set(re.findall(r"\\([a-zA-Z]+)", written))
    assert not commands & {"input", "write", "frac", "bf", "x"}
    assert "^^" not in written and written.count("{") - written.count(r"\{") == written.count("}") - written.count(
        r"\}"
    )


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_of_any_text_is_set(text: str, tmp_path: Path) -> None:
    body = render_table(table_of(text), "tex")
    source = f"\\documentclass{{article}}\\usepackage{{booktabs,graphicx}}\\begin{{document}}{body}\\end{{document}}"
    (tmp_path / "a.tex").write_text(source, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "a.tex"], cwd=tmp_path, capture_output=True, text=True, errors="replace"
    )
    assert done.returncode == 0, done.stdout[-2000:]


# Pages and pictures


class Tags(HTMLParser):
    """Gathers the elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))


def tags_of(page: str) -> list[tuple[str, tuple[str, ...]]]:
    parser = Tags()
    parser.feed(page)
    return parser.found


def page_of(text: str, out: Path) -> str:
    site = Site(out, {"papers": ("p",), "version": "1", "against": ""})
    values = {"values": {text: text}, "files": [{"file": text, text: text}], "used": []}
    values |= {"rankings": [("quick", [{text: text}])], "call": text, "cited": text}
    site.write("datasets/a.html", "dataset.html.j2", text, **values)
    return (out / "datasets" / "a.html").read_text(encoding="utf-8")


def test_pages_have_the_elements_of_the_template_alone(text: str, tmp_path: Path) -> None:
    page = page_of(text, tmp_path / "a")
    bare = ("code", ())  # what a text has between backticks
    found, plain = ([tag for tag in tags_of(p) if tag != bare] for p in (page, page_of("plain", tmp_path / "b")))
    assert found == plain
    assert not CONTROL.search(page)


@pytest.mark.parametrize("path", ["../x.html", "methods/../../x.html", "/tmp/x.html"])
def test_no_page_is_written_outside_of_the_report(path: str, tmp_path: Path) -> None:
    site = Site(tmp_path / "out", {"papers": (), "version": "1", "against": ""})
    with pytest.raises(UsageError, match="would lie outside"):
        site.write(path, "dataset.html.j2", "t", values={}, files=[], used=[], rankings=[], call="", cited="")
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == []


def test_pictures_hold_any_text_as_text(text: str, tmp_path: Path) -> None:
    figure, (axes,) = canvas()
    line(axes, [0, 1], [0, 1], text, 0)
    axes.set_title(text)
    axes.legend()
    data = svg_bytes(figure, text)
    root = ElementTree.fromstring(data)
    assert not CONTROL.search(data.decode())
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not names & {"script", "img", "foreignObject"}
    assert png_bytes(figure, text).startswith(b"\x89PNG")
    inline = inline_svg(data, "a", text)
    assert not {name for name, _ in tags_of(str(inline))} & {"script", "img"}
    assert svg_bytes(ranks({text: 1.0, "b": 2.0}, 0.5).canvas(), "t")


def test_charts_of_pages_hold_any_text_as_text(text: str) -> None:
    chart = curve_svg(text, [[0, 1], [1]], [[0, 1], [2]], [text, text], x_label=text)
    assert {name for name, _ in tags_of(chart)} == {"svg", "text", "path", "polyline", "title", "circle"}


@pytest.mark.parametrize("title", [r"$\lambda$ = 1", "a\n$\\lambda$ = 1"])
def test_mathematics_of_ours_stays_mathematics_and_a_line_break_is_no_missing_glyph(
    title: str, caplog: pytest.LogCaptureFixture
) -> None:
    figure, (axes,) = canvas()
    axes.set_title(title)
    assert "\u03bb" in svg_bytes(figure, "t").decode()
    assert caplog.text == ""


def test_json_is_ascii_and_gives_the_text_back(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_list([{"name": text}], as_json=True)
    written = capsys.readouterr().out
    assert written.isascii() and not CONTROL.search(written)
    assert json.loads(written) == [{"name": text}]


# Names


WRONG = ["../../x", "a/b", "", ".hidden", "-x", "A", "a b", "a\n", "é", "x" * 65, "<b>", "=1", "a\x1b[0m", "..", "a\\b"]


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_name_is_refused_when_it_is_registered(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        register_method(name)(type("Plum", (), {}))
    assert str(caught.value).isascii() and str(caught.value).endswith("a letter or digit first.")
    with pytest.raises(UsageError, match="the network name"):
        register_network(name)(lambda: None)
    for registry in REGISTRIES:
        with pytest.raises(UsageError, match=f"the {registry.kind} name"):
            registry.add(name, object())
    assert name not in METHODS


@pytest.mark.parametrize("name", ["a", "0", "ddc-uco_t.2", "x" * 64])
def test_names_are_letters_digits_and_three_signs(name: str) -> None:
    check_name("method", name)


def test_all_names_that_are_here_are_names() -> None:
    from benchmark.papers.paper import load_paper, paper_ids

    load_plugins()
    names = [name for registry in REGISTRIES for name in registry]
    papers = [load_paper(name) for name in paper_ids()]
    names += [name for paper in papers for name in (paper.id, *paper.tables, *paper.protocol.methods)]
    assert len(names) > 100 and all(map(NAME.fullmatch, names))


@pytest.mark.slow
def test_a_method_that_is_named_out_of_the_report_writes_nothing_anywhere(tmp_path: Path) -> None:
    package = tmp_path / "hostile"
    (package / "hostile-1.dist-info").mkdir(parents=True)
    (package / "hostile-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1\n")
    (package / "hostile-1.dist-info" / "entry_points.txt").write_text("[reclust.methods]\nx = hostile_plug_in\n")
    (package / "hostile_plug_in.py").write_text(
        "from benchmark.registry import register_method\n"
        "from methods import KMeans\n\n\n"
        '@register_method("../../x")\nclass Out(KMeans):\n    """It would write outside."""\n'
    )
    place = tmp_path / "a" / "b"
    (place / "results").mkdir(parents=True)
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{package}", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmark",
            "report",
            "--out",
            str(place / "report"),
            "--results",
            str(place / "results"),
        ],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr and "'../../x' is refused" in done.stderr, done.stderr
    outside = [path for path in (*tmp_path.glob("*.html"), *(tmp_path / "a").glob("**/*.html"))]
    assert all(path.is_relative_to(place / "report") for path in outside)
