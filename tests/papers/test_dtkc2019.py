"""The paper data of dtkc2019: DEC by the article and by DEC-keras, four statistics of every number, quoted rows."""

from __future__ import annotations

import csv
from collections import Counter
from typing import Any

import pytest

from benchmark.analysis.assemble import assemble
from benchmark.catalogue import method_facts
from benchmark.papers.paper import load_paper
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.plan.resolve import applies
from benchmark.record import RunRecord
from benchmark.registry import METHODS, load_plugins
from benchmark.spec import RunSpec
from benchmark.tables import render_table
from tests.support.checkout import ROOT

FOLDER = ROOT / "paper_tables" / "dtkc2019"


@pytest.fixture(autouse=True, scope="module")
def plugins() -> None:
    load_plugins()


def cells(table: str = "table4", profile: str = "paper", **more: Any) -> list[PlannedCell]:
    return plan_cells(Request(profile, tables=(f"dtkc2019/{table}",), **more))


def spec(column: str, reading: str, table: str = "table4", method: str = "dec") -> RunSpec:
    (cell,) = cells(table, methods=(method,), datasets=(column,), readings=(reading,))
    return cell.specs[0]


def test_every_published_number_of_the_thesis_is_there():
    with (FOLDER / "published.csv").open(newline="", encoding="utf-8") as file:
        counts = Counter(row["table"].removeprefix("Table ") for row in csv.DictReader(file))
    assert counts == {"4": 204, "5": 260, "6": 16, "7": 42, "8": 72, "10": 80, "11": 98}


@pytest.mark.parametrize(
    ("table", "row", "column", "printed"),
    [  # Best, Mean, Sd., Max of ACC, then of NMI, as printed
        ("table4", "dec", "mnist", [0.83, 0.87, 0.03, 0.95, 0.85, 0.86, 0.01, 0.89]),
        ("table4", "dec", "usps", [0.76, 0.76, 0.0, 0.77, 0.78, 0.78, 0.0, 0.79]),
        ("table4", "dec", "svhn", [0.18, 0.2, 0.01, 0.23, 0.07, 0.09, 0.02, 0.14]),
        ("table4", "dtkc", "mnist", [0.94, 0.77, 0.08, 0.94, 0.88, 0.74, 0.07, 0.88]),
        ("table4", "spectralnet", "mnist", [0.97, None, None, None, 0.92, None, None, None]),
        ("table5", "dec", "umist", [0.08, 0.24, 0.12, 0.4, 1.69, 0.75, 0.56, 1.69]),
        ("table5", "k-means", "coil-20", [0.69, 0.63, 0.04, 0.7, 0.8, 0.77, 0.01, 0.8]),
    ],
)
def test_each_statistic_shows_the_number_that_the_thesis_prints(table, row, column, printed):
    paper = load_paper("dtkc2019")
    rule, protocol = paper.table(table), paper.protocol
    found = []
    for name in rule.metrics:
        metric = protocol.metrics[name]
        parts = (protocol.methods[row], protocol.columns[column], "", metric, metric.statistic)
        number = paper.published_value(rule, *parts)
        found.append(number.value if number else None)
    assert found == [None if value is None else pytest.approx(100 * value) for value in printed]


def test_usps_in_the_code_reading_is_what_dec_keras_does():
    found = spec("usps", "code")
    assert (found.data.preprocess, found.data.samples) == (("flatten",), None)
    values = {name: found.params[name] for name in ("network", "embedding", "pretraining", "initialisation", "starts")}
    assert values == {
        "network": "mlp-dec",
        "embedding": 10,
        "pretraining": "end-to-end",
        "initialisation": "glorot",
        "starts": 20,
    }
    assert (found.params["update_interval"], found.params["update_unit"], found.params["tolerance"]) == (
        30,
        "steps",
        1e-3,
    )
    assert set(found.protocol.phases) == {"pretrain", "cluster"}
    before, after = found.protocol.phases["pretrain"], found.protocol.phases["cluster"]
    assert (before.optimiser.name, before.optimiser.lr, before.batch_size) == ("adam", 1e-3, 256)
    assert (before.budget.unit, before.budget.amount) == ("epochs", 50)
    assert (after.optimiser.name, after.optimiser.lr, after.optimiser.momentum) == ("sgd", 0.01, 0.9)
    assert (after.budget.unit, after.budget.amount, after.sampler, after.drop_last) == ("steps", 20_000, "fixed", False)


