"""The plan: which runs a request needs, each once, the most urgent first, and why some cannot be made."""

from __future__ import annotations

import gc
import heapq
import math
from dataclasses import replace
from statistics import median

import pytest

from benchmark.errors import UsageError
from benchmark.papers.paper import load_paper
from benchmark.plan.cells import PlannedCell, cells_kept, plan_cells
from benchmark.plan.estimate import RunTimes
from benchmark.plan.lineage import parent_of
from benchmark.plan.request import Request
from benchmark.plan.runs import Plan, plan_runs
from benchmark.record import RunRecord
from benchmark.registry import DATASETS, load_plugins
from benchmark.session import Session
from benchmark.spec import RunSpec
from benchmark.store import Store
from benchmark.store.store import shipped_rows
from benchmark.store.tracked import stored_folders
from tests.support.records import made_on

TABLE2, TABLE4 = "tkuco2024/table2", "tkuco2024/table4"
OURS = {"ddc", "ddc-ae", "ddc-uco-n", "ddc-uco-t", "dynae", "k-means", "pssc"}
REFINED = {"dec-conv", "dcec", "dec-conv-uco-n", "dec-conv-uco-t", "dec", "idec", "dec-uco-n", "dec-uco-t"}


@pytest.fixture(scope="module", autouse=True)
def plugins() -> None:
    load_plugins()


def planned(request: Request, done: set[str] = frozenset(), history: list[RunRecord] = ()) -> Plan:
    """Plan with every data set at hand."""
    return plan_runs(plan_cells(request), lambda spec: spec.run_id in done, lambda name: "", RunTimes(history))


def cell_of(cells: list[PlannedCell], **wanted: object) -> PlannedCell:
    (found,) = [cell for cell in cells if all(getattr(cell, name) == value for name, value in wanted.items())]
    return found


def took(spec: RunSpec, seconds: float, status: str = "ok") -> RunRecord:
    loss = 1.0 if status == "ok" else None
    return RunRecord(run_id=spec.run_id, spec=spec, status=status, seconds=seconds, loss=loss)


def ids(plan: Plan) -> list[str]:
    return [run.spec.run_id for run in plan.runs]


def test_everything_of_the_quick_profile_of_tkuco2024_is_fifteen_methods_their_pre_training_and_other_weights():
    runs = planned(Request(papers=("tkuco2024",), runs=3)).runs
    table2 = (5 + 3) * 3  # DDC, DDC-AE, two DDC-UCO and k-means; PSSC; DynAE and its pre-training
    other_weights = 2 * 3  # two DDC-UCO, lambda = .1; .01 is that of Table 2
    table5 = (4 + 1) * 3 + (4 + 1) * 3  # images and vectors, each with one pre-training
    assert len(runs) == table2 + other_weights + table5
    assert {run.spec.method for run in runs} == OURS | REFINED | {"ae-k-means", "acai"}
    assert {run.spec.data.name for run in runs} == {"digits"}


def test_tables_share_the_runs_that_are_the_same():
    cells = plan_cells(Request(tables=(TABLE2, TABLE4), methods=("ddc-uco-t",), runs=2))
    shared = cell_of(cells, table="table4", setting="lambda=0.010;omega=constant")
    own = cell_of(cells, table="table4", setting="lambda=0.100;omega=constant")
    table2 = cell_of(cells, table="table2")
    assert [spec.run_id for spec in shared.specs] == [spec.run_id for spec in table2.specs]
    assert not {spec.run_id for spec in own.specs} & {spec.run_id for spec in table2.specs}
    plan = plan_runs(cells, lambda spec: False, lambda name: "")
    assert len(ids(plan)) == len(set(ids(plan))) == 2 * 2


def test_a_shared_run_is_as_urgent_as_the_most_urgent_table_that_asks_for_it():
    cells = plan_cells(Request(tables=(TABLE2, TABLE4), methods=("ddc-uco-t",), runs=2))
    plan = plan_runs(reversed(cells), lambda spec: False, lambda name: "")
    assert [run.cell.table for run in plan.runs] == ["table2"] * 2 + ["table4"] * 2


