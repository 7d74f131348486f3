"""Renewals: rows of earlier code count as today's only where a run begun again gives bitwise the same."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.errors import UserError
from benchmark.execution.events import Finished, Job, Place
from benchmark.execution.executors import serial
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.record import RunRecord
from benchmark.registry import load_plugins
from benchmark.repeat.beginning import beginning
from benchmark.repeat.renew import renew
from benchmark.session import Session
from benchmark.store import Store
from benchmark.store.merge import merge
from benchmark.store.renewals import FILE, Renewal, Renewals, cell_id, keep

OLD, OLDER = "0" * 16, "1" * 16
SETS = ("phases.train.budget.amount=2", "data.samples=240")


pytestmark = pytest.mark.usefixtures("nothing_shipped")


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Make runs in this process."""
    load_plugins()
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmark.repeat.renew.processes", lambda jobs, place, workers: serial(jobs, place))
        yield
    torch.set_num_threads(threads)


def planned(method: str = "ddc", runs: int = 2) -> PlannedCell:
    (cell,) = plan_cells(Request(tables=("tkuco2024/table2",), methods=(method,), sets=SETS, runs=runs))
    return cell


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[RunRecord]]:
    """Return two records each of DDC and k-means, made by today's code."""
    results = tmp_path_factory.mktemp("made")
    found = {}
    for method in ("ddc", "k-means"):
        cell = planned(method)
        events = serial([Job(spec, cell.context) for spec in cell.specs], Place(results))
        found[method] = [event.record for event in events if isinstance(event, Finished)]
    return found


def changed(record: RunRecord, **values: object) -> RunRecord:
    return record.model_copy(update={"code_digest": OLD, **values})


def renewed(record: RunRecord, tmp_path: Path):
    return renew([record], Place(tmp_path), 1)


@pytest.mark.parametrize("method", ["ddc", "k-means"])
def test_a_row_of_other_code_with_today_s_numbers_is_renewed_for_all_replicates(method, made, tmp_path):
    found = renew([changed(r) for r in made[method]], Place(tmp_path), 1)
    assert found.left == ()
    (entry,) = found.entries  # one run stands for both
    assert (entry.old, entry.new, entry.method) == (OLD, made[method][0].code_digest, method)
    assert entry.compared == {"ddc": "1 of 2 epochs of phase train", "k-means": "the whole run"}[method]
    renewals = Renewals([entry])
    assert all(renewals.connects(r.spec, OLD, r.code_digest) for r in made[method])


def test_the_smallest_change_of_a_first_loss_or_an_evaluation_leaves_the_row_stale(made, tmp_path):
    record = made["ddc"][0]
    first, *rest = record.first_losses
    other = changed(record, first_losses=(torch.tensor(first).nextafter(torch.tensor(9.0)).item(), *rest))
    assert "other losses" in renewed(other, tmp_path).left[0]
    start, after, *later = record.history
    bent = after.model_copy(update={"metrics": {**after.metrics, "acc": after.metrics["acc"] + 1 / 240}})
    found = renewed(changed(record, history=(start, bent, *later)), tmp_path)
    assert found.entries == () and "other losses" in found.left[0]


def test_what_an_observer_recorded_beside_a_run_is_recorded_again_and_compared(tmp_path):
    cell = planned("ddc-ae", runs=1)
    (end,) = (
        e for e in serial([Job(cell.specs[0], cell.context, ("drift",))], Place(tmp_path)) if hasattr(e, "record")
    )
    record = changed(end.record)
    assert renewed(record, tmp_path).left == ()
    start, after, *later = record.history
    name = next(name for name in after.metrics if name.startswith("gram:"))
    bent = after.model_copy(update={"metrics": {**after.metrics, name: after.metrics[name] * (1 + 1e-15)}})
    assert "other losses" in renewed(changed(record, history=(start, bent, *later)), tmp_path).left[0]


def test_other_numbers_of_a_method_without_phases_leave_the_row_stale(made, tmp_path):
    record = made["k-means"][0]
    found = renewed(changed(record, metrics={**record.metrics, "acc": 0.5}), tmp_path)
    assert found.entries == () and "other numbers" in found.left[0]


def test_a_run_that_fails_today_leaves_the_row_stale_and_says_why_it_failed(made, tmp_path, monkeypatch):
    def without_its_package(self, *arguments, **options):
        raise UserError("a package is not installed.")

    monkeypatch.setattr("methods.baselines.k_means.KMeans.cluster", without_its_package)
    found = renewed(changed(made["k-means"][0]), tmp_path)
    assert found.entries == () and "today's run failed: UserError: a package is not installed." in found.left[0]


def test_rows_of_another_kind_of_machine_stay_stale(made, tmp_path):
    record = made["ddc"][0]
    found = renewed(changed(record, environment={**record.environment, "machine": "m68k, 68000, cpu"}), tmp_path)
    assert found.entries == () and "machine" in found.left[0]


