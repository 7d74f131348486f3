"""The claims of the papers, as they are declared and as stored rows answer them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.analysis.claims import ClaimAnswers, claims_of
from benchmark.analysis.claims.figures import stated_by
from benchmark.analysis.claims.runs import Held, _on_loss
from benchmark.analysis.compare import measured_runs
from benchmark.analysis.statistics import STATISTICS, MeasuredRun
from benchmark.papers.claim_sides import claimed
from benchmark.papers.claims import OfFigures
from benchmark.papers.paper import load_paper, paper_ids
from benchmark.papers.protocol import PROFILES
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
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


@pytest.mark.parametrize("statistic", ["loss_slope", "loss_r2"])
def test_a_claim_on_the_loss_is_about_the_number_that_the_table_shows_and_not_about_fits_of_single_runs(
    statistic: str, tmp_path: Path
) -> None:
    session = Session(tmp_path)
    (cell,) = plan_cells(Request("cpu", tables=("dtkc2019/table6",), methods=("ddc",), datasets=("mnist",)))
    metric = load_paper("dtkc2019").protocol.metrics["acc-mean"]
    values, _ = measured_runs(session, cell, metric, "DDC")
    number = STATISTICS[statistic].value
    runs = [MeasuredRun(record, record.loss, value) for value, record in values.values()]
    parts = _on_loss(values, statistic)
    assert len(parts) == len(runs) == 5
    gap = Held("DDC", cell, parts, statistic=statistic, of=20).against(0.5)
    assert gap is not None
    assert abs(gap.estimate + 0.5 - number(runs)) < 0.03
    if statistic == "loss_r2":
        assert np.mean([number([run]) for run in runs]) > number(runs) + 0.5
