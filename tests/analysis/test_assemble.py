"""From records to tables: which runs enter a cell, what it says, and when it is judged. Nothing here trains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from statistics import stdev

import pytest

from benchmark.analysis.assemble import assemble, data_table
from benchmark.analysis.statistics import CellStatistic
from benchmark.measure import judge_runs
from benchmark.papers.paper import load_paper
from benchmark.papers.protocol import Reading
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.record import RunRecord
from benchmark.registry import DATASETS, load_plugins
from benchmark.spec import RunSpec
from benchmark.tables.values import Cell, CellResult, TableResult

PUBLISHED_DDC_MNIST_ACC = (88.2, 2.1)  # tkuco2024, Table 2


@pytest.fixture(scope="module", autouse=True)
def plugins() -> None:
    load_plugins()


def record(spec: RunSpec, loss: float, acc: float, status: str = "ok", device: str = "cpu", **more: str) -> RunRecord:
    metrics = {"acc": acc, "nmi_geometric": acc / 2} if status in ("ok", "collapsed") else {}
    return RunRecord(
        run_id=spec.run_id,
        spec=spec,
        status=status,
        loss=loss if metrics else None,
        metrics=metrics,
        environment={"device": device},
        **more,
    )


class Shelf:
    """Holds records by run id and device, as a session does."""

    def __init__(self, *records: RunRecord) -> None:
        self.held: dict[str, list[RunRecord]] = {}
        for each in records:
            self.held.setdefault(each.run_id, []).append(each)

    def find(self, spec: RunSpec) -> Sequence[RunRecord]:
        return self.held.get(spec.run_id, ())


def request(profile: str, **more: object) -> Request:
    return Request(profile, **({"tables": ("tkuco2024/table2",), "methods": ("ddc",)} | more))


def drawn(asked: Request, shelf: Shelf, readings: tuple[Reading, ...] = ("paper",), old: str = "") -> TableResult:
    """Return table 2 for a request; records of the code `old` are stale."""
    cells = plan_cells(replace(asked, readings=readings))
    return assemble(
        load_paper("tkuco2024"), "table2", cells, shelf.find, lambda r: r.code_digest == old != "", readings
    )


def cell(table: TableResult, dataset: str, metric: str = "acc", method: str = "ddc") -> Cell:
    (place,) = [i for i, c in enumerate(table.columns) if (c.dataset, c.metric) == (dataset, metric)]
    (row,) = [row for row in table.rows if row.method == method]
    return row.cells[place]


def usps(shelf: Shelf, profile: str = "cpu", **more: object) -> CellResult:
    """Return the result of DDC on USPS in the paper reading."""
    old = str(more.pop("old", ""))
    return cell(drawn(request(profile, datasets=("usps",), **more), shelf, old=old), "usps").results["paper"]


def specs(profile: str = "cpu", **more: object) -> tuple[RunSpec, ...]:
    (planned,) = plan_cells(request(profile, **({"datasets": ("usps",)} | more)))
    return planned.specs


def resampled(losses: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Mean and sd of the value with the lowest loss over every one of the n^n resamples."""
    n = len(losses)
    picks = [values[min(sample, key=lambda i: losses[i])] for sample in product(range(n), repeat=n)]
    mean = math.fsum(picks) / len(picks)
    return mean, math.sqrt(math.fsum((pick - mean) ** 2 for pick in picks) / len(picks))


def test_a_cell_shows_the_run_with_the_lowest_loss_and_the_sd_over_all_resamples():
    losses, accs = [3.0, 1.0, 2.0, 5.0, 4.0], [0.9, 0.6, 0.7, 0.3, 0.5]
    shelf = Shelf(*map(record, specs(), losses, accs))
    found = usps(shelf)
    assert found.value == pytest.approx(60.0)
    assert found.sd == pytest.approx(resampled(losses, [100 * acc for acc in accs])[1])
    assert (found.n_ok, found.n, found.counts) == (5, 5, {"ok": 5})
    assert found.run_ids == tuple(spec.run_id for spec in specs())


