"""The commands compare and ledger, on stored runs made up here. Nothing trains."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from benchmark.analysis.compare import _missing
from benchmark.cli import main as cli
from benchmark.cli.study import _home
from benchmark.errors import UserError
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.record import Evaluation, RunRecord
from benchmark.registry import load_plugins
from benchmark.store import Store

load_plugins()
pytestmark = pytest.mark.usefixtures("nothing_shipped")


def call(results: Path, *words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli.app, [*words, "--results", str(results)])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def keep(
    results: Path,
    method: str,
    accs: list[float],
    sets: tuple[str, ...] = (),
    streams: Any = ("init:a",),
    place: tuple[str, ...] = ("tkuco2024/table2",),
    auxiliary: tuple[float, ...] = (),
    reading: Any = "paper",
    profile: str = "quick",
    column: str = "",
) -> None:
    """Store a run for each of `accs`; `place` is a table and a setting, `auxiliary` the course of the companions."""
    spent = {"profile": profile, "readings": (reading,), "datasets": (column,) if column else ()}
    asked = Request(tables=place[:1], settings=place[1:], methods=(method,), runs=len(accs), sets=sets, **spent)
    (cell,) = plan_cells(asked)
    for spec, acc in zip(cell.specs, accs, strict=True):
        history = [
            Evaluation(
                **{"phase": "train", "step": t, "epoch": t, "total": 1, "clusters": 10},
                terms={"companion_1": x},
                metrics={"acc": acc / x},
            )
            for t, x in enumerate(auxiliary)
        ]
        values = {"status": "ok", "loss": 1 - acc, "metrics": {"acc": acc, "nmi_geometric": acc}, "history": history}
        environment = {"device": "cpu", "streams": list(streams)}
        Store(results).save(RunRecord(run_id=spec.run_id, spec=spec, environment=environment, **values))


def test_runs_that_share_streams_are_compared_pair_by_pair(tmp_path):
    keep(tmp_path, "ddc", [0.5, 0.6, 0.7])
    keep(tmp_path, "ddc-uco-t", [0.6, 0.7, 0.8])
    answer = json.loads(call(tmp_path, "compare", "ddc-uco-t", "ddc", "--json").output)
    (pair,) = answer["pairs"]
    assert pair["paired"] and pair["n_a"] == 3
    assert pair["difference"] == pytest.approx(10.0)
    assert pair["interval"] == pytest.approx([10.0, 10.0])
    assert pair["p"] is None and pair["smallest_p"] == 0.25


@pytest.mark.parametrize(
    ("methods", "metric", "table"),
    [
        (("idec", "dec"), "acc", "idec2017/table2"),
        (("ddc", "k-means", "a-method-of-mine"), "acc", "tkuco2024/table2"),
        (("dcec", "dec-conv"), "nmi", "tkuco2024/table5"),
        (("dec", "k-means"), "acc-max", "dtkc2019/table4"),
        (("ddc-ss", "ddc"), "acc", "dtkc2019/table4"),
    ],
)
def test_methods_are_compared_in_the_table_where_most_of_them_are_at_home(methods, metric, table):
    assert _home(methods, metric) == table


def test_where_a_table_has_several_statistics_of_acc_runs_are_compared_by_their_acc(tmp_path):
    for method, accs in (("ddc", [0.5, 0.6]), ("k-means", [0.4, 0.4])):
        keep(tmp_path, method, accs, place=("dtkc2019/table4",))
    words = ("compare", "ddc", "k-means", "--table", "dtkc2019/table4", "--json")
    answer = json.loads(call(tmp_path, *words).output)
    assert answer["metric"] == "ACC mean" and answer["pairs"][0]["difference"] == pytest.approx(15.0)
    best = json.loads(call(tmp_path, *words, "--metric", "acc-best").output)
    assert best["metric"] == "ACC best" and best["pairs"] == answer["pairs"]


def test_runs_without_common_streams_are_compared_as_two_groups(tmp_path):
    keep(tmp_path, "ddc", [0.5, 0.6, 0.7])
    keep(tmp_path, "k-means", [0.9, 0.91], streams=("kmeans",))
    (pair,) = json.loads(call(tmp_path, "compare", "ddc", "k-means", "--json").output)["pairs"]
    assert not pair["paired"] and (pair["n_a"], pair["n_b"]) == (3, 2)
    assert pair["improvement"] == 0.0


def test_a_method_is_compared_with_itself_in_the_other_reading_and_under_other_settings(tmp_path):
    asked = Request("cpu", tables=("tkuco2024/table2",), datasets=("usps",), methods=("ddc",), runs=3)
    for number, changes in enumerate(({}, {"readings": ("code",)}, {"sets": ("phases.train.budget.amount=3",)})):
        (cell,) = plan_cells(dataclasses.replace(asked, **changes))
        for spec in cell.specs:
            values = {"status": "ok", "loss": 0.5, "metrics": {"acc": 0.5 + 0.1 * number}}
            environment = {"device": "cpu", "streams": ["init:a"]}
            Store(tmp_path).save(RunRecord(run_id=spec.run_id, spec=spec, environment=environment, **values))
    names = ["ddc:code", "ddc", "ddc:phases.train.budget.amount=3"]
    answer = json.loads(call(tmp_path, "compare", *names, "--dataset", "usps", "--json").output)
    found = {(pair["a"], pair["b"]): pair["difference"] for pair in answer["pairs"]}
    assert found == pytest.approx({(names[0], "ddc"): 10.0, (names[0], names[2]): -10.0, ("ddc", names[2]): -20.0})
    assert answer["reading"] == "code, paper" and answer["profile"] == "cpu"
    with pytest.raises(UserError, match="--profile cpu --reading code --set kernel_solver=eigh32`"):
        call(tmp_path, "compare", "ddc", "ddc-uco-t:code,kernel_solver=eigh32", "--dataset", "usps")


def test_the_means_shown_are_those_of_the_pairs(tmp_path):
    keep(tmp_path, "ddc", [0.1, 0.6, 0.7])
    keep(tmp_path, "ddc-uco-t", [0.2, 0.7])
    (pair,) = json.loads(call(tmp_path, "compare", "ddc", "ddc-uco-t", "--json").output)["pairs"]
    assert pair["mean_a"] - pair["mean_b"] == pytest.approx(pair["difference"])
    assert pair["mean_a"] == pytest.approx(35.0)


def test_text_names_the_smallest_p_where_no_test_is_shown(tmp_path):
    keep(tmp_path, "ddc", [0.5, 0.6, 0.7])
    keep(tmp_path, "ddc-uco-t", [0.6, 0.7, 0.8])
    text = call(tmp_path, "compare", "ddc", "ddc-uco-t").output
    assert "not shown: 0.25 at best" in text and "3 pairs" in text and "profile quick" in text


def test_the_same_runs_are_not_compared_with_themselves(tmp_path):
    keep(tmp_path, "ddc", [0.5, 0.6])
    with pytest.raises(UserError, match="ddc and ddc:paper are the same runs on digits"):
        call(tmp_path, "compare", "ddc", "ddc:paper")


def test_missing_runs_are_named_with_the_command_that_makes_them(tmp_path):
    keep(tmp_path, "ddc", [0.5])
    with pytest.raises(UserError, match="run --table tkuco2024/table2 --method ddc-uco-t --dataset digits"):
        call(tmp_path, "compare", "ddc", "ddc-uco-t")


def test_the_command_for_missing_runs_has_all_that_was_set(tmp_path):
    keep(tmp_path, "ddc", [0.5], sets=("K1=code",))
    words = ["ddc", "ddc-uco-t:orthogonality=upper", "--set", "K1=code", "--set", "network=a b", "--runs", "2"]
    whole = "--reading paper --set K1=code --set 'network=a b' --set orthogonality=upper --runs 2`"
    asked = Request(tables=("tkuco2024/table2",), methods=tuple(words[:2]), sets=("K1=code", "network=a b"), runs=2)
    (cell,) = plan_cells(Request(tables=asked.tables, methods=("ddc-uco-t",)))
    assert _missing(asked, "quick", {("ddc-uco-t:orthogonality=upper", "digits"): cell}, {}).endswith(f"{whole}.")
    with pytest.raises(UserError, match="--profile quick --reading paper --set K1=code`"):
        call(tmp_path, "compare", "ddc", "ddc-uco-t", "--set", "K1=code")


GRID, LOW, HIGH = "tkuco2024/table4", "lambda=0.010;omega=constant", "lambda=0.100;omega=constant"
IN_GRID = ("compare", "ddc-uco-n", "ddc-uco-t", "--table", GRID)


def test_methods_are_compared_at_the_setting_that_is_named(tmp_path):
    for setting, gap in ((LOW, 0.1), (HIGH, 0.2)):
        keep(tmp_path, "ddc-uco-n", [0.5, 0.6], place=(GRID, setting))
        keep(tmp_path, "ddc-uco-t", [0.5 - gap, 0.6 - gap], place=(GRID, setting))
    answer = json.loads(call(tmp_path, *IN_GRID, "--setting", HIGH, "--json").output)
    assert answer["setting"] == HIGH and answer["pairs"][0]["difference"] == pytest.approx(20.0)
    text = call(tmp_path, *IN_GRID, "--setting", LOW).output
    assert f"ACC of {GRID} at {LOW}, profile quick" in text and "+10.00" in text


def test_a_setting_is_asked_for_where_there_are_several(tmp_path):
    keep(tmp_path, "ddc-uco-n", [0.5], place=(GRID, HIGH))
    with pytest.raises(UserError, match=f"name one with --setting: .*'{LOW}', .*'{HIGH}'"):
        call(tmp_path, *IN_GRID)
    with pytest.raises(UserError, match=f"did you mean .*'{LOW}'"):
        call(tmp_path, *IN_GRID, "--setting", "lambda=.010;omega=constant")
    with pytest.raises(UserError, match=f"ddc-uco-t on digits at {HIGH} is stored .* --setting '{HIGH}' --profile"):
        call(tmp_path, *IN_GRID, "--setting", HIGH)
    with pytest.raises(UserError, match="no table asked for has settings"):
        call(tmp_path, "compare", "ddc", "ddc-uco-t", "--setting", HIGH)
    with pytest.raises(UserError, match="several settings"):
        call(tmp_path, *EFFECTS[:4], "ddc-uco-t", *EFFECTS[5:], "--table", "table4")


def test_runs_without_the_metric_are_named_and_not_asked_for_again(tmp_path):
    keep(tmp_path, "ddc", [0.5, 0.6])
    keep(tmp_path, "ddc-uco-t", [0.5, 0.6], auxiliary=(3.0, 2.0, 1.5, 1.2, 1.1))
    with pytest.raises(UserError, match="R-OFM slope of 2 of 2 runs of ddc on digits is not measured: history has no"):
        call(tmp_path, "compare", "ddc", "ddc-uco-t", "--metric", "r-ofm-slope")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ddc", "ddc-ae", "--table", "tkuco2024/table1"], "table1 lists facts and has no numbers of runs to compare"),
        (["ddc", "ddc-ae", "--table", "table2"], "write the table as PAPER/TABLE"),
        (["ddc"], "at least two"),
        (["ddc", "ddc"], "at least two"),
        (["ddc", "ddc:codes"], "after the colon"),
        (["ddc", "ddc:paper,code"], "after the colon"),
        (["ddc", "ddc:codee=1"], "codee"),
        (["ddc", "ddd"], "did you mean 'ddc'"),
        (["ddc", "ddc-ae", "--metric", "accc"], "did you mean 'acc'"),
        (["ddc", "ddc-ae", "--profile", "quik"], "did you mean 'quick'"),
    ],
)
def test_wrong_calls_say_what_to_do(tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        call(tmp_path, "compare", *words)


def test_the_ledger_lists_entries_by_severity_and_shows_one(tmp_path):
    lines = json.loads(call(tmp_path, "ledger", "tkuco2024", "--severity", "a", "--json").output)
    assert {line["severity"] for line in lines} == {"A"} and {"K1", "C1"} <= {line["id"] for line in lines}
    text = call(tmp_path, "ledger", "c1").output
    assert "learning rate" in text and "evidence" in text and "--set C1=code" in text
    with pytest.raises(UserError, match="no ledger entry or paper named 'K99'"):
        call(tmp_path, "ledger", "K99")


EFFECTS = ("ledger", "--effects", "tkuco2024", "--method", "ddc", "--dataset", "digits", "--runs", "3")


def effects(results: Path, *more: str) -> dict[str, dict[str, str]]:
    lines = json.loads(call(results, *EFFECTS, "--json", *more).output)
    return {line["entry"]: line for line in lines}


def test_an_effect_is_the_flipped_runs_minus_those_of_the_paper_reading(tmp_path):
    keep(tmp_path, "ddc", [0.5, 0.6, 0.7])
    keep(tmp_path, "ddc", [0.55, 0.65, 0.75], sets=("K1=code",))
    found = effects(tmp_path)
    assert found["K1"]["code_minus_paper"] == "+5.00" and found["K1"]["runs"] == "3 pairs"
    assert found["K1"]["loss"] == "another loss function"


def test_effects_in_the_code_reading_are_still_the_code_s_value_minus_the_paper_s(tmp_path):
    """The base is the code reading, and one entry at a time is put to the paper's value."""
    code = {"reading": "code", "profile": "cpu", "column": "usps"}
    keep(tmp_path, "ddc", [0.5, 0.6, 0.7], **code)
    keep(tmp_path, "ddc", [0.55, 0.65, 0.75], sets=("K15=paper",), **code)
    words = (*EFFECTS[:5], "--dataset", "usps", "--runs", "3", "--profile", "cpu", "--reading", "code")
    found = {line["entry"]: line for line in json.loads(call(tmp_path, *words, "--json").output)}
    assert found["K15"]["code_minus_paper"] == "-5.00" and found["K15"]["runs"] == "3 pairs"
    assert found["K15"]["loss"] == "+0.0500", "the loss function is the same"
    assert "put to the paper's value, all others as the code has it" in call(tmp_path, *words).output
    with pytest.raises(UserError, match="effects are measured in one reading"):
        call(tmp_path, *words[:-1], "both")