def test_the_beginning_of_a_run_ends_with_its_first_evaluation_after_training_began():
    spec = planned().specs[0]
    phase = beginning(spec).protocol.phases["train"]
    assert phase.budget.amount == phase.evaluate_every == 1
    assert beginning(spec).replicate == spec.replicate and beginning(spec).data == spec.data


def test_cells_differ_by_everything_but_the_replicate():
    first, second = planned().specs
    assert cell_id(first) == cell_id(second)
    assert cell_id(first) != cell_id(planned("ddc-uco-n").specs[0])


def entry(old: str, new: str, cell: str) -> Renewal:
    return Renewal(
        cell=cell, method="ddc", dataset="digits", old=old, new=new, run_id="r", compared="all", machine="here"
    )


def test_renewals_chain_in_their_direction_and_within_their_cell(tmp_path):
    spec, other = planned().specs[0], planned("k-means").specs[0]
    cell = cell_id(spec)
    keep([entry(OLDER, OLD, cell)], tmp_path)
    keep([entry(OLD, "2" * 16, cell), entry(OLD, OLDER, cell)], tmp_path)
    assert len((tmp_path / FILE).read_text().splitlines()) == 3
    renewals = Renewals.read([tmp_path, tmp_path / "not there"])
    assert renewals.connects(spec, OLDER, "2" * 16)
    assert not renewals.connects(spec, "2" * 16, OLDER)
    assert not renewals.connects(other, OLDER, "2" * 16)


def test_a_damaged_line_is_one_sentence_with_file_and_line(tmp_path):
    (tmp_path / FILE).write_text('{"cell": 1}\n')
    with pytest.raises(UserError, match=r"renewals\.jsonl, line 1 is no renewal"):
        Renewals.read([tmp_path])


def test_the_command_renews_what_is_the_same_and_tables_and_explain_say_so(made, tmp_path):
    for record in made["k-means"]:
        Store(tmp_path).save(changed(record))
    for record in made["ddc"]:
        Store(tmp_path).save(changed(record, first_losses=(0.0,)))
    merge([tmp_path], tmp_path)
    cell = planned("k-means")
    assert all(Session(tmp_path).stale(r) for r in made["k-means"] for r in Session(tmp_path).find(r.spec))
    options = ["--results", str(tmp_path), "--runs", "2", *(part for text in SETS for part in ("--set", text))]
    where = ["--profile", "quick", "--table", "tkuco2024/table2"]
    called = CliRunner().invoke(app, ["results", "renew", *where, *options])
    assert called.exit_code == 1  # DDC has other numbers
    assert "4 stale runs: 1 cells renewed, 1 stay stale" in called.stdout
    session = Session(tmp_path)
    (record,) = session.find(cell.specs[1])
    assert record.code_digest == OLD and session.renewed(record) and not session.stale(record)
    (row,) = [r for r in csv.DictReader(io.StringIO((tmp_path / "stored/quick/tkuco2024/runs.csv").read_text()))][:1]
    assert row["code_digest"] == OLD  # rows keep what made them
    drawn = CliRunner().invoke(app, ["tables", *where, "--method", "k-means", *options]).stdout
    assert "2 runs made by earlier code and renewed" in drawn
    told = CliRunner().invoke(app, ["explain", "tkuco2024/table2", "k-means", "digits", "acc", *options]).stdout
    assert f"{OLD} renewed" in told


def test_without_filters_all_that_is_stored_is_renewed_also_what_no_table_plans(made, tmp_path):
    records = [made["k-means"][0], made["ddc"][0]]  # of two epochs on 240 samples, by `--set`
    for record in records:
        Store(tmp_path).save(changed(record))
    found = CliRunner().invoke(app, ["results", "renew", "--results", str(tmp_path)])
    assert found.exit_code == 0 and "2 stale runs: 2 cells renewed, 0 stay stale" in found.stdout


def test_with_filters_both_readings_are_renewed(made, tmp_path):
    (cell,) = plan_cells(
        Request("cpu", tables=("idec2017/table2",), methods=("sec",), datasets=("usps",), readings=("code",))
    )
    stale = changed(made["k-means"][0], spec=cell.specs[0], run_id=cell.specs[0].run_id)
    Store(tmp_path).save(stale)
    where = ["--table", "idec2017/table2", "--method", "sec", "--dataset", "usps", "--profile", "cpu"]
    found = CliRunner().invoke(
        app, ["results", "renew", *where, "--results", str(tmp_path), "--data-dir", str(tmp_path)]
    )
    assert found.exit_code == 1 and "1 stale runs: 0 cells renewed, 1 stay stale" in found.stdout
    assert "usps" in found.stderr