def test_the_metric_of_a_column_is_the_one_that_the_paper_prints():
    shelf = Shelf(*(record(spec, 1.0 + i, 0.5) for i, spec in enumerate(specs())))
    table = drawn(request("cpu", datasets=("usps",)), shelf)
    assert [(c.dataset, c.metric) for c in table.columns] == [("usps", "acc"), ("usps", "nmi")]
    assert cell(table, "usps", "nmi").results["paper"].value == pytest.approx(25.0)


def test_failed_and_diverged_runs_leave_the_count_and_collapsed_ones_stay():
    statuses = ["ok", "collapsed", "failed", "diverged", "ok"]
    losses = [2.0, 1.0, 0.0, 0.0, 3.0]
    accs = [0.0, 0.1, 0.2, 0.3, 0.4]
    shelf = Shelf(*map(record, specs(), losses, accs, statuses))
    found = usps(shelf)
    assert found.value == pytest.approx(10.0)  # the collapsed run has the lowest loss
    assert found.sd == pytest.approx(resampled([2.0, 1.0, 3.0], [0.0, 10.0, 40.0])[1])
    assert (found.n_ok, found.n) == (3, 5)
    assert found.counts == {"ok": 2, "collapsed": 1, "failed": 1, "diverged": 1}


def test_a_cell_without_all_its_runs_is_incomplete_and_shows_what_there_is():
    shelf = Shelf(*(record(spec, 1.0 + i, 0.5) for i, spec in enumerate(specs()[:4])))
    found = usps(shelf)
    assert (found.verdict, found.value, found.n_ok, found.n) == ("incomplete", pytest.approx(50.0), 4, 5)
    assert found.counts == {"ok": 4, "missing": 1}


def test_a_mean_shows_its_standard_error_and_an_sd_shows_none():
    accs = [0.5, 0.6, 0.7, 0.4, 0.9]
    shelf = Shelf(*map(record, specs(), range(5), accs))
    paper = load_paper("tkuco2024")
    cells = plan_cells(request("cpu", datasets=("usps",)))
    found = {}
    for statistic in ("mean", "sd"):
        rule = paper.tables["table2"].model_copy(update={"statistic": statistic})
        changed = replace(paper, tables={"table2": rule})
        table = assemble(changed, "table2", cells, shelf.find, lambda r: False, ("paper",))
        found[statistic] = cell(table, "usps").results["paper"]
    assert found["mean"].value == pytest.approx(62.0)
    assert found["mean"].sd == pytest.approx(100 * stdev(accs) / math.sqrt(5))
    assert (found["sd"].value, found["sd"].sd) == (pytest.approx(100 * stdev(accs)), None)


def test_a_single_run_has_a_value_but_no_sd():
    (spec,) = specs(runs=1)
    found = usps(Shelf(record(spec, 1.0, 0.5)), runs=1)
    assert (found.value, found.sd) == (pytest.approx(50.0), None)
    paper = load_paper("tkuco2024")
    rule = paper.tables["table2"].model_copy(update={"statistic": "sd"})
    cells = plan_cells(request("cpu", datasets=("usps",), runs=1))
    shelf = Shelf(record(spec, 1.0, 0.5))
    table = assemble(replace(paper, tables={"table2": rule}), "table2", cells, shelf.find, lambda r: False, ("paper",))
    found = cell(table, "usps").results["paper"]
    assert (found.value, found.sd, found.n_ok) == (None, None, 1)


def test_a_cell_without_any_run_was_not_run_and_one_whose_runs_all_failed_has_no_value():
    nothing = usps(Shelf())
    assert (nothing.verdict, nothing.value, nothing.counts) == ("not run", None, {"missing": 5})
    failed = usps(Shelf(*(record(spec, 0.0, 0.0, "failed") for spec in specs())))
    assert (failed.verdict, failed.value, failed.counts) == ("incomplete", None, {"failed": 5})