@pytest.mark.parametrize(
    ("filters", "field", "expected"),
    [
        ({"tables": (TABLE4,)}, "row", {"ddc-uco-n", "ddc-uco-t"}),
        ({"tables": ("table4",)}, "table", {"table4"}),
        ({"papers": ("tkuco2024",)}, "table", {"table2", "table3", "table4", "table5"}),
        ({"methods": ("ddc", "k-means")}, "row", {"ddc", "k-means"}),
        ({"profile": "cpu", "datasets": ("usps",)}, "column", {"usps"}),
        ({"profile": "cpu", "datasets": ("mnist-full",)}, "column", {"mnist", "mnist-full"}),
        ({"tables": ("tkuco2024/table5",), "methods": ("dec",)}, "column", {"digits-vectors"}),
        ({"tables": ("tkuco2024/table5",), "methods": ("dec-conv",)}, "column", {"digits"}),
        ({"profile": "cpu", "readings": ("code",)}, "reading", {"code"}),
        ({"profile": "cpu", "readings": ("paper", "code")}, "reading", {"paper", "code"}),
        ({"profile": "paper"}, "profile", {"paper"}),
        ({}, "profile", {"quick"}),
        ({}, "column", {"digits", "digits-rows", "digits-vectors"}),
    ],
)
def test_filters_choose_cells(filters, field, expected):
    assert {getattr(cell, field) for cell in plan_cells(Request(**filters))} == expected


def test_the_paper_profile_makes_the_twenty_runs_of_the_paper_from_the_whole_data_set():
    (cell,) = plan_cells(Request("paper", tables=(TABLE2,), methods=("ddc",), datasets=("mnist",)))
    assert [spec.replicate for spec in cell.specs] == list(range(20))
    spec = cell.specs[0]
    assert (spec.data.name, spec.data.samples) == ("mnist", None)
    phase = spec.protocol.phases["train"]
    assert (phase.budget.amount, phase.budget.unit, phase.batch_size) == (200, "epochs", 120)


def test_the_two_readings_are_different_runs_where_they_disagree():
    cells = plan_cells(
        Request("paper", tables=(TABLE2,), methods=("ddc-uco-t",), datasets=("mnist",), readings=("paper", "code"))
    )
    paper, code = (cell_of(cells, reading=reading).specs[0] for reading in ("paper", "code"))
    assert (paper.data.name, code.data.name) == ("mnist", "mnist-full")
    assert (paper.params["transpose"], code.params["transpose"]) == (True, False)
    learning_rates = [spec.protocol.phases["train"].optimiser.lr for spec in (paper, code)]
    assert learning_rates == [1e-3, 1e-4]


def test_what_is_stored_is_counted_and_not_planned():
    request = Request(tables=(TABLE2,), methods=("ddc",), runs=3)
    everything = ids(planned(request))
    plan = planned(request, done={everything[1]})
    assert plan.stored == 1
    assert ids(plan) == [everything[0], everything[2]]
    finished = planned(request, done=set(everything))
    assert (finished.runs, finished.stored) == ((), 3)


def test_runs_come_table_by_table_data_set_by_data_set_and_replicate_by_replicate():
    order = ["mnist", "fashion-mnist", "coil-100", "coil100-32px", "usps"]  # as in the table
    order += ["reuters", "rcv1-23405", "10x73k", "pbmc-facs-3774"]
    runs = [run for run in planned(Request("cpu", papers=("tkuco2024",), runs=2)).runs if run.cell.table != "table5"]
    places = [(run.cell.table, order.index(run.cell.column), run.spec.replicate) for run in runs]
    assert places == sorted(places)
    first = [run.spec.method for run in runs[: len(OURS) + 1]]
    assert set(first) == OURS | {"acai"}  # DynAE's pre-training


