"""The command `claims`: its text on made-up runs is a golden one, and its JSON has what others rely on."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from tests.analysis.test_claim_rules import HIGH, LOW, keep
from tests.support.checkout import ROOT

NAME = "uco2021/companions-above-ddc-mostly"


@pytest.fixture
def made_up(tmp_path: Path, nothing_shipped: None) -> Path:
    """Companions above DDC on three data sets, and below on the fourth, in the cpu profile of uco2021."""
    results = tmp_path / "results"
    for column in ("mnist", "usps", "fashion-mnist", "coil-100"):
        sides = (HIGH, LOW) if column == "fashion-mnist" else (LOW, HIGH)
        for row, accs in zip(("ddc", "ddc-uco"), sides, strict=True):
            keep(results, row, accs, column, table="uco2021/table3")
    return results


def test_a_claim_in_full_is_its_golden_text(made_up, call, file_regression):
    words = ("claims", NAME, "--profile", "cpu", "--reading", "paper", "--results", str(made_up))
    code, out, err = call(*words)
    assert (code, err) == (0, "")
    file_regression.check(out, basename="claim_in_full", extension=".txt", encoding="utf-8")


def test_the_list_of_claims_is_its_golden_text(made_up, call, file_regression):
    code, out, _ = call("claims", "--paper", "uco2021", "--profile", "cpu", "--results", str(made_up))
    assert code == 0
    file_regression.check(out, basename="claims_of_a_paper", extension=".txt", encoding="utf-8")


def test_json_has_paper_id_sentence_and_answer_of_every_claim(made_up, call):
    code, out, _ = call("claims", "--paper", "uco2021", "--profile", "cpu", "--json", "--results", str(made_up))
    assert code == 0
    found = {line["id"]: line for line in json.loads(out)}
    assert all({"paper", "id", "sentence", "answer"} <= set(line) for line in found.values())
    line = found["companions-above-ddc-mostly"]
    assert (line["paper"], line["answer"]) == ("uco2021", "supported (cpu)")
    assert found["companions-above-ddc"]["answer"] == "contradicted by its own table"
    (ours,) = [each for each in line["answers"] if each["reading"] == "paper"]
    assert (ours["of"], ours["needed"], ours["holds"], ours["fails"]) == (8, 5, 6, 2)
    assert len(ours["comparisons"]) == 8 and len(ours["run_ids"]) == 40


def test_no_line_of_a_reduced_profile_decides_without_its_name(made_up, call):
    for words in ((), (NAME,), ("--json",)):
        _, out, _ = call("claims", *words, "--paper", "uco2021", "--profile", "cpu", "--results", str(made_up))
        for line in out.splitlines():
            decides = any(word in line for word in ("supported", "contradicted"))
            ours = "own table" not in line and '"word"' not in line and not line.startswith("uco2021/")
            if decides and ours and "claims:" not in line:
                assert "cpu" in line, line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("uco2021/companions-above-dcd",), "there is no claim of uco2021 named 'companions-above-dcd'; did you mean"),
        (("nothing",), "there is no claim named 'nothing'"),
        (("--paper", "uco2022"), "there is no paper named 'uco2022'; did you mean 'uco2021'"),
        (("--profile", "ful"), "there is no profile named 'ful'"),
    ],
)
def test_a_wrong_name_is_one_sentence_with_the_nearest(call, tmp_path, words, message):
    code, _, err = call("claims", *words, "--results", str(tmp_path))
    assert code == 2 and message in err


def test_the_page_on_claims_names_every_rule_and_what_may_be_missing():
    from benchmark.analysis.claims.answers import LACKS
    from benchmark.papers.claims import RULES

    text = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    for word in (*RULES, *LACKS):
        assert f"`{word}`" in text


def test_the_claim_that_the_page_on_claims_adds_can_be_added():
    from benchmark.papers.claim_sides import checked_claims
    from benchmark.papers.paper import load_paper

    text = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    (written,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert list(checked_claims(load_paper("uco2021"), tomllib.loads(written))) == ["companions-above-ddc-on-usps"]