def test_cells_without_a_method_or_data_set_of_ours_say_so(monkeypatch):
    rows = load_paper("tkuco2024").protocol.methods
    monkeypatch.setitem(rows, "dynae", rows["dynae"].model_copy(update={"method": ""}))
    known = {name: source for name, source in DATASETS.items() if name != "reuters"}
    monkeypatch.setattr("benchmark.plan.cells.DATASETS", known)
    table = drawn(request("cpu", methods=("ddc", "dynae"), datasets=("usps", "reuters")), Shelf())
    assert cell(table, "usps", method="dynae").results["paper"].verdict == "not implemented"
    assert cell(table, "reuters").results["paper"].verdict == "no data"
    assert cell(table, "usps", method="dynae").published.value == pytest.approx(84.9)


@pytest.mark.parametrize(("on_gpu", "expected"), [(2, 50.0), (3, 70.0)])
def test_a_cell_takes_all_its_runs_from_the_device_with_most_of_them(on_gpu, expected):
    cpu = [record(spec, 1.0, 0.5) for spec in specs()[: 5 - on_gpu]]
    gpu = [record(spec, 0.5, 0.7, device="NVIDIA H100") for spec in specs()[5 - on_gpu :]]
    found = usps(Shelf(*cpu, *gpu))
    assert found.value == pytest.approx(expected)
    assert len(found.devices) == 1
    assert (found.n_ok, found.counts["missing"], found.verdict) == (3, 2, "incomplete")


def test_two_models_of_gpus_never_mix_in_a_cell():
    halves = [(specs()[:3], "NVIDIA H100", 0.5), (specs()[3:], "NVIDIA H200", 0.7)]
    found = usps(Shelf(*(record(spec, 1.0, acc, device=device) for half, device, acc in halves for spec in half)))
    assert (found.devices, found.value) == (("NVIDIA H100",), pytest.approx(50.0))
    assert (found.n_ok, found.counts["missing"], found.verdict) == (3, 2, "incomplete")


def test_of_two_devices_with_all_runs_the_cpu_is_shown():
    both = [record(spec, 1.0, acc, device=d) for spec in specs() for d, acc in (("NVIDIA H100", 0.7), ("cpu", 0.5))]
    found = usps(Shelf(*both))
    assert (found.devices, found.value, found.n_ok) == (("cpu",), pytest.approx(50.0), 5)


@pytest.mark.parametrize(
    ("difference", "verdict"),
    # With equal runs our sd is 0, so the 90 % interval is +-1.645 * 2.1 = 3.45 and the 95 % interval +-4.12 wide:
    # no difference fits the margin of 3, and those beyond 4.12 exclude 0.
    [(0.0, "consistent"), (4.0, "consistent"), (-4.0, "consistent"), (4.5, "higher"), (-4.5, "lower")],
)
def test_a_whole_cell_of_the_paper_profile_is_judged_against_the_published_number(difference, verdict):
    value, _ = PUBLISHED_DDC_MNIST_ACC
    runs = specs("paper", datasets=("mnist",))
    assert len(runs) == 20
    shelf = Shelf(*(record(spec, 1.0 + i, (value + difference) / 100) for i, spec in enumerate(runs)))
    found = cell(drawn(request("paper", datasets=("mnist",)), shelf), "mnist")
    assert (found.published.value, found.published.sd) == PUBLISHED_DDC_MNIST_ACC
    assert (found.results["paper"].verdict, found.results["paper"].value) == (
        verdict,
        pytest.approx(value + difference),
    )


def test_equivalent_needs_the_interval_of_the_difference_inside_three_points():
    runs = specs("paper", datasets=("coil-100",))  # published as 58.0 (1.1): +-1.645 * 1.1 = 1.81
    for difference, verdict in ((1.1, "equivalent"), (1.3, "consistent"), (2.5, "higher")):
        shelf = Shelf(*(record(spec, 1.0 + i, (58.0 + difference) / 100) for i, spec in enumerate(runs)))
        found = cell(drawn(request("paper", datasets=("coil-100",)), shelf), "coil-100")
        assert found.results["paper"].verdict == verdict