def test_cells_without_a_method_or_a_data_set_of_ours_say_so_and_plan_nothing(monkeypatch):
    rows = load_paper("tkuco2024").protocol.methods
    monkeypatch.setitem(rows, "dynae", rows["dynae"].model_copy(update={"method": ""}))
    known = {name: source for name, source in DATASETS.items() if name != "reuters"}
    monkeypatch.setattr("benchmark.plan.cells.DATASETS", known)
    cells = plan_cells(Request("cpu", tables=(TABLE2,), datasets=("usps", "reuters"), methods=("ddc", "dynae")))
    reasons = {(cell.row, cell.column): cell.reason for cell in cells}
    assert reasons == {
        ("ddc", "usps"): "",
        ("dynae", "usps"): "not implemented",
        ("ddc", "reuters"): "no data",
    }
    assert [bool(cell.specs) for cell in cells] == [cell.reason == "" for cell in cells]


def test_runs_whose_data_are_missing_are_impossible_and_the_others_are_planned():
    cells = plan_cells(Request("cpu", tables=(TABLE2,), methods=("ddc",), datasets=("usps", "mnist"), runs=2))
    plan = plan_runs(cells, lambda spec: False, lambda name: "usps is not here." if name == "usps" else "")
    assert {run.spec.data.name for run in plan.runs} == {"mnist"}
    assert list(plan.impossible.values()) == ["usps is not here."] * 2
    stored = plan_runs(cells, lambda spec: True, lambda name: "nothing is here.")
    assert (stored.stored, stored.impossible) == (4, {})


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"profile": "quik"}, "profile named 'quik'; did you mean 'quick'"),
        ({"papers": ("tkuco",)}, "paper named 'tkuco'; did you mean 'tkuco2024'"),
        ({"tables": ("tkuco2024/tabel2",)}, "named 'tabel2'; did you mean 'table2'"),
        ({"tables": ("tabel4",)}, "named 'tabel4'; did you mean 'table4'"),
        ({"tables": ("tkuco/table2",)}, "paper named 'tkuco'"),
        ({"methods": ("ddcc",)}, "method named 'ddcc'; did you mean 'ddc'"),
        ({"datasets": ("digit",)}, "data set named 'digit'; did you mean 'digits'"),
        ({"sets": ("widht=1",)}, "named 'widht'; did you mean 'width'"),
        ({"sets": ("width",)}, "'width' is not of the form"),
        ({"sets": ("K1=mine",)}, "K1=mine: a ledger entry is put to 'paper' or to 'code'"),
        ({"sets": ("width=-1",)}, "width = -1 is refused"),
        (
            {"readings": ("code",), "papers": ("tkuco2024",)},
            "quick profile of tkuco2024 offers only the reading: paper",
        ),
    ],
)
def test_wrong_names_are_answered_with_one_sentence_and_the_nearest_right_ones(wrong, sentence):
    with pytest.raises(UsageError) as caught:
        plan_cells(Request(**wrong))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fewer_runs_than_the_profile_s_are_marked():
    assert not any(cell.reduced for cell in plan_cells(Request("paper")))
    assert not any(cell.reduced for cell in plan_cells(Request("paper", runs=25)))
    assert all(cell.reduced for cell in plan_cells(Request("paper", ("tkuco2024",), runs=19)))
    assert all(cell.reduced for cell in plan_cells(Request("paper", ("idec2017",), runs=9)))


def test_set_changes_the_runs_and_their_label_and_only_where_the_field_exists():
    cells = plan_cells(Request(tables=(TABLE2,), methods=("ddc", "k-means"), sets=("params.width=0.3",)))
    plain = plan_cells(Request(tables=(TABLE2,), methods=("ddc", "k-means")))
    ddc, means = cell_of(cells, row="ddc"), cell_of(cells, row="k-means")
    assert {spec.params["width"] for spec in ddc.specs} == {0.3}
    assert ddc.context.setting == "params.width=0.3"
    assert ddc.specs[0].run_id != cell_of(plain, row="ddc").specs[0].run_id
    assert means.specs == cell_of(plain, row="k-means").specs