def test_an_arm_that_neither_reading_has_is_an_effect_of_its_own(tmp_path):
    place = {"place": ("tkuco2024/table5",), "column": "digits"}
    keep(tmp_path, "dec-conv", [0.5, 0.6, 0.7], **place)
    keep(tmp_path, "dec-conv", [0.45, 0.55, 0.65], sets=("D6=arm",), **place)
    words = (*EFFECTS[:4], "dec-conv", *EFFECTS[5:], "--table", "table5", "--severity", "C")
    found = {line["entry"]: line for line in json.loads(call(tmp_path, *words, "--json").output)}
    assert "D6" not in found and found["D6=arm"]["code_minus_paper"] == "-5.00"
    assert found["D6=arm"]["loss"] == "+0.0500"
    assert "value or, where that is said, to its arm, all others as the paper reads" in call(tmp_path, *words).output
    assert "(--set D6=arm): phases.layer.drop_last = true" in call(tmp_path, "ledger", "D6").output


def test_an_entry_that_leaves_the_loss_alone_has_an_effect_on_it(tmp_path):
    keep(tmp_path, "ddc-uco-t", [0.5, 0.6, 0.7])
    # The value of the code, written out: the run is the same.
    keep(tmp_path, "ddc-uco-t", [0.4, 0.5, 0.6], sets=("phases.train.optimiser.lr=0.0001",))
    lines = json.loads(call(tmp_path, *EFFECTS[:4], "ddc-uco-t", *EFFECTS[5:], "--json").output)
    found = {line["entry"]: line for line in lines}
    assert found["C1"]["loss"] == "+0.1000" and found["C1"]["code_minus_paper"] == "-10.00"