@pytest.mark.parametrize(
    ("profile", "more", "made", "verdict"),
    [
        ("cpu", {}, 5, ""),
        ("paper", {}, 19, "incomplete"),
        ("paper", {"runs": 5}, 5, "incomplete"),
        ("paper", {"sets": ("params.width=0.3",)}, 20, ""),
        ("paper", {"sets": ("K1=code",)}, 20, ""),
        ("paper", {}, 20, "lower"),
    ],
)
def test_only_whole_cells_of_the_paper_profile_as_it_stands_get_a_verdict(profile, more, made, verdict):
    runs = specs(profile, **more)
    shelf = Shelf(*(record(spec, 1.0, 0.01) for spec in runs[:made]))
    assert usps(shelf, profile, **more).verdict == verdict


@pytest.mark.parametrize(("diverged", "verdict"), [(0, "lower"), (4, "lower"), (5, "incomplete")])
def test_a_verdict_needs_four_fifths_of_the_planned_runs(diverged, verdict):
    statuses = ["diverged"] * diverged + ["ok"] * (20 - diverged)
    shelf = Shelf(*(record(spec, 1.0 + i, 0.01, statuses[i]) for i, spec in enumerate(specs("paper"))))
    found = usps(shelf, "paper")
    assert (found.verdict, found.n_ok, found.value) == (verdict, 20 - diverged, pytest.approx(1.0))


def test_a_verdict_is_that_of_the_public_rule_on_the_numbers_of_the_runs():
    losses, accs = list(range(20)), [0.6 + 0.01 * ((7 * i) % 20) for i in range(20)]
    found = usps(Shelf(*map(record, specs("paper"), losses, accs)), "paper")
    said = judge_runs(losses, [100 * a for a in accs], 67.9, 2.8, statistic="best", published_runs=20, decimals=1)
    assert said.name == found.verdict == "consistent"
    for part in ("difference", "interval90", "interval95", "published_sd", "df"):
        assert getattr(found.judgement, part) == pytest.approx(getattr(said, part))


def test_a_paper_that_is_silent_on_its_runs_is_judged_as_by_a_single_one():
    (planned,) = plan_cells(Request("paper", tables=("idec2017/table2",), methods=("idec",), datasets=("usps",)))
    losses, accs = list(range(10)), [0.70 + 0.01 * i for i in range(10)]
    shelf, paper = Shelf(), load_paper("idec2017")
    for spec, loss, acc in zip(planned.specs, losses, accs, strict=True):
        shelf.held[spec.run_id] = [record(spec, loss, acc)]
    table = assemble(paper, "table2", [planned], shelf.find, lambda r: False, ("paper",))
    found = cell(table, "usps", method="idec").results["paper"]
    assert found.value == pytest.approx(70.0)  # the run of lowest loss, which a table shows
    assert found.judgement.difference == pytest.approx(74.5 - 76.05)  # the mean of single runs, which is judged


def test_a_statistic_sees_the_records_of_its_runs_whole(monkeypatch):
    by_replicate = CellStatistic("latest", lambda runs: max(run.record.spec.replicate for run in runs), lambda _: None)
    monkeypatch.setattr("benchmark.analysis.assemble.STATISTICS", {"latest": by_replicate})
    paper = load_paper("tkuco2024")
    rule = paper.tables["table2"].model_copy(update={"statistic": "latest"})
    shelf = Shelf(*(record(spec, 1.0, 0.5) for spec in specs()))
    cells = plan_cells(request("cpu", datasets=("usps",)))
    table = assemble(replace(paper, tables={"table2": rule}), "table2", cells, shelf.find, lambda r: False, ("paper",))
    assert cell(table, "usps").results["paper"].value == 4


def test_both_readings_stand_side_by_side_each_with_its_own_runs_and_verdict():
    asked = request("paper", datasets=("mnist",))
    cells: list[PlannedCell] = plan_cells(replace(asked, readings=("paper", "code")))
    accs = {"paper": 0.40, "code": 0.99}
    shelf = Shelf(*(record(spec, 1.0, accs[c.reading]) for c in cells for spec in c.specs))
    table = drawn(asked, shelf, ("paper", "code"))
    assert table.readings == ("paper", "code")
    results = cell(table, "mnist").results
    assert {name: (r.value, r.verdict) for name, r in results.items()} == {
        "paper": (pytest.approx(40.0), "lower"),
        "code": (pytest.approx(99.0), "higher"),
    }