def test_a_ledger_entry_put_to_the_code_changes_the_fields_that_carry_it():
    cells = plan_cells(Request(tables=(TABLE2,), methods=("ddc-uco-t",), sets=("K3=code",)))
    (plain,) = plan_cells(Request(tables=(TABLE2,), methods=("ddc-uco-t",)))
    changed = {name for name, value in cells[0].specs[0].params.items() if value != plain.specs[0].params[name]}
    assert changed == {"transpose"}


def test_the_seconds_of_a_run_are_the_median_of_equal_runs():
    request = Request(tables=(TABLE2,), methods=("ddc", "k-means"), runs=4)
    by_method = {cell.row: cell.specs for cell in plan_cells(request)}
    history = [took(spec, s) for spec, s in zip(by_method["ddc"], (10.0, 12.0, 50.0), strict=False)]
    history.append(took(by_method["ddc"][3], 1.0, status="failed"))
    seconds = {run.spec.method: run.seconds for run in planned(request, history=history).runs}
    assert seconds == {"ddc": 12.0, "k-means": None}


def test_the_seconds_of_a_run_grow_with_its_epochs_where_no_equal_run_is_known():
    few, many = (
        Request(tables=(TABLE2,), methods=("ddc",), runs=1, sets=(f"phases.train.budget.amount={epochs}",))
        for epochs in (2, 50)
    )
    (spec,) = plan_cells(few)[0].specs
    (run,) = planned(many, history=[took(spec, 3.0)]).runs
    assert run.seconds == pytest.approx(3.0 * 50 / 2)


def refined(amount: int, unit: str = "steps", method: str = "dec") -> RunSpec:
    """Return a specification of idec2017 on the digits, with that budget of the refinement."""
    sets = (f"phases.cluster.budget.amount={amount}", f"phases.cluster.budget.unit={unit}")
    return plan_cells(Request(tables=("idec2017/table2",), methods=(method,), runs=1, sets=sets))[0].specs[0]


def test_the_seconds_of_a_child_grow_with_its_own_steps_and_not_with_those_of_its_parent():
    seen = took(refined(100), 4.0).model_copy(update={"steps": 100, "n_samples": 1000})
    assert RunTimes([seen]).seconds(refined(300)) == pytest.approx(12.0)
    assert RunTimes([seen]).seconds(refined(100, "epochs")) == pytest.approx(4.0 * math.ceil(1000 / 256))


def test_a_run_that_its_own_rule_ended_says_how_many_steps_the_rule_takes():
    seen = took(refined(1000), 4.0).model_copy(update={"steps": 100, "n_samples": 1000})
    assert RunTimes([seen]).seconds(refined(8000)) == pytest.approx(4.0)
    assert RunTimes([seen]).seconds(refined(50)) == pytest.approx(2.0)


def test_seconds_are_not_estimated_from_a_method_that_has_other_parameters_now():
    spec = refined(100)
    old = took(spec.model_copy(update={"params": {**spec.params, "of_an_earlier_version": 1}}), 4.0)
    assert RunTimes([old]).seconds(refined(300)) is None


def test_seconds_are_not_estimated_from_another_network():
    images = parent_of(plan_cells(Request(tables=("tkuco2024/table5",), methods=("dec-conv",), runs=1))[0].specs[0])
    seen, wanted = images, parent_of(refined(100))
    assert seen is not None and wanted is not None and seen.method == wanted.method
    assert seen.params["network"] != wanted.params["network"] and seen.data.name == wanted.data.name
    assert RunTimes([took(seen, 4.0)]).seconds(wanted) is None
    assert RunTimes([took(seen, 4.0)]).seconds(seen) == 4.0


