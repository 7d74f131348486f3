"""What a paper's files can say beside the plain case: rules for data sets, readings of profiles, several statistics."""

from __future__ import annotations

import dataclasses
import math

import pytest

from benchmark.analysis.assemble import assemble
from benchmark.papers.paper import Paper, load_paper
from benchmark.papers.protocol import FieldRule, ProfileRule
from benchmark.papers.tables import Setting, statistic_of
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.plan.resolve import Overrides, Resolved, resolve
from benchmark.record import RunRecord
from benchmark.registry import load_plugins
from benchmark.tables import render_table
from benchmark.tables.layout import lay_out
from benchmark.tables.values import BLANK, Cell, CellResult, Column, Row, TableResult

load_plugins()
PAPER = load_paper("tkuco2024")


def with_rules(*rules: FieldRule) -> Paper:
    protocol = PAPER.protocol.model_copy(update={"field": (*rules, *PAPER.protocol.field)})
    return dataclasses.replace(PAPER, protocol=protocol)


def resolved(paper: Paper, column: str, profile: ProfileRule | None = None, reading: str = "paper") -> Resolved:
    protocol = paper.protocol
    spent = profile or protocol.profiles["paper"]
    rows = protocol.methods["ddc-uco-t"], protocol.columns[column]
    return resolve(paper, *rows, reading, spent, Setting("", (), False), Overrides())


def rule(path: str, paper: object, code: object, **more: object) -> FieldRule:
    return FieldRule(path=path, paper=paper, code=code, source="a test", **more)


def test_a_rule_for_a_data_set_wins_over_those_for_all_and_over_the_column():
    """It stands first in the file, so that its place is not what makes it win; the column sets the network."""
    paper = with_rules(
        rule("params.width", 0.4, 0.5, datasets=("usps",)),
        rule("params.taps", ["layer3"], ["layer3"], datasets=("rcv1-23405",)),
    )
    assert resolved(paper, "usps").spec.params["width"] == 0.4
    assert resolved(paper, "usps", reading="code").spec.params["width"] == 0.5
    assert resolved(paper, "mnist").spec.params["width"] == 0.15
    assert resolved(paper, "rcv1-23405").spec.params["taps"] == ["layer3"]
    assert resolved(paper, "10x73k").spec.params["taps"] == ["layer1", "layer2"]


def test_a_rule_for_a_data_set_gives_way_to_the_profile_and_names_its_source():
    paper = with_rules(rule("params.width", 0.4, 0.5, datasets=("usps",)))
    found = {field.path: field.origin for field in resolved(paper, "usps").fields}
    assert found["params.width"] == "paper: a test"
    spent = ProfileRule(runs=1, set={"params.width": 0.9})
    assert resolved(paper, "usps", spent).spec.params["width"] == 0.9


def test_a_profile_may_set_another_value_for_each_reading():
    spent = ProfileRule(runs=1, set={"params.width": {"paper": 0.2, "code": 0.6}})
    assert resolved(PAPER, "usps", spent).spec.params["width"] == 0.2
    assert resolved(PAPER, "usps", spent, "code").spec.params["width"] == 0.6


def printed(metric: str, method: str = "dec", column: str = "mnist", table: str = "table4") -> object:
    paper = load_paper("dtkc2019")
    rule, protocol = paper.table(table), paper.protocol
    found = protocol.metrics[metric]
    parts = (protocol.methods[method], protocol.columns[column], "", found, found.statistic)
    return paper.published_value(rule, *parts)


def test_published_fractions_are_shown_in_per_cent_and_each_statistic_is_its_own():
    """dtkc2019 Table 4, DEC on MNIST: Best .83, Mean .87, Sd. .03, Max .95."""
    values = {name: printed(f"acc-{name}").value for name in ("best", "mean", "sd", "max")}
    assert values == {"best": 83.0, "mean": 87.0, "sd": 3.0, "max": 95.0}


def test_the_sd_of_a_published_mean_is_its_standard_error_and_others_have_none():
    assert printed("acc-mean").sd == pytest.approx(3.0 / math.sqrt(20))
    assert [printed(f"acc-{name}").sd for name in ("best", "sd", "max")] == [None, None, None]


def test_the_expected_best_has_the_bootstrap_sd_of_the_paper():
    """dtkc2019 Table 11, DEC on MNIST: .87 +- .03."""
    found = printed("acc-boot", table="table11")
    assert (found.value, found.sd) == (87.0, 3.0)


def test_papers_say_of_how_many_runs_their_numbers_are_or_are_silent():
    """Sections 6 of tkuco2024, 3 of uco2021 and 16 of dtkc2019 state 20 runs; idec2017 states none (I10)."""
    said = {
        f"{name}/{table}": rule.published_runs
        for name in ("tkuco2024", "uco2021", "dtkc2019", "idec2017")
        for table, rule in load_paper(name).tables.items()
        if rule.kind == "results" and any(row["table"] == rule.published for row in load_paper(name).published)
    }
    silent = {"idec2017/table2", "tkuco2024/table3"}  # R-OFM is of one run, and not judged
    assert {table for table, runs in said.items() if runs is None} == silent
    assert {runs for table, runs in said.items() if table not in silent} == {20}
    assert printed("acc-mean").runs == 20


