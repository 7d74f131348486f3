"""Where a cell comes from: every part of the answer, checked against what was put in. Nothing here trains."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark.analysis.explain import as_text, explain_cell
from benchmark.analysis.verdicts import unjudged
from benchmark.cli import main as cli
from benchmark.errors import UsageError
from benchmark.papers.paper import load_paper
from benchmark.papers.published import Published
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.provenance.code import run_code_digest
from benchmark.record import RunRecord
from benchmark.registry import DATASETS, load_plugins
from benchmark.session import Session
from benchmark.spec import RunSpec
from benchmark.store import Store
from benchmark.store.merge import merge
from tests.support.records import made_on

load_plugins()
pytestmark = pytest.mark.usefixtures("nothing_shipped")
STREAMS = ["batches:train", "evaluation", "init:backbone.block1.conv1"]
LOSSES, ACCS = [3.0, 1.0, 2.0], [0.7, 0.5, 0.6]


def planned(method: str = "ddc-uco-t", **more: object) -> PlannedCell:
    values = {"tables": ("tkuco2024/table2",), "methods": (method,), "runs": 3} | more
    (cell,) = plan_cells(Request(**values))
    return cell


def record(spec: RunSpec, loss: float, acc: float, device: str = "cpu", **more: object) -> RunRecord:
    values = {
        "status": "ok",
        "loss": loss,
        "metrics": {"acc": acc, "nmi_geometric": acc, "nmi": acc, "ari": acc},
        "code_digest": run_code_digest(spec),
        "environment": {**made_on(device), "torch": "2.9.0", "streams": STREAMS, "date": f"2026-01-0{1 + int(loss)}"},
    }
    return RunRecord(run_id=spec.run_id, spec=spec, **(values | more))


def on(cpu: str) -> dict[str, object]:
    return {"device": "cpu", "machine": f"x86_64, {cpu}, cpu", "streams": STREAMS}


def kept(results: Path, *records: RunRecord) -> Path:
    for each in records:
        Store(results).save(each)
    return results


def stored(results: Path, cell: PlannedCell, **more: object) -> Session:
    for spec, loss, acc in zip(cell.specs, LOSSES, ACCS, strict=True):
        Store(results).save(record(spec, loss, acc, **more))
    return Session(results)


def seed(dataset: str, replicate: int, stream: str) -> int:
    """The seed of a stream as design.md states it, written here a second time."""
    text = "\x1f".join((dataset, str(replicate), stream))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def test_the_answer_has_every_part_and_is_json(tmp_path):
    cell = planned()
    facts = explain_cell(stored(tmp_path, cell), cell, "acc")
    parts = "cell published ours verdict runs machines streams data protocol ledger environment command"
    assert list(facts) == parts.split()
    assert all(facts.values())
    assert json.loads(json.dumps(facts)) == facts


def test_the_selected_run_is_the_one_with_the_lowest_loss(tmp_path):
    cell = planned()
    ours = explain_cell(stored(tmp_path, cell), cell, "acc")["ours"]
    assert ours["selected_run"] == cell.specs[1].run_id
    assert ours["value"] == pytest.approx(50.0)
    assert ours["selection_regret"] == pytest.approx(20.0)
    assert (ours["mean_over_runs"], ours["highest_over_runs"]) == (pytest.approx(60.0), pytest.approx(70.0))
    assert (ours["runs"], ours["stale"], ours["counts"]) == ("3/3", 0, {"ok": 3})


def test_a_cell_says_of_which_machines_it_is_and_how_the_others_differ(tmp_path):
    cell = planned()
    merge([stored(tmp_path / "oak", cell, environment=on("Oak 3000")).results], tmp_path)
    for spec, loss in zip(cell.specs[:2], (3.3, 1.0), strict=True):
        more = {"first_losses": (1.01,), "environment": on("Elm 5")}
        merge([kept(tmp_path / "elm", record(spec, loss, 0.8, **more))], tmp_path)
    facts = explain_cell(Session(tmp_path), cell, "acc")
    assert facts["ours"]["mean_over_runs"] == pytest.approx(60.0) and facts["ours"]["runs"] == "3/3"
    assert facts["machines"]["used"] == "x86_64, Oak 3000, cpu" and "most runs" in facts["machines"]["rule"]
    other = facts["machines"]["not used, 1"]
    assert other["made by"] == "x86_64, Elm 5, cpu" and (other["runs"], other["other status"]) == (2, 0)
    assert other["loss parts by at most"] == pytest.approx(0.3 / 3.3)
    assert other["acc minus that used, mean"] == pytest.approx(0.2)
    assert "Elm 5" in as_text(facts)


def test_regret_is_none_where_the_lowest_value_is_best_and_selected(tmp_path, monkeypatch):
    metrics = load_paper("tkuco2024").protocol.metrics
    monkeypatch.setitem(metrics, "acc", metrics["acc"].model_copy(update={"higher_is_better": False}))
    cell = planned()
    ours = explain_cell(stored(tmp_path, cell), cell, "acc")["ours"]
    assert ours["selection_regret"] == 0 and ours["lowest_over_runs"] == pytest.approx(50.0)


def test_the_command_names_the_setting_and_trains_whatever_is_stored(tmp_path, monkeypatch):
    rows = load_paper("tkuco2024").protocol.methods
    monkeypatch.setitem(rows, "dynae", rows["dynae"].model_copy(update={"method": ""}))
    setting = "lambda=0.100;omega=constant"
    (cell,) = plan_cells(Request(tables=("tkuco2024/table4",), methods=("ddc-uco-n",), settings=(setting,)))
    words = shlex.split(explain_cell(stored(tmp_path, cell), cell, "acc")["command"])
    assert words[words.index("--setting") + 1] == setting and words[-1] == "--fresh"
    none = explain_cell(Session(tmp_path), planned("dynae"), "acc")
    assert none["command"] == "" and none["ours"]["verdict"] == "not implemented"


def test_a_cell_without_verdict_says_why(tmp_path):
    asked = Request("paper", tables=("tkuco2024/table3",), methods=("ddc-uco-t",), datasets=("usps",))
    (cell,) = plan_cells(asked)
    assert "reduced" not in unjudged(cell, Published(1.0)) and "no number" in unjudged(cell, None)
    assert unjudged(planned(), None) == "none in a reduced profile"


def judged(results: Path) -> tuple[Session, PlannedCell]:
    """A whole cell of the paper profile: DDC-UCO_T on USPS."""
    (cell,) = plan_cells(Request("paper", tables=("tkuco2024/table2",), methods=("ddc-uco-t",), datasets=("usps",)))
    for i, spec in enumerate(cell.specs):
        Store(results).save(record(spec, float(i), 0.5 + 0.01 * ((7 * i) % 20)))
    return Session(results), cell


def test_a_verdict_shows_what_it_rests_on_and_can_be_recomputed_from_the_line_it_prints(tmp_path):
    facts = explain_cell(*judged(tmp_path), "acc")["verdict"]
    code = facts["recompute"].replace("print(", "(")
    head, _, call = code.partition("; ")
    space: dict[str, object] = {}
    exec(head, space)
    again = eval(call, space)
    assert (again.name, again.difference, again.published_sd) == (
        *(facts["verdict"], facts["difference"], facts["published_sd"]),
    )
    assert (list(again.interval90), list(again.interval95)) == (facts["interval90"], facts["interval95"])
    assert (facts["margin"], facts["published_runs"], facts["runs_used"]) == (3.0, 20, 20)
    assert "predict for the best of 20 runs, minus the published value" in facts["difference_is"]
    assert "larger of the paper's 3.1" in facts["published_sd_is"]


def test_the_text_shows_the_intervals_of_a_verdict(tmp_path):
    facts = explain_cell(*judged(tmp_path), "acc")
    text = as_text(facts)
    low, high = facts["verdict"]["interval95"]
    assert f"interval95: [{low:.6g}, {high:.6g}]" in text and "recompute: from benchmark.measure import" in text


def test_a_cell_with_too_few_runs_says_what_a_verdict_needs(tmp_path):
    cell = planned(profile="paper", runs=3, datasets=("usps",))
    facts = explain_cell(stored(tmp_path, cell), cell, "acc")["verdict"]
    assert facts["verdict"] == "incomplete" and "80%" in facts["why"] and "recompute" not in facts


def test_a_run_that_failed_is_listed_with_its_error_and_is_not_selected(tmp_path):
    cell = planned()
    for spec, loss, acc in zip(cell.specs[1:], LOSSES[1:], ACCS[1:], strict=True):
        Store(tmp_path).save(record(spec, loss, acc))
    failure = {"status": "failed", "error": "ValueError: no", "loss": None, "metrics": {}}
    Store(tmp_path).save(record(cell.specs[0], 0.0, 0.0).model_copy(update=failure))
    facts = explain_cell(Session(tmp_path), cell, "acc")
    first = facts["runs"][0]
    assert (first["run_id"], first["status"], first["error"]) == (cell.specs[0].run_id, "failed", "ValueError: no")
    assert (facts["ours"]["selected_run"], facts["ours"]["runs"]) == (cell.specs[1].run_id, "2/3")


def test_every_run_says_its_numbers_where_it_is_stored_and_whether_its_code_is_today_s(tmp_path):
    cell = planned()
    session = stored(tmp_path, cell)
    Store(tmp_path).save(record(planned(runs=4).specs[3], 9.0, 0.1, code_digest="0" * 16))
    runs = explain_cell(Session(tmp_path), planned(runs=4), "acc")["runs"]
    assert [run["run_id"] for run in runs] == [spec.run_id for spec in planned(runs=4).specs]
    assert [run["value"] for run in runs] == pytest.approx([70.0, 50.0, 60.0, 10.0])
    assert [run["code"].endswith(" stale") for run in runs] == [False, False, False, True]
    for run in runs:
        assert (Path(run["stored_in"]) / "record.json").is_file()
    assert explain_cell(session, cell, "acc")["ours"]["stale"] == 0


def test_the_place_of_a_run_is_that_of_the_device_shown(tmp_path):
    cell = planned()
    Store(tmp_path).save(record(cell.specs[0], 1.0, 0.5))
    for spec in cell.specs:
        Store(tmp_path).save(record(spec, 2.0, 0.6, device="NVIDIA H100"))
    runs = explain_cell(Session(tmp_path), cell, "acc")["runs"]
    assert {run["device"] for run in runs} == {"NVIDIA H100"}
    for run in runs:
        held = json.loads((Path(run["stored_in"]) / "record.json").read_text())
        assert held["environment"]["device"] == "NVIDIA H100"


def test_streams_show_the_seeds_by_which_they_can_be_drawn_again(tmp_path):
    cell = planned()
    lines = explain_cell(stored(tmp_path, cell), cell, "acc")["streams"]
    assert lines == [
        {"stream": name, **{f"r={r}": seed("digits", r, name) for r in range(3)}} for name in sorted(STREAMS)
    ]


def test_the_data_are_named_with_their_digest_and_subset(tmp_path):
    cell = planned(sets=("data.samples=240",))
    data = explain_cell(stored(tmp_path, cell), cell, "acc")["data"]
    assert data["digest"] == DATASETS["digits"].digest == cell.specs[0].data.digest
    assert (data["name"], data["samples"], data["classes"]) == ("digits", "240 of 1797", 10)
    assert data["preprocessing"] == ", ".join(cell.specs[0].data.preprocess)


def test_every_field_says_its_value_and_whether_reading_profile_or_user_set_it():
    cell = planned(sets=("params.ridge=0.5", "K3=code"))
    facts = explain_cell(Session(Path("nowhere")), cell, "acc")
    fields = {line["field"]: line for line in facts["protocol"]}
    assert (fields["params.width"]["value"], fields["params.width"]["from"][:6]) == ("0.15", "paper:")
    assert (fields["params.ridge"]["value"], fields["params.ridge"]["from"]) == ("0.5", "--set")
    assert fields["params.transpose"]["from"].startswith("code:")
    assert fields["params.transpose"]["ledger"].startswith("K3[")
    assert fields["phases.train.budget.amount"]["from"] == "profile"
    assert fields["data.dataset"]["value"] == "digits"


@pytest.mark.parametrize("reading", ["paper", "code"])
def test_the_ledger_entries_of_the_fields_are_explained(reading):
    cell = planned(profile="paper", datasets=("usps",), readings=(reading,))
    facts = explain_cell(Session(Path("nowhere")), cell, "nmi")
    ledger = load_paper("tkuco2024").ledger
    named = {word.partition("[")[0] for line in facts["protocol"] for word in line["ledger"].split()}
    listed = {entry["id"]: entry for entry in facts["ledger"]}
    assert {"K1", "K3", "K14", "C1", "C6", "C8"} <= named
    assert named <= listed.keys()
    assert "N15" in listed, "the ledger entry of the metric itself"
    for name, entry in listed.items():
        assert (entry["title"], entry["our_choice"]) == (ledger[name].title, ledger[name].choice)


def test_the_published_number_stands_beside_ours():
    cell = planned("ddc", profile="paper", datasets=("mnist",))
    facts = explain_cell(Session(Path("nowhere")), cell, "acc")
    assert (facts["published"]["value"], facts["published"]["sd"]) == (88.2, 2.1)
    assert (facts["ours"]["verdict"], facts["ours"]["value"], facts["runs"]) == ("not run", None, [])
    quick = explain_cell(Session(Path("nowhere")), planned("ddc"), "acc")
    assert "value" in quick["published"] and "sd" not in quick["published"]


def test_runs_of_one_environment_share_a_line_without_their_dates(tmp_path):
    cell = planned()
    for spec, torch in zip(cell.specs, ("2.9.0", "2.9.0", "2.10.0"), strict=True):
        environment = {"device": "cpu", "torch": torch, "date": f"day {spec.replicate}"}
        Store(tmp_path).save(record(spec, 1.0, 0.5, environment=environment))
    lines = explain_cell(Session(tmp_path), cell, "acc")["environment"]
    assert [(line["replicates"], line["torch"]) for line in lines] == [("0 1", "2.9.0"), ("2", "2.10.0")]


def test_the_command_makes_the_runs_of_the_cell(monkeypatch):
    cell = planned("ddc", profile="cpu", datasets=("usps",), readings=("code",), sets=("K1=paper", "width=0.2"))
    words = shlex.split(explain_cell(Session(Path("nowhere")), cell, "acc")["command"])
    assert words[:3] == ["python", "-m", "benchmark"]
    asked: list[Request] = []

    def noted(request: Request) -> list[PlannedCell]:
        asked.append(request)
        raise UsageError("noted")

    monkeypatch.setattr("benchmark.plan.cells.plan_cells", noted)
    CliRunner().invoke(cli.app, words[3:])
    assert [c.specs for c in plan_cells(asked[0])] == [cell.specs]


def test_a_cell_that_nothing_of_ours_can_fill_says_why(monkeypatch):
    rows = load_paper("tkuco2024").protocol.methods
    monkeypatch.setitem(rows, "dynae", rows["dynae"].model_copy(update={"method": ""}))
    facts = explain_cell(Session(Path("nowhere")), planned("dynae"), "acc")
    assert (facts["ours"]["verdict"], facts["data"]) == ("not implemented", {"state": "not implemented"})
    assert as_text(facts)


def test_an_unknown_metric_is_answered_with_the_right_one():
    with pytest.raises(UsageError, match="named 'accc'; did you mean 'acc'"):
        explain_cell(Session(Path("nowhere")), planned(), "accc")


def test_the_text_holds_what_the_json_holds(tmp_path):
    cell = planned()
    facts = explain_cell(stored(tmp_path, cell), cell, "acc")
    text = as_text(facts)
    assert [line for line in text.splitlines() if line.isupper() and not line.startswith(" ")] == [
        name.upper() for name in facts
    ]
    for needed in (*(spec.run_id for spec in cell.specs), DATASETS["digits"].digest, facts["command"], "2.9.0", "K14"):
        assert needed in text
    assert str(facts["streams"][0]["r=2"]) in text
