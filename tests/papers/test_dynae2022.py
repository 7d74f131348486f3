"""The paper data of dynae2022: published numbers, both readings, one pre-training for four methods, figures."""

from __future__ import annotations

import csv
from collections import Counter
from typing import Any

import pytest

from benchmark.analysis.derived import metric_value
from benchmark.analysis.tables import stored_tables
from benchmark.figures.rules import figure_rule
from benchmark.measure.mismatch import NotMeasured
from benchmark.papers.families import read_toml
from benchmark.papers.paper import load_paper
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.lineage import parent_of
from benchmark.plan.request import Request
from benchmark.plan.runs import plan_runs
from benchmark.registry import load_plugins
from benchmark.session import Session
from benchmark.spec import RunSpec
from benchmark.tables.markdown import draw_results
from paper_tables.dynae2022.figures import FIGURES
from tests.support.checkout import ROOT

FOLDER, STORED = ROOT / "paper_tables" / "dynae2022", ROOT / "results" / "stored"
STARRED = ("dec-star", "idec-star", "dc-star", "dynae")


@pytest.fixture(autouse=True, scope="module")
def plugins() -> None:
    load_plugins()


def cells(table: str = "table3", profile: str = "paper", **more: Any) -> list[PlannedCell]:
    return plan_cells(Request(profile, tables=(f"dynae2022/{table}",), **more))


def spec(method: str, column: str, reading: str = "paper", table: str = "table3", profile: str = "paper") -> RunSpec:
    (cell,) = cells(table, profile, methods=(method,), datasets=(column,), readings=(reading,))
    return cell.specs[0]


def test_every_published_number_is_there():
    with (FOLDER / "published.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # Table 2: 19 rows on 4 sets, two metrics, two rows with "-" on two sets; then 3 rows; seconds of 9 and of 3 rows
    assert Counter(row["table"] for row in rows) == {"Table 2": 144, "Table 3": 24, "Table 4": 36, "Table 5": 12}


@pytest.mark.parametrize(
    ("table", "row", "column", "metric", "value"),
    [
        ("table2", "dynae", "mnist-full", "acc", 98.7),
        ("table2", "ensc", "fashion-mnist", "nmi", 63.6),
        ("table2", "rbf-k-means", "mnist-full", "acc", None),
        ("table2", "ae-finch", "usps", "acc", 70.4),
        ("table3", "idec-star", "usps", "nmi", 94.6),
        ("table3", "acai", "usps", "acc", None),
        ("table4", "vade", "mnist-full", "seconds", 123000.0),
        ("table5", "dec-star", "fashion-mnist", "seconds", 10840.0),
    ],
)
def test_published_values_stand_where_the_paper_prints_them(table, row, column, metric, value):
    paper = load_paper("dynae2022")
    found, rules = paper.protocol.metrics[metric], paper.protocol
    printed = paper.published_value(
        paper.table(table), rules.methods[row], rules.columns[column], "", found, found.statistic or "best"
    )
    assert (None if printed is None else printed.value) == value


def test_four_methods_start_from_one_pretraining_in_every_profile_and_reading():
    for profile, column, readings in (("paper", "usps", ("paper", "code")), ("quick", "digits", ("paper",))):
        for reading in readings:
            found = cells("table3", profile, methods=(*STARRED, "acai"), datasets=(column,), readings=(reading,))
            plan = plan_runs(found, lambda spec: False, lambda name: "")
            methods = Counter(run.spec.method for run in plan.runs)
            assert len(set(methods.values())) == 1, methods
            assert set(methods) == {*STARRED, "acai"}


def test_readings_differ_where_the_text_and_the_code_do():
    paper, code = (spec("dynae", "usps", reading) for reading in ("paper", "code"))
    differ = {name for name, value in paper.params.items() if code.params[name] != value}
    assert differ == {
        "critic", "fold", "critic_target", "errors", "schedule", "edge", "centre_images", "conflicted_embedding",
    }  # fmt: skip
    assert paper.protocol == code.protocol
    assert paper.protocol.phases["pretrain"].budget.amount == 130_000
    assert paper.protocol.phases["cluster"].optimiser.momentum == 0.9


def test_reduced_profiles_keep_what_they_do_not_name():
    quick, cpu = spec("dynae", "digits", profile="quick"), spec("dynae", "usps", profile="cpu")
    assert cpu.protocol.phases["pretrain"].budget.amount == 8000
    assert (quick.data.samples, cpu.data.samples) == (500, None)  # USPS has fewer than 10 000
    assert quick.params["critic"] == "trained"
    assert spec("gmm", "digits", table="table2", profile="quick").params["covariances"] == "diag"
    assert spec("gmm", "usps", table="table2").params["covariances"] == "full"


def test_every_field_says_where_it_is_from_and_every_cited_entry_exists():
    paper = load_paper("dynae2022")
    for field in paper.protocol.field:
        assert field.source.strip(), field.path
        assert set(field.ledger) <= set(paper.ledger), field.path
    carried = {path for field in paper.protocol.field for path in [field.path] if field.ledger}
    for entry in paper.ledger.values():
        assert set(entry.fields) <= carried, entry.id


def test_every_published_figure_is_declared_or_drawn():
    rules = {
        name: figure_rule(values, name)
        for name, values in read_toml(FOLDER, "figures.toml").items()  # type: ignore[arg-type]
    }
    drawn = {rule.published for rule in rules.values()}
    expected = {f"Figure {n}" for n in range(9, 31) if n not in (17, 18)} | {f"Figure 17{part}" for part in "abcd"}
    expected |= {"Figure 6", "Figure 18a", "Figure 18b"}
    assert drawn == expected
    assert {figure.published for figure in FIGURES} == {
        "Figures 1, 2",
        "Figure 3",
        "Figure 4",
        "Figures 5, 7",
        "Figure 8",
    }
    assert all(rule.statement for rule in rules.values())
    for table in {rule.table for rule in rules.values()}:  # type: ignore[attr-defined]
        assert load_paper("dynae2022").table(table)


def test_seconds_are_those_with_the_pre_training_that_a_run_starts_from_and_beside_them_those_without(tmp_path):
    session = Session(tmp_path, shipped=STORED)
    rules = load_paper("dynae2022").protocol.metrics
    for spec in cells("table5", "quick", methods=("dynae",))[0].specs:
        parent = parent_of(spec)
        assert parent is not None
        (run,), (pre_training,) = session.find(spec), session.find(parent)
        assert metric_value(run, rules["seconds-own"], session.find) == run.seconds
        assert metric_value(run, rules["seconds"], session.find) == run.seconds + pre_training.seconds
        assert metric_value(pre_training, rules["seconds"], session.find) == pre_training.seconds
        with pytest.raises(NotMeasured, match="the run that it starts from is not stored"):
            metric_value(run, rules["seconds"], lambda _: ())


def test_a_table_of_seconds_names_the_machines_that_took_them(tmp_path):
    session, asked = Session(tmp_path, shipped=STORED), Request("quick", tables=("dynae2022/table5",))
    (table,) = stored_tables(session, asked, profile="quick")
    results = [result for row in table.rows for cell in row.cells for result in cell.results.values()]
    machines = {machine for result in results for machine in result.machines}
    (line,) = (text for text in draw_results(table, 0).splitlines() if "Our seconds are of " in text)
    assert machines and all(machine in line for machine in machines)
