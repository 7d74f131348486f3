"""The claims of the papers, as they are declared and as stored rows answer them."""

from __future__ import annotations

import pytest

from benchmark.analysis.claims import ClaimAnswers, claims_of
from benchmark.analysis.claims.figures import stated_by
from benchmark.papers.claim_sides import claimed
from benchmark.papers.claims import OfFigures
from benchmark.papers.paper import load_paper, paper_ids
from benchmark.papers.protocol import PROFILES
from benchmark.session import Session

CLAIMS = [
    pytest.param(paper, name, rule, id=f"{paper}/{name}") for paper, found in claimed() for name, rule in found.items()
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ClaimAnswers]:
    session = Session(tmp_path_factory.mktemp("results"))
    return {each.name: each for paper in paper_ids() for each in claims_of(session, paper)}


@pytest.mark.parametrize(("paper", "name", "rule"), CLAIMS)
def test_every_claim_has_an_answer_in_every_profile_and_reading(paper, name, rule, answers) -> None:
    found = answers[f"{paper}/{name}"]
    offered = load_paper(paper).protocol.profiles
    expected = {(profile, reading) for profile in PROFILES for reading in offered[profile].readings}
    assert {(each.profile, each.reading) for each in found.answers} == expected
    for each in found.answers:
        assert each.word in ("supported", "contradicted", "undecided")
        assert 1 <= each.needed <= each.of
        # What is undecided says what would decide it.
        assert bool(each.lacks) == (each.word == "undecided")
        assert each.why
        assert each.profile in each.line and each.reading in each.line
        if each.profile != "paper" and each.word != "undecided":
            assert each.profile in each.answer


@pytest.mark.parametrize(("paper", "name", "rule"), [p for p in CLAIMS if isinstance(p.values[2], OfFigures)])
def test_every_figure_of_a_claim_states_it(paper, name, rule) -> None:
    for figure in rule.figures:
        stated_by(paper, figure, rule.statement, name)


def test_the_quick_profile_decides_nothing_about_real_data(answers: dict[str, ClaimAnswers]) -> None:
    quick = [each for found in answers.values() for each in found.answers if each.profile == "quick"]
    assert quick
    assert {each.word for each in quick} == {"undecided"}
    assert all(each.lacks in (("data",), ("printed",)) or "not implemented" in each.lacks for each in quick)
