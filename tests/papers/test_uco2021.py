"""The paper data of uco2021: numbers as published, its own weights and rates, and quoted rows."""

from __future__ import annotations

import csv
from collections import Counter

import numpy as np
import pytest

from benchmark.analysis.assemble import network_table
from benchmark.catalogue import method_facts
from benchmark.papers.paper import load_paper
from benchmark.papers.tables import settings
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.plan.resolve import applies
from benchmark.registry import DATASETS, METHODS, load_plugins
from tests.support.checkout import ROOT

PAPER = ROOT / "paper_tables" / "uco2021"


@pytest.fixture(autouse=True, scope="module")
def plugins() -> None:
    load_plugins()


def cells(table: str, **more: object) -> list:
    return plan_cells(Request(tables=(f"uco2021/{table}",), **({"profile": "paper"} | more)))


def test_every_published_number_of_the_paper_is_there():
    """Table 3: 3 methods x 4 data sets x 2 metrics and 2 quoted x 2 x 2; Table 4: 9 settings x 4 x 2."""
    with (PAPER / "published.csv").open(newline="", encoding="utf-8") as file:
        counts = Counter(row["table"] for row in csv.DictReader(file))
    assert counts == {"Table 3": 24 + 8, "Table 4": 72}


def test_the_setting_that_the_paper_chose_has_one_number_in_both_tables():
    paper = load_paper("uco2021")
    rows = {
        (r["table"], r["dataset"], r["metric"]): r["value"]
        for r in paper.published
        if r["method"] == "DDC-UCO" and r["setting"] in ("lambda=0.10;omega=exp", "lambda=0.1;omega=exp")
    }
    both = [(rows["Table 3", d, m], rows["Table 4", d, m]) for t, d, m in rows if t == "Table 3"]
    assert len(both) == 8 and all(first == second for first, second in both)


def test_the_paper_reading_has_its_own_weight_omega_and_learning_rate():
    (cell,) = cells("table3", methods=("ddc-uco",), datasets=("mnist",))
    spec = cell.specs[0]
    assert (spec.params["companion_weight"], spec.params["omega"]) == (0.1, "exponential")
    assert spec.protocol.phases["train"].optimiser.lr == 1e-4
    (ddc,) = cells("table3", methods=("ddc",), datasets=("mnist",))
    assert ddc.specs[0].protocol.phases["train"].optimiser.lr == 1e-4
    (code,) = cells("table3", methods=("ddc-uco",), datasets=("mnist",), readings=("code",))
    assert (code.specs[0].params["companion_weight"], code.specs[0].params["omega"]) == (0.01, "constant")
    assert code.specs[0].params["taps"] == ["block1_conv2", "block2_pool"]


def test_settings_of_table_4_are_named_as_published():
    paper = load_paper("uco2021")
    published = {r["setting"] for r in paper.published if r["table"] == "Table 4"}
    assert {setting.label for setting in settings(paper.table("table4"))} == published


def test_quoted_rows_have_numbers_and_no_runs():
    found = [cell for cell in cells("table3") if cell.row in ("dec", "idec")]
    assert found and {cell.reason for cell in found} == {"quoted"}
    paper = load_paper("uco2021")
    rule, metric = paper.protocol, paper.protocol.metrics["acc"]
    value = paper.published_value(paper.table("table3"), rule.methods["idec"], rule.columns["usps"], "", metric, "best")
    assert value is not None and value.value == 76.1 and "quoted" in value.note


def test_every_ledger_field_is_a_field_of_a_method_or_of_the_data():
    for entry in load_paper("uco2021").ledger.values():
        assert entry.evidence and entry.choice
        for path in entry.fields:
            known = path.startswith("data.") or any(applies(path, method_facts(name)) for name in METHODS)
            assert known, (entry.id, path)


def test_every_ledger_id_that_the_protocol_names_is_an_entry():
    paper = load_paper("uco2021")
    named = {e for rule in paper.protocol.field for e in rule.ledger}
    named |= {e for c in paper.protocol.columns.values() for d in (c.paper, c.code) for e in d.ledger}
    named |= {e for metric in paper.protocol.metrics.values() for e in metric.ledger}
    assert named <= set(paper.ledger)


def test_figure_2_asks_for_drift_of_2000_images_and_the_cpu_profile_trains_as_long_as_on_10000():
    found = cells("figure2", profile="cpu")
    assert {cell.record for cell in found} == {("drift",)}
    assert {cell.column for cell in found} == {"mnist-0-3"}
    phase = found[0].specs[0].protocol.phases["train"]
    assert (phase.budget.amount, phase.evaluate_every) == (100, 1)
    assert DATASETS["mnist-0-3"].n_samples == 2000


def test_table_1_is_the_network_as_printed():
    table = network_table(load_paper("uco2021"), "table1")
    printed = [("convolution", "5x5", "32", "no"), ("convolution", "5x5", "32", "yes"), ("pool", "2x2", "-", "no")]
    printed += [("convolution", "3x3", "32", "no"), ("convolution", "3x3", "32", "yes"), ("pool", "2x2", "-", "no")]
    assert [row[1:] for row in table.rows] == printed


@pytest.mark.data
def test_the_images_of_figure_2_are_a_fixed_draw_of_the_first_four_digits():
    status = DATASETS["mnist-0-3"].status()
    if status.state == "missing":
        pytest.skip(status.detail)
    data = DATASETS["mnist-0-3"].load()
    assert data.x.shape == (2000, 1, 28, 28)
    np.testing.assert_array_equal(np.unique(data.y), [0, 1, 2, 3])
    assert DATASETS["mnist-0-3"].verify().state == "ready"