def test_entries_without_runs_or_without_effect_say_so(tmp_path):
    keep(tmp_path, "ddc", [0.5, 0.6, 0.7])
    found = effects(tmp_path)
    assert found["K1"]["code_minus_paper"] == "0/3 runs stored"
    assert found["K3"]["code_minus_paper"] == "no field of this method and data set"
    assert "both readings have the same value" in found["K9"]["code_minus_paper"]
    assert found["N1"]["code_minus_paper"] == "no effect on our numbers"


def test_entries_without_effect_stand_below_the_effects(tmp_path):
    keep(tmp_path, "ddc", [0.5, 0.6, 0.7])
    lines = call(tmp_path, *EFFECTS).output.splitlines()
    assert [line.split()[0] for line in lines[: lines.index("")]] == ["entry", "K1", "K15"]
    below = lines[lines.index("Without an effect to measure:") :]
    assert any("the same value: K9 (--set params.orthogonality=...)" in line for line in below)
    assert any("  no field of this method and data set: K3, " in line for line in below)
    assert any("no effect on our numbers: " in line and "N1" in line for line in below)


def test_an_effect_on_a_metric_that_is_computed_from_the_history_is_shown(tmp_path):
    course = (3.0, 2.0, 1.5, 1.2, 1.1)
    keep(tmp_path, "ddc-uco-t", [0.5, 0.6, 0.7], auxiliary=course)
    keep(tmp_path, "ddc-uco-t", [0.6, 0.7, 0.8], sets=("K1=code",), auxiliary=course)
    keep(tmp_path, "ddc-uco-t", [0.6, 0.7, 0.8], sets=("C1=code",))
    words = (*EFFECTS[:4], "ddc-uco-t", *EFFECTS[5:], "--metric", "r-ofm-slope")
    found = {line["entry"]: line for line in json.loads(call(tmp_path, *words, "--json").output)}
    assert found["K1"]["runs"] == "3 pairs" and float(found["K1"]["code_minus_paper"]) != 0
    reason = "R-OFM slope of 3 of 3 runs of ddc-uco-t on digits with C1=code is not measured: history has no auxiliary"
    assert found["C1"]["code_minus_paper"].startswith(reason)
    text = call(tmp_path, *words).output
    assert f"\n{reason}" in text and "Runs are missing for K3 K15 (or for the base)" in text