@pytest.mark.parametrize(("column", "table"), [("mnist", "table4"), ("fashion-mnist", "table5")])
def test_the_large_sets_in_the_code_reading_are_what_dec_keras_does(column, table):
    found = spec(column, "code", table)
    before = found.protocol.phases["pretrain"]
    assert (before.optimiser.name, before.optimiser.lr, before.optimiser.momentum) == ("sgd", 1.0, 0.9)
    assert before.budget.amount == 300
    assert (found.params["initialisation"], found.params["update_interval"]) == ("fan-in", 140)


def test_the_paper_reading_pre_trains_as_the_original_article():
    found = spec("usps", "paper")
    layer, whole = found.protocol.phases["layer"], found.protocol.phases["pretrain"]
    assert (layer.budget.unit, layer.budget.amount, found.params["noise"]) == ("steps", 50_000, 0.2)
    assert (whole.budget.unit, whole.budget.amount) == ("steps", 100_000)
    for optimiser in (layer.optimiser, whole.optimiser):
        assert (optimiser.name, optimiser.lr, optimiser.decay, optimiser.decay_every) == ("sgd", 0.1, 0.1, 20_000)
    assert (found.params["initialisation"], found.params["pretraining"]) == ("normal", "layer-wise")


def test_a_start_of_k_means_is_a_run_and_there_are_twenty():
    (cell,) = cells(methods=("k-means",), datasets=("usps",))
    assert (cell.runs, cell.specs[0].params["starts"], cell.specs[0].params["iterations"]) == (20, 1, 300)
    assert cell.specs[0].data.preprocess == ()


def test_rows_say_why_they_have_no_runs():
    reasons = {cell.row: cell.reason for cell in (*cells(), *cells("table5"))}
    run = {"k-means", "hierarchical", "spectral", "dec", "ddc", "ddc-ss", "dtkc", "dtkc-ss"}
    assert {row for row, reason in reasons.items() if not reason} == run
    assert {row for row, reason in reasons.items() if reason == "quoted"} == {"dbc", "dcn", "idec", "spectralnet"}


def record(found: RunSpec, loss: float, acc: float) -> RunRecord:
    values = {"loss": loss, "metrics": {"acc": acc, "nmi": acc / 2}, "environment": {"device": "cpu"}}
    return RunRecord(run_id=found.run_id, spec=found, status="ok", **values)


@pytest.mark.parametrize(("acc", "verdict"), [(0.22, "equivalent"), (0.28, "higher"), (0.16, "lower")])
def test_the_one_run_of_hierarchical_clustering_is_judged(acc: float, verdict: str) -> None:
    (cell,) = cells(methods=("hierarchical",), datasets=("usps",), readings=("paper",))
    found = [record(cell.specs[0], 1.0, acc)]
    table = assemble(load_paper("dtkc2019"), "table4", [cell], lambda s: found, lambda r: False, ("paper",))
    (row,) = table.rows
    results = {column.metric: c.results["paper"] for column, c in zip(table.columns, row.cells, strict=True)}
    assert results["acc-best"].verdict == results["acc-mean"].verdict == verdict
    assert results["acc-max"].verdict == "not judged"


def test_table_4_judges_best_and_mean_and_neither_the_highest_value_nor_the_spread():
    """Twenty runs at exactly the published numbers of DEC on USPS but for a mean that is ten points off."""
    (cell,) = cells(methods=("dec",), datasets=("usps",), readings=("code",))
    accs = [0.76] + [0.65] * 18 + [0.77]
    shelf = {s.run_id: [record(s, 1.0 + i, acc)] for i, (s, acc) in enumerate(zip(cell.specs, accs, strict=True))}
    table = assemble(
        load_paper("dtkc2019"), "table4", [cell], lambda s: shelf.get(s.run_id, ()), lambda r: False, ("code",)
    )
    (row,) = table.rows
    results = {column.metric: c.results["code"] for column, c in zip(table.columns, row.cells, strict=True)}
    assert results["acc-best"].value == pytest.approx(76.0)
    assert results["acc-mean"].value == pytest.approx(100 * sum(accs) / 20)
    assert results["acc-max"].value == pytest.approx(77.0)
    assert results["acc-mean"].verdict == "lower"
    assert results["acc-max"].verdict == results["acc-sd"].verdict == "not judged"
    assert results["acc-max"].judgement.interval95 is None and results["acc-sd"].judgement is None
    text = render_table(table, "md")
    assert "DEC" in text and "published" in text and "76.0" in text


def test_every_ledger_field_is_a_field_of_a_method_or_of_the_data():
    ledger = load_paper("dtkc2019").ledger
    assert {"N3", "N9", "N14", "N15", "I8", "C5"} <= set(ledger)
    for entry in ledger.values():
        assert entry.evidence and entry.choice
        for path in entry.fields:
            known = path.startswith("data.") or any(applies(path, method_facts(name)) for name in METHODS)
            assert known, (entry.id, path)