def test_a_printed_sd_of_zero_is_known_to_half_a_unit_of_its_last_digit():
    """dtkc2019 prints two digits of fractions: an sd of .00 over 20 runs is up to .5 points, .11 of their mean."""
    assert printed("acc-mean").least_sd == pytest.approx(0.5 / math.sqrt(20))
    assert printed("acc-boot", table="table11").least_sd == pytest.approx(0.5)
    assert printed("acc-best").least_sd == 0.0


def test_a_published_number_is_shown_with_the_decimals_that_its_paper_prints():
    """idec2017 prints 76.05, tkuco2024 96.0 (6.4), dtkc2019 .83, which is 83 %; R-OFM has three decimals."""

    def shown(paper_id: str, table: str, row: str, column: str, metric: str) -> str:
        paper = load_paper(paper_id)
        rule, found = paper.table(table), paper.protocol.metrics[metric]
        parts = (paper.protocol.methods[row], paper.protocol.columns[column], "", found, statistic_of(rule, found))
        return paper.published_value(rule, *parts).text(rule.decimals)

    assert shown("idec2017", "table2", "idec", "usps", "acc") == "76.05"
    assert shown("tkuco2024", "table2", "ddc-uco-t", "mnist", "acc") == "96.0 (6.4)"
    assert shown("tkuco2024", "table3", "ddc-uco-t", "mnist", "r-ofm-slope") == "-0.816"
    assert shown("dtkc2019", "table4", "dec", "mnist", "acc-best") == "83"
    assert shown("dtkc2019", "table4", "dec", "mnist", "acc-mean") == "87 (0.7)", "no paper prints a standard error"
    assert shown("dtkc2019", "table11", "dec", "mnist", "acc-boot") == "87 (3)"


def record(cell: object, spec: object, loss: float, acc: float) -> RunRecord:
    values = {"loss": loss, "metrics": {"acc": acc, "nmi": acc, "nmi_geometric": acc}, "environment": {"device": "cpu"}}
    return RunRecord(run_id=spec.run_id, spec=spec, status="ok", **values)


def test_a_metric_with_a_statistic_of_its_own_shows_that_beside_the_table_s():
    metrics = dict(PAPER.protocol.metrics)
    for name in ("mean", "max"):
        metrics[f"acc-{name}"] = metrics["acc"].model_copy(update={"statistic": name, "published": ""})
    protocol = PAPER.protocol.model_copy(update={"metrics": metrics})
    table = PAPER.tables["table2"].model_copy(update={"metrics": ("acc", "acc-mean", "acc-max")})
    paper = dataclasses.replace(PAPER, protocol=protocol, tables={"table2": table})
    asked = Request("cpu", tables=("tkuco2024/table2",), methods=("ddc",), datasets=("usps",))
    (cell,) = plan_cells(asked)
    shelf = {s.run_id: [record(cell, s, 5.0 - i, 0.1 * i)] for i, s in enumerate(cell.specs)}
    drawn = assemble(paper, "table2", [cell], lambda s: shelf.get(s.run_id, ()), lambda r: False, ("paper",))
    values = [c.results["paper"].value for c in drawn.rows[0].cells]
    assert values == pytest.approx([40.0, 20.0, 40.0])


def test_a_spread_over_runs_has_no_best_value():
    paper = load_paper("idec2017")
    cells = plan_cells(Request("cpu", tables=("idec2017/table2",), datasets=("usps",)))
    drawn = assemble(paper, "table2", cells, lambda spec: (), lambda record: False, ("paper",))
    assert drawn.higher_is_better == {"acc": True, "nmi": True, "acc-mean": True}


def blank_table() -> TableResult:
    columns = (Column("a", "acc", "A", "ACC"), Column("b", "acc", "B", "ACC"))
    blank, value = (
        Cell(None, {"paper": CellResult(verdict=BLANK)}),
        Cell(None, {"paper": CellResult(verdict="not run")}),
    )
    row = Row("m", "M", cells=(value, blank))
    return TableResult("p", "t", "Title", "cpu", ("paper",), columns, (row,))


def test_a_blank_cell_is_drawn_empty_and_any_other_without_value_says_why():
    (block,) = lay_out(blank_table(), {}, 1)
    (ours,) = block.rows[0].lines
    assert [ink.text for ink in ours.inks] == ["not run", ""]


@pytest.mark.parametrize("form", ["md", "tex"])
def test_no_form_of_a_table_has_a_word_for_a_blank_cell(form):
    text = render_table(blank_table(), form)
    assert "not run" in text and BLANK not in text
