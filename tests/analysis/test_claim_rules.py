"""Rules of claims on made-up runs whose answers are known, and on numbers as the papers print them. Nothing trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.analysis.claims import ClaimAnswer, claims_of
from benchmark.analysis.claims.answers import answer_of
from benchmark.analysis.claims.printed import own_table
from benchmark.analysis.claims.runs import Runs
from benchmark.errors import UsageError
from benchmark.papers.claim_sides import checked_claims, units_of
from benchmark.papers.claims import OfTables
from benchmark.papers.paper import load_paper
from benchmark.papers.protocol import Reading
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.record import RunRecord
from benchmark.registry import load_plugins
from benchmark.session import Session
from benchmark.store import Store

load_plugins()
PAPER = "tkuco2024"


def keep(
    results: Path,
    row: str,
    accs: Sequence[float],
    column: str,
    *,
    profile: str = "cpu",
    reading: Reading = "paper",
    streams: Sequence[str] = ("init:a",),
    table: str = f"{PAPER}/table2",
    losses: Sequence[float] = (),
) -> None:
    """Store a run for each of `accs`, of the first replicates of a cell; without `losses` the best has the lowest."""
    asked = Request(profile, tables=(table,), methods=(row,), datasets=(column,), readings=(reading,))
    (cell,) = [cell for cell in plan_cells(asked) if cell.column == column]
    for spec, acc, loss in zip(cell.specs, accs, losses or [1 - acc for acc in accs], strict=False):
        values: dict[str, Any] = {"status": "ok", "loss": loss, "metrics": {"acc": acc, "nmi_geometric": acc}}
        environment = {"device": "cpu", "streams": list(streams)}
        Store(results).save(RunRecord(run_id=spec.run_id, spec=spec, environment=environment, **values))


def claim(**changes: Any) -> OfTables:
    values = {"says": "It is so", "where": "section 1", "rule": "higher", "table": "table2", "metrics": ["acc"]}
    values |= {"a": "ddc-uco-t", "b": "ddc", "on": ["usps"]} | changes
    found = checked_claims(load_paper(PAPER), {"it": values})["it"]
    assert isinstance(found, OfTables)
    return found


def asked(results: Path, profile: str = "cpu", **changes: Any) -> ClaimAnswer:
    session = Session(results, shipped=results / "nothing-shipped")
    return answer_of(Runs(session, load_paper(PAPER)), claim(**changes), profile, "paper")


LOW, HIGH = [0.50, 0.51, 0.52, 0.49, 0.50], [0.60, 0.62, 0.61, 0.60, 0.59]


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two methods on two data sets: the second method is 10 points higher on USPS, and 10 lower on MNIST."""
    for column, values in (("usps", (LOW, HIGH)), ("mnist", (HIGH, LOW))):
        for row, accs in zip(("ddc", "ddc-uco-t"), values, strict=True):
            keep(tmp_path, row, accs, column)
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "supported"),
        ({"rule": "lower"}, "contradicted"),
        ({"denied": True}, "contradicted"),
        ({"rule": "lower", "denied": True}, "supported"),
        ({"by": 5}, "supported"),
        ({"by": 10}, "undecided"),
        ({"by": 20}, "contradicted"),
        ({"on": ["mnist"]}, "contradicted"),
        ({"on": ["mnist"], "by": -20}, "supported"),
        ({"on": ["mnist", "usps"]}, "contradicted"),
        ({"on": ["mnist", "usps"], "holds": "some"}, "supported"),
        ({"on": ["mnist", "usps"], "holds": 2}, "contradicted"),
        ({"on": ["mnist", "usps"], "without": ["mnist"]}, "supported"),
        ({"b": 40}, "supported"),
        ({"b": 90}, "contradicted"),
        ({"rule": "order", "a": ["ddc-uco-t", "ddc"], "b": None}, "supported"),
        ({"rule": "order", "a": ["ddc", "ddc-uco-t"], "b": None}, "contradicted"),
        ({"rule": "within", "by": 15}, "supported"),
        ({"rule": "within", "by": 5}, "contradicted"),
        ({"rule": "within", "a": ["ddc", "ddc-uco-t"], "b": None, "by": 15}, "supported"),
        ({"a": ["ddc", "ddc-uco-t"], "b": 55, "any_of_a": True}, "supported"),
        ({"a": ["ddc", "ddc-uco-t"], "b": 55}, "contradicted"),
        ({"a": ["ddc", "ddc-uco-t"], "b": 70, "any_of_a": True}, "contradicted"),
    ],
)
def test_a_rule_answers_what_is_known(two: Path, changes: dict[str, Any], word: str) -> None:
    changes = {name: value for name, value in changes.items() if value is not None}
    values = {"says": "It is so", "where": "section 1", "rule": "higher", "table": "table2", "metrics": ["acc"]}
    values |= {"a": "ddc-uco-t", "on": ["usps"]} | ({} if changes.get("rule") == "order" else {"b": "ddc"}) | changes
    if changes.get("rule") == "within" and isinstance(changes.get("a"), list):
        del values["b"]
    rule = checked_claims(load_paper(PAPER), {"it": values})["it"]
    found = answer_of(Runs(Session(two, shipped=two / "nothing-shipped"), load_paper(PAPER)), rule, "cpu", "paper")
    assert found.word == word, found.line
    assert found.answer == (word if word == "undecided" else f"{word} (cpu)")
    assert found.run_ids


