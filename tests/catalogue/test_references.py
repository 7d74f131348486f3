"""What to cite: every paper, method and data set has an entry that LaTeX can read, and that fits its own citation."""

from __future__ import annotations

import re

import pytest

from benchmark import __version__
from benchmark.catalogue.references import known_references, references
from benchmark.errors import UserError
from benchmark.papers.paper import ledger_ids, load_paper, paper_ids
from benchmark.registry import DATASETS, METHODS, load_plugins, register_method
from tests.support.checkout import ROOT

load_plugins()
SHIPPED = [name for name in METHODS if METHODS[name].__module__.startswith("methods.")]
SETS = [name for name in DATASETS if type(DATASETS[name]).__module__.startswith("datasets.")]


def fields(entry: str) -> dict[str, str]:
    return dict(re.findall(r"^  (\w+) = \{(.*)\},$", entry, re.MULTILINE))


@pytest.mark.parametrize("entry", known_references(), ids=lambda entry: entry.key)
def test_an_entry_is_whole_and_names_what_there_is(entry):
    assert {"author", "title", "year"} <= set(fields(entry.text)) and "for" not in fields(entry.text)
    assert entry.text.count("{") == entry.text.count("}") and entry.text.isascii()
    lines = entry.text.splitlines()
    assert len(fields(entry.text)) == len(lines) - 2, "each field stands on a line"
    assert entry.names and set(entry.names) <= {*METHODS, *DATASETS, *paper_ids(), *ledger_ids()}


@pytest.mark.parametrize("name", [*SHIPPED, *SETS, *paper_ids(), *ledger_ids()])
def test_all_that_the_suite_has_is_cited(name):
    assert references([name])


def test_keys_are_used_once():
    keys = [entry.key for entry in known_references()]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("name", [*SETS, *paper_ids()])
def test_an_entry_fits_the_citation_in_words(name):
    words = DATASETS[name].citation if name in DATASETS else load_paper(name).protocol.citation
    text = "".join(references([name]))
    assert set(re.findall(r"\b(?:19|20)\d\d\b", words)) <= set(re.findall(r"\b(?:19|20)\d\d\b", text))
    surname = re.split(r"[ ,:.]", words)[0]
    assert surname in text


def test_cite_prints_each_entry_once(call):
    code, out, err = call("cite", "idec", "idec2017", "usps")
    assert (code, err) == (0, "")
    assert re.findall(r"^@\w+\{(\w+),", out, re.MULTILINE) == ["idec2017", "hull1994usps"]
    code, out, err = call("cite", "idecc")
    assert (code, out) == (2, "") and "did you mean 'idec'" in err


def test_a_method_of_another_package_says_its_own():
    class Foreign:
        bibtex = "@misc{me,\n  title = {Mine},\n}"

    class Silent:
        pass

    try:
        register_method("a-foreign-method")(Foreign)
        register_method("a-silent-method")(Silent)
        assert references(["a-foreign-method"]) == ["@misc{me,\n  title = {Mine},\n}\n"]
        with pytest.raises(UserError, match="says nothing to cite"):
            references(["a-silent-method"])
    finally:
        for name in ("a-foreign-method", "a-silent-method"):
            dict.pop(METHODS._entries, name)  # type: ignore[arg-type]


def test_the_suite_itself_can_be_cited():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert text.startswith("cff-version: 1.2.0\n") and f"\nversion: {__version__}\n" in text
    assert {"message:", "title:", "authors:", "license:"} <= {line.split(" ")[0] for line in text.splitlines()}