def test_effects_on_a_metric_that_the_method_lacks_end_in_one_sentence(tmp_path):
    keep(tmp_path, "ddc", [0.5, 0.6, 0.7])
    with pytest.raises(UserError, match="R-OFM slope of 3 of 3 runs of ddc on digits is not measured: history has no"):
        effects(tmp_path, "--metric", "r-ofm-slope")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--metric", "accc"), "no metric of tkuco2024/table2 named 'accc'; did you mean 'acc'"),
        (("--metric", "r-ofm-slope", "--table", "table2"), "no metric of tkuco2024/table2 named 'r-ofm-slope'"),
        (("--table", "tkuco2024/table1"), "table1 lists facts"),
    ],
)
def test_a_wrong_metric_is_refused_before_anything_trains(tmp_path, monkeypatch, words, message):
    monkeypatch.setattr("benchmark.cli.running.carry_out", lambda *_: pytest.fail("it trains"))
    with pytest.raises(UserError, match=message):
        call(tmp_path, *EFFECTS, "--run", *words)


def test_the_field_to_change_by_hand_can_be_set(tmp_path):
    words = ("--dataset", "usps", "--profile", "cpu", "--json")
    lines = json.loads(call(tmp_path, *EFFECTS[:5], *words).output)
    found = {line["entry"]: line["code_minus_paper"] for line in lines}
    assert found["C6"] == "both readings have the same value; change it with --set data.preprocess=..."
    assert not any("data.dataset" in text for text in found.values())


def test_effects_are_drawn(tmp_path):
    keep(tmp_path, "ddc", [0.5, 0.6, 0.7])
    keep(tmp_path, "ddc", [0.55, 0.65, 0.75], sets=("K1=code",))
    effects(tmp_path, "--out", str(tmp_path / "out"))
    assert "K1 kernel width" in (tmp_path / "out" / "ledger-effects-ddc-digits.svg").read_text(encoding="utf-8")