def test_runs_that_share_streams_are_pairs_and_others_are_not(two: Path) -> None:
    (paired,) = asked(two).compared
    assert paired.paired and paired.runs == (5, 5)
    assert paired.gap is not None and paired.gap.df == 4
    assert paired.gap.estimate == pytest.approx(100 * (np.mean(HIGH) - np.mean(LOW)))
    keep(two, "ddc-ae", LOW, "usps", streams=("init:b",))
    (other,) = asked(two, b="ddc-ae").compared
    assert not other.paired and other.gap is not None and other.gap.df > 4


def test_equal_runs_decide_nothing_about_which_is_higher(tmp_path: Path) -> None:
    keep(tmp_path, "ddc", LOW, "usps")
    keep(tmp_path, "ddc-uco-t", LOW, "usps")
    found = asked(tmp_path)
    assert found.word == "undecided" and found.lacks == ("budget",)


def test_a_cell_without_all_its_runs_is_shown_and_decides_nothing(two: Path, tmp_path: Path) -> None:
    keep(two, "ddc-ae", [0.1, 0.1, 0.11, 0.1], "usps")
    found = asked(two, b="ddc-ae")
    assert found.word == "undecided" and found.lacks == ("runs",)
    assert "DDC-AE on USPS has 4 of 5 runs" in found.why
    assert found.compared[0].gap is not None
    words = f"run --table {PAPER}/table2 --method ddc-ae --dataset usps --profile cpu --reading paper"
    assert found.command == f"python -m benchmark {words}"


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({"on": ["digits"]}, "data"),
        ({"b": "pssc"}, "runs"),
        ({"printed": True}, "printed"),
    ],
)
def test_what_is_missing_has_a_name(two: Path, changes: dict[str, Any], lacks: str) -> None:
    assert asked(two, **changes).lacks == (lacks,)


def test_a_method_that_the_paper_quotes_is_not_implemented(tmp_path: Path) -> None:
    session = Session(tmp_path, shipped=tmp_path / "nothing-shipped")
    found = claims_of(
        session, "uco2021", ids=("companions-above-dec-and-idec",), profiles=("cpu",), readings=("paper",)
    )
    assert "not implemented" in found[0].answers[0].lacks
    assert "is quoted by the paper, and not run" in found[0].answers[0].why