def test_stale_runs_are_shown_and_counted():
    shelf = Shelf(*(record(s, 1.0 + i, 0.5, code_digest="old" if i < 2 else "new") for i, s in enumerate(specs())))
    found = usps(shelf, old="old")
    assert (found.stale, found.n_ok, found.value) == (2, 5, pytest.approx(50.0))


def test_quick_tables_have_the_column_of_their_own_data_and_the_published_numbers_apart():
    table = drawn(Request("quick", tables=("tkuco2024/table2",), runs=1), Shelf())
    assert [(c.dataset, c.metric, c.stand_in) for c in table.columns] == [("digits", m, True) for m in ("acc", "nmi")]
    assert all(c.published is None for row in table.rows for c in row.cells)
    header, *lines = table.published_apart
    ddc = dict(zip(header, lines[0], strict=True))
    assert (ddc["MNIST ACC"], ddc["USPS NMI"]) == ("88.2 (2.1)", "70.1 (1.6)")
    assert len(lines) == 6  # the methods of the published table, without our reference row
    assert len(header) == 1 + 6 * 2


def test_stand_ins_are_marked_and_have_no_published_number():
    table = drawn(request("cpu"), Shelf())
    marked = {c.dataset for c in table.columns if c.stand_in}
    assert marked == {"coil100-32px", "rcv1-23405", "pbmc-facs-3774"}
    assert cell(table, "coil100-32px").published is None
    assert cell(table, "coil-100").published.value == pytest.approx(58.0)


def test_reference_rows_come_last_and_have_no_published_number():
    table = drawn(request("cpu", methods=()), Shelf())
    assert [row.method for row in table.rows if row.reference] == [table.rows[-1].method] == ["k-means"]
    assert all(c.published is None for c in table.rows[-1].cells)


def test_a_table_states_what_was_spent_and_what_was_changed():
    table = drawn(request("cpu", datasets=("usps", "mnist"), runs=2, sets=("data.samples=500", "width=0.2")), Shelf())
    facts = "; ".join(table.facts)
    for fact in ("runs 2", "20 epochs", "500 samples", "params.width=0.2"):
        assert fact in facts
    assert table.profile == "cpu"


@pytest.mark.parametrize("statistic", ["mean", "max", "best", "boot_mean"])
def test_the_statistic_of_a_table_is_applied(statistic):
    losses, accs = [3.0, 1.0, 2.0, 5.0, 4.0], [0.9, 0.6, 0.7, 0.3, 0.55]
    expected = {"mean": 61.0, "max": 90.0, "best": 60.0, "boot_mean": 100 * resampled(losses, accs)[0]}
    paper = load_paper("tkuco2024")
    rule = paper.tables["table2"].model_copy(update={"statistic": statistic})
    asked = request("cpu", datasets=("usps",))
    shelf = Shelf(*map(record, specs(), losses, accs))
    changed = replace(paper, tables={"table2": rule})
    table = assemble(changed, "table2", plan_cells(asked), shelf.find, lambda r: False, ("paper",))
    assert cell(table, "usps").results["paper"].value == pytest.approx(expected[statistic])


def test_the_table_of_data_sets_counts_what_each_reading_uses():
    table = data_table(load_paper("tkuco2024"), "table1")
    samples = {(row[0], row[1]): row[table.header.index("samples")] for row in table.rows}
    assert samples == {
        ("MNIST", "paper"): "60000",
        ("MNIST", "code"): "70000",
        ("F-MNIST", "paper"): "60000",
        ("F-MNIST", "code"): "70000",
        ("COIL-100", "both"): "7200",
        ("USPS", "both"): "9298",
        ("Reuters", "both"): "216000",
        ("10x73k", "both"): "73233",
    }
    classes = {row[0]: row[table.header.index("classes")] for row in table.rows}
    assert (classes["MNIST"], classes["COIL-100"], classes["USPS"]) == ("10", "100", "10")
