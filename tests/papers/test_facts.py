"""Tables of declared facts: how a paper writes them, how they are drawn, and what is refused."""

from __future__ import annotations

import importlib.resources
import shutil
from typing import Any

import pytest

from benchmark.analysis.assemble import facts_table
from benchmark.analysis.tables import stored_tables
from benchmark.errors import UsageError
from benchmark.papers.paper import load_paper
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.registry import load_plugins
from benchmark.report.report import build_report
from benchmark.session import Session
from benchmark.tables import render_table
from tests.support.paper_files import PAPERS

HEAD = '[table1]\ntitle = "Data sets & sizes"\npublished = "Table 1"\nkind = "facts"\n'
FACTS = (
    'source = "fixture2030 Table 1"\nheader = ["data set", "samples", "mean"]\n'
    'facts = [["A|B", 70000, "0.50"], ["C", 12, "1"]]\n'
)


@pytest.fixture
def fixture_paper(tmp_path, monkeypatch):
    """Return a function that loads a small paper with the given tables.toml (and CSV file)."""
    folder, real = tmp_path / "papers" / "fixture2030", importlib.resources.files
    load_plugins()

    def load(tables: str, facts: str = "") -> Any:
        folder.mkdir(parents=True)
        shutil.copytree(PAPERS / "families", folder.parent / "families")
        shutil.copy(PAPERS / "references.bib", folder.parent)
        profiles = "".join(f"profiles.{name}.runs = 1\n" for name in ("quick", "cpu", "paper"))
        rest = 'inherits = "ddc"\n[methods]\nddc = { label = "DDC", method = "ddc" }\n'
        (folder / "protocol.toml").write_text(f'title = "A fixture"\ncitation = "Nobody, 2030."\n{profiles}{rest}')
        (folder / "tables.toml").write_text(tables)
        (folder / "ledger.toml").write_text("")
        (folder / "published.csv").write_text("paper,table,method,dataset,setting,metric,statistic,value,unit,note\n")
        if facts:
            (folder / "table1.csv").write_text(facts)
        monkeypatch.setattr(
            importlib.resources, "files", lambda package: folder.parent if package == "paper_tables" else real(package)
        )
        return load_paper("fixture2030")

    load_paper.cache_clear()
    yield load
    load_paper.cache_clear()


def test_facts_of_tables_toml_and_of_a_csv_file_make_the_same_table(fixture_paper):
    csv = "data set,samples,mean\nA|B,70000,0.50\nC,12,1\n"
    other = HEAD.replace("table1", "table2") + 'source = "fixture2030 Table 1"\nfile = "table1.csv"\n'
    paper = fixture_paper(HEAD + FACTS + other, csv)
    one, two = (facts_table(paper, name) for name in ("table1", "table2"))
    assert one.header == two.header == ("data set", "samples", "mean")
    assert one.rows == two.rows == (("A|B", "70000", "0.50"), ("C", "12", "1"))
    assert one.footnotes == ("Source: fixture2030 Table 1.",)


@pytest.mark.parametrize(
    ("form", "texts"),
    [
        ("md", ["fixture2030/table1: Table 1. Data sets & sizes", r"A\|B", "0.50", "- Source: fixture2030 Table 1."]),
        ("tex", [r"Data sets \& sizes", "70000", "0.50", "Source: fixture2030 Table 1."]),
        ("csv", ["data set,samples,mean\nA|B,70000,0.50\nC,12,1\n"]),
    ],
)
def test_a_table_of_facts_is_drawn_like_other_tables_of_data(fixture_paper, tmp_path, form, texts):
    fixture_paper(HEAD + FACTS)
    (table,) = stored_tables(Session(tmp_path / "results", fresh=True), Request(papers=("fixture2030",)))
    text = render_table(table, form)
    assert all(part in text for part in texts), text


def test_a_table_of_facts_has_no_cells_to_plan(fixture_paper):
    fixture_paper(HEAD + FACTS)
    assert plan_cells(Request(papers=("fixture2030",))) == []


def test_the_report_shows_facts_with_their_footnotes_and_source(fixture_paper, tmp_path):
    fixture_paper(HEAD + 'footnotes = ["n: samples."]\n' + FACTS)
    build_report(Session(tmp_path / "results", fresh=True), tmp_path / "report")
    page = (tmp_path / "report" / "papers" / "fixture2030.html").read_text(encoding="utf-8")
    assert all(part in page for part in ("A|B", "70000", "0.50", "n: samples.", "Source: fixture2030 Table 1."))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('header = ["a"]\nfacts = [["1"]]\n', ["where they are from"]),
        ('source = "s"\nheader = ["a", "b"]\nfacts = [["1", "2"], ["3"]]\n', ["row 1 has 1 facts for 2 columns"]),
        ('source = "s"\nheader = ["a"]\nfacts = [[0.5]]\n', ["facts.0", "0.5", "quotes"]),
        ('source = "s"\nheader = ["a"]\nfacts = ["1"]\n', ["facts.0", "'1'"]),
        ('source = "s"\nheader = "a"\nfacts = [["1"]]\n', ["header", "'a'"]),
        ('source = "s"\nheader = ["a"]\nfacts = 3\n', ["facts = 3"]),
        ('source = "s"\nfacts = [["1"]]\n', ["a header and at least one row"]),
        ('source = "s"\nfile = "none.csv"\n', ["none.csv", "cannot be read"]),
        ('source = "s"\nfile = 3\n', ["file = 3"]),
        ('source = "s"\nfile = "none.csv"\nheader = ["a"]\n', ["not from both"]),
        ('source = "s"\nheader = ["a"]\nfacts = [["1"]]\nfact = 1\n', ["fact"]),
    ],
)
def test_a_wrong_table_of_facts_gives_one_sentence(fixture_paper, text, words):
    with pytest.raises(UsageError) as caught:
        fixture_paper(HEAD + text)
    message = str(caught.value)
    assert all(word in message for word in ("fixture2030", *words)), message
    assert "\n" not in message


def test_facts_in_a_table_of_another_kind_are_refused(fixture_paper):
    with pytest.raises(UsageError, match="`source` is for tables of kind `facts` only"):
        fixture_paper(HEAD.replace("facts", "data") + 'source = "s"\n')