def test_the_quick_profile_takes_at_most_ten_minutes_on_two_cores_by_the_stored_seconds():
    folders = [folder for folder in stored_folders(shipped_rows()) if folder.path.parent.name == "quick"]
    history = [folder.record(key) for folder in folders for key in folder.held()]
    if not history:
        pytest.skip("results/stored holds no rows of the quick profile yet")
    seconds = [run.seconds for run in planned(Request(), history=history).runs]
    assert None not in seconds, "a run of the quick profile is like none that is stored"
    free_at = [0.0, 0.0]  # when each worker takes the next run, as the executor hands them out
    for run in seconds:
        heapq.heapreplace(free_at, free_at[0] + run)
    assert max(free_at) <= 600, f"{len(seconds)} runs, at the median {median(seconds):.1f} s"


VECTORS = ("rcv1-23405", "pbmc-facs-3774")


@pytest.mark.parametrize("name", VECTORS)
def test_stand_ins_for_vectors_are_in_quick_tables_only_when_asked_for_by_name(name):
    assert name not in {cell.column for cell in plan_cells(Request("quick"))}
    asked = plan_cells(Request("quick", tables=(TABLE2,), datasets=(name,)))
    assert {cell.column for cell in asked} == {name}
    assert name in {cell.column for cell in plan_cells(Request("cpu"))}
    assert name not in {cell.column for cell in plan_cells(Request("paper", ("tkuco2024",), datasets=(name, "mnist")))}


def test_a_ledger_entry_of_one_paper_leaves_the_others_as_they_are():
    """K3 is an entry of tkuco2024 and of no other paper here that runs DEC."""
    plain, changed = (plan_cells(Request("paper", ("tkuco2024", "idec2017"), sets=sets)) for sets in ((), ("K3=code",)))
    moved = {a.paper for a, b in zip(plain, changed, strict=True) if a.specs and a.specs[0] != b.specs[0]}
    assert moved == {"tkuco2024"}


def test_a_row_has_no_cell_in_the_columns_that_it_is_not_run_on():
    cells = plan_cells(Request("cpu", tables=("tkuco2024/table5",)))
    columns: dict[str, set[str]] = {}
    for cell in cells:
        columns.setdefault(cell.row, set()).add(cell.column)
    assert columns["dcec"] == {"mnist", "fashion-mnist", "coil-100", "coil100-32px", "usps"}
    assert columns["idec"] == {"reuters", "rcv1-23405", "10x73k", "pbmc-facs-3774"}


@pytest.mark.parametrize("reading", ["paper", "code"])
@pytest.mark.parametrize("name", [*VECTORS, "reuters", "10x73k"])
def test_columns_of_vectors_take_the_network_for_vectors_and_transpose_its_taps(name, reading):
    cells = plan_cells(Request("cpu", tables=(TABLE2,), datasets=(name,), readings=(reading,)))
    params = {cell.row: cell.resolved.spec.params for cell in cells if cell.resolved}
    assert {row for row in params if "network" in params[row]} == {"ddc", "ddc-ae", "ddc-uco-n", "ddc-uco-t"}
    assert all(values["network"] == "mlp-small" for values in params.values() if "network" in values)
    assert params["ddc-uco-t"]["taps"] == ["layer1", "layer2"] == params["ddc-uco-n"]["taps"]
    assert params["ddc-uco-t"]["transpose"] is True
    assert params["k-means"] == {"n_clusters": DATASETS[name].n_clusters, "starts": 20, "iterations": 300}
    (origin,) = {f.origin for c in cells if c.resolved for f in c.resolved.fields if f.path == "params.network"}
    assert origin.startswith("column ")


def test_columns_of_images_are_as_they_were():
    (cell,) = plan_cells(Request("cpu", tables=(TABLE2,), datasets=("usps",), methods=("ddc-uco-t",)))
    params = cell.resolved.spec.params
    assert (params["network"], params["taps"]) == ("cnn-small", ["block1_pool", "block2_pool"])