def test_in_the_paper_profile_the_best_of_as_many_runs_is_compared_as_the_paper_had(tmp_path: Path) -> None:
    """Both have the same mean; the runs of one with the lowest losses are its best, those of the other its worst."""
    accs = np.linspace(0.5, 0.7, 20).tolist()
    keep(tmp_path, "ddc-uco-t", accs, "usps", profile="paper", losses=[1 - acc for acc in accs])
    keep(tmp_path, "ddc", accs, "usps", profile="paper", losses=[1 + acc for acc in accs])
    found = asked(tmp_path, "paper")
    (compared,) = found.compared
    assert compared.quantity == "best of 20"
    assert found.word == "supported" and found.answer == "supported"
    assert compared.gap is not None and compared.gap.estimate > 15


def test_spreads_are_compared_where_the_metric_is_one(tmp_path: Path) -> None:
    table = "dtkc2019/table4"
    rng = np.random.default_rng(0)
    for row, sd in (("ddc", 0.10), ("dtkc", 0.01)):
        keep(tmp_path, row, (0.6 + sd * rng.normal(size=20)).tolist(), "usps", profile="paper", table=table)
    values = {"says": "It is so", "where": "17", "rule": "lower", "table": "table4", "metrics": ["acc-sd"]}
    rule = checked_claims(load_paper("dtkc2019"), {"it": values | {"a": "dtkc", "b": "ddc", "on": ["usps"]}})["it"]
    session = Session(tmp_path, shipped=tmp_path / "nothing-shipped")
    found = answer_of(Runs(session, load_paper("dtkc2019")), rule, "paper", "paper")
    assert found.word == "supported" and found.compared[0].quantity == "spread"


def test_readings_that_part_are_both_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for reading, (first, second) in {"paper": (LOW, HIGH), "code": (HIGH, LOW)}.items():
        keep(tmp_path, "ddc", first, "usps", reading=reading)  # type: ignore[arg-type]
        keep(tmp_path, "ddc-uco-t", second, "usps", reading=reading)  # type: ignore[arg-type]
    monkeypatch.setattr("benchmark.analysis.claims.answers.load_claims", lambda paper: {"it": claim()})
    (found,) = claims_of(Session(tmp_path, shipped=tmp_path / "nothing-shipped"), PAPER)
    assert found.answer == "supported (cpu) in the paper reading, contradicted (cpu) in the code reading"


@pytest.mark.parametrize(
    ("name", "word", "entry"),
    [
        ("tkuco2024/reconstruction-helps-on-two-sets-only", "contradicted", "N6"),
        ("tkuco2024/tensor-above-naive", "contradicted", "N7"),
        ("tkuco2024/companions-above-pssc-in-nmi", "contradicted", "N7"),
        ("tkuco2024/companions-above-dynae", "contradicted", "N7"),
        ("tkuco2024/dynae-fits-best", "contradicted", "N8"),
        ("uco2021/companions-above-ddc", "contradicted", "N12"),
        ("uco2021/companions-above-ddc-mostly", "supported", "N12"),
        ("dtkc2019/expected-best-below-best", "contradicted", "N9"),
        ("dtkc2019/softmax-companions-worse", "contradicted", "T13"),
        ("dtkc2019/loss-spreads-at-one", "contradicted", "T14"),
        ("dtkc2019/dec-steadier", "contradicted", "T15"),
        ("dtkc2019/deep-above-classical", "contradicted", "T16"),
        ("dynae2022/dynae-best-of-all", "contradicted", "Y10"),
        ("dynae2022/dynae-ahead-of-depict-in-nmi", "contradicted", "Y10"),
    ],
)
def test_a_contradiction_of_the_ledger_is_found_in_the_printed_numbers(
    tmp_path: Path, name: str, word: str, entry: str
) -> None:
    paper, _, short = name.partition("/")
    (found,) = claims_of(Session(tmp_path, shipped=tmp_path), paper, ids=(short,), profiles=("quick",))
    assert found.own is not None and found.own.word == word
    assert entry in found.rule.ledger