def test_a_setting_asked_for_is_planned_alone_also_where_quick_leaves_it_out():
    quick = {cell.setting for cell in plan_cells(Request(tables=(TABLE4,)))}
    other = next(c.setting for c in plan_cells(Request("cpu", tables=(TABLE4,))) if c.setting not in quick)
    assert {cell.setting for cell in plan_cells(Request(tables=(TABLE4,), settings=(other,)))} == {other}
    with pytest.raises(UsageError, match="setting"):
        plan_cells(Request(tables=(TABLE4,), settings=("lambda=7",)))
    with pytest.raises(UsageError, match="no table asked for has settings"):
        plan_cells(Request(tables=(TABLE2,), settings=("lambda=7",)))


def test_a_table_may_have_its_own_number_of_runs_in_a_profile():
    asked = Request("cpu", tables=(TABLE4,), datasets=("usps",))
    assert {(cell.runs, cell.reduced) for cell in plan_cells(asked)} == {(3, False)}
    assert {(c.runs, c.reduced) for c in plan_cells(replace(asked, runs=2))} == {(2, True)}
    assert {cell.runs for cell in plan_cells(replace(asked, tables=(TABLE2,)))} == {5}


def test_a_session_estimates_from_runs_on_its_own_device_only(tmp_path, monkeypatch):
    specs = plan_cells(Request(tables=(TABLE2,), methods=("ddc",), runs=2))[0].specs
    store = Store(tmp_path)
    for spec, device, seconds in ((specs[0], "cpu", 3.0), (specs[1], "NVIDIA H100", 0.1), (specs[1], "NVIDIA T4", 0.7)):
        store.save(took(spec, seconds).model_copy(update={"environment": made_on(device)}))
    session = Session(tmp_path, shipped=tmp_path / "nothing")
    assert session.times.seconds(specs[0]) == 3.0 and session.times is session.times

    def on(name):
        monkeypatch.setattr("benchmark.session.device_name", lambda device: "cpu" if device == "cpu" else name)
        return Session(tmp_path, shipped=tmp_path / "nothing", device="cuda").times.seconds(specs[0])

    assert (on("NVIDIA H100"), on("NVIDIA T4"), on("NVIDIA A100")) == (0.1, 0.7, None)


@pytest.mark.parametrize("collects", [True, False])
def test_planning_leaves_the_garbage_collector_as_it_was(collects):
    def refuse(name):
        raise RuntimeError("no data")

    cells = plan_cells(Request(tables=(TABLE2,), methods=("ddc",)))
    try:
        (gc.enable if collects else gc.disable)()
        plan_runs(cells, lambda spec: False, lambda name: "")
        assert gc.isenabled() is collects
        with pytest.raises(RuntimeError):
            plan_runs(cells, lambda spec: False, refuse)
        assert gc.isenabled() is collects
    finally:
        gc.enable()


def test_cells_that_are_kept_are_those_that_are_planned_and_no_request_gets_those_of_another():
    whole = Request("cpu", tables=("tkuco2024/table2",), readings=("paper", "code"))
    asked = [
        whole,
        replace(whole, methods=("ddc",), readings=("code",)),
        replace(whole, runs=2),
        replace(whole, sets=("K1=code",)),
        replace(whole, profile="quick", readings=("paper",)),
        replace(whole, methods=("idec",), own_protocol=True),
        replace(whole, methods=("idec",)),
        replace(whole, record=("drift",)),
    ]
    plainly = [plan_cells(request) for request in asked]
    with cells_kept():
        kept = [plan_cells(request) for request in asked]
        again = plan_cells(whole)
    assert kept == plainly
    assert all(one is other for one, other in zip(kept[0], again, strict=True))
    assert all(any(one is other for other in kept[0]) for one in kept[1])
    assert not any(one is other for one, other in zip(again, plan_cells(whole), strict=True)), "forgotten afterwards"