def test_printed_numbers_of_a_claim_are_those_of_the_paper() -> None:
    """MNIST in Table 2 of the paper, read by eye: DDC-UCO_T 96.0, DDC-UCO_N 85.5, DDC 88.2."""
    found = own_table(load_paper(PAPER), claim(a=["ddc-uco-t", "ddc-uco-n"], on=["mnist"]))
    assert [each.values for each in found.printed] == [(96.0, 88.2), (85.5, 88.2)]
    assert [each.holds for each in found.printed] == [True, False]
    assert found.word == "contradicted"
    assert "DDC-UCO_N 85.5 and DDC 88.2 on MNIST (ACC)" in found.line


def test_thirteen_expectations_lie_above_the_best_as_the_ledger_counts() -> None:
    """The ledger says 13 of the 49 cells; equal numbers are not below either, and count apart."""
    paper = load_paper("dtkc2019")
    rule = {each.name: each for each in claims_of(Session(Path("none")), "dtkc2019", profiles=())}
    found = own_table(paper, rule["dtkc2019/expected-best-below-best"].rule)  # type: ignore[arg-type]
    above = [p for p in found.printed if None not in p.values and p.values[0] > p.values[1]]  # type: ignore[operator]
    assert len(above) == 13


def test_things_are_columns_with_metrics_or_pairs() -> None:
    both = {"metrics": ["acc", "nmi"], "on": ["mnist", "usps"], "a": ["ddc-uco-t", "ddc-uco-n"]}
    assert len(units_of(load_paper(PAPER), claim(**both))) == 4
    assert len(units_of(load_paper(PAPER), claim(**both, count="pairs"))) == 8
    assert len(units_of(load_paper(PAPER), claim(**both, without=["usps nmi"]))) == 3
    (unit,) = units_of(load_paper(PAPER), claim(a=["ddc-uco-t", "ddc-uco-n"], any_of_a=True))
    assert unit.groups == ((("ddc-uco-t", "ddc"),), (("ddc-uco-n", "ddc"),))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": "hihger"}, "rule: there is no rule of claims named 'hihger'; did you mean 'higher'"),
        ({"a": "ddc-uco-x"}, "sides: there is no row named 'ddc-uco-x'"),
        ({"b": "ddc@lambda=1"}, "sides: there is no setting of table2 named 'lambda=1'"),
        ({"table": "tabel2"}, "table: there is no table of tkuco2024 named 'tabel2'; did you mean 'table2'"),
        ({"a": "tabel4:ddc"}, "sides: there is no table of tkuco2024 named 'tabel4'"),
        ({"on": ["minst"]}, "on: there is no column named 'minst'; did you mean 'mnist'"),
        ({"without": ["minst"]}, "without: there is no column, or column and metric, named 'minst'"),
        ({"metrics": ["accc"]}, "metrics: there is no metric of table2 named 'accc'; did you mean 'acc'"),
        ({"ledger": ["N77"]}, "ledger: there is no ledger entry named 'N77'"),
        ({"holds": 3}, "holds: 3 of 1 cannot hold"),
        ({"holds": "many"}, "holds"),
        ({"by": "much"}, "by = 'much' is refused"),
        ({"says": "It is so."}, "says ends without a full stop"),
        ({"wehre": "x"}, "there is no field of tkuco2024/claims.toml [it] named 'wehre'"),
        ({"matched": True, "a": ["ddc", "ddc-ae"]}, "matched sides are as many of b as of a"),
        ({"rule": "within", "b": "ddc"}, "by"),
        ({"metrics_of_b": ["acc", "nmi"]}, "metrics_of_b has one for each of metrics"),
    ],
)
def test_a_wrong_claim_is_refused_in_one_sentence_that_names_paper_claim_and_field(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        claim(**changes)
    text = str(caught.value)
    assert "tkuco2024/claims.toml [it]" in text and message in text and "\n" not in text
