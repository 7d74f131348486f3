"""The regression check: it agrees with rows that today's code made, and finds every number that was changed."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmark.errors import UserError
from benchmark.execution.events import Finished, Job, Place
from benchmark.execution.executors import processes, serial
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.registry import load_plugins
from benchmark.repeat.agreement import RunView, compare_runs
from benchmark.repeat.check import Checked, check_cells
from benchmark.repeat.sample import sampled
from benchmark.session import Session
from benchmark.store.merge import merge
from benchmark.store.sums import accept

TINY = ("phases.train.budget.amount=1", "data.samples=240")
STORED = Path("stored", "quick", "tkuco2024")


def cells(*methods: str, runs: int = 2) -> list[PlannedCell]:
    request = Request(tables=("tkuco2024/table2",), methods=methods or ("ddc", "k-means"), sets=TINY, runs=runs)
    return plan_cells(request)


pytestmark = pytest.mark.usefixtures("nothing_shipped")


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Make runs in this process: starting others takes seconds."""
    load_plugins()
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmark.repeat.check.processes", lambda jobs, place, workers: serial(jobs, place))
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a results folder with two merged runs of DDC and of k-means."""
    results = tmp_path_factory.mktemp("made")
    jobs = [Job(spec, cell.context) for cell in cells() for spec in cell.specs]
    for event in serial(jobs, Place(results)):
        assert not isinstance(event, Finished) or (event.record and event.record.status == "ok")
    merge([results], results)
    shutil.rmtree(results / "runs")
    return results


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    """Return a copy of `made` that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "results"))


def change(results: Path, method: str, column: str, to: Callable[[str], str], *, every: bool = False) -> None:
    """Change a column of runs.csv in the first row of `method`, or in every one."""
    file = results / STORED / "runs.csv"
    header, *rows = csv.reader(io.StringIO(file.read_text()))
    mine = [row for row in rows if row[header.index("method")] == method]
    for row in mine if every else mine[:1]:
        row[header.index(column)] = to(row[header.index(column)])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    file.write_text(text.getvalue())


def checked(results: Path, *methods: str, runs: int = 2) -> Checked:
    return check_cells(Session(results), cells(*methods, runs=runs), 1)


def more(by: float) -> Callable[[str], str]:
    return lambda cell: " ".join(repr(float(number) + by) for number in cell.split())


def test_today_s_code_agrees_with_the_rows_that_it_made(results):
    found = checked(results)
    assert found.disagreements == ()
    assert (found.cells, found.runs) == (2, 4)


@pytest.mark.slow
def test_worker_processes_give_the_same_answer(results, monkeypatch):
    monkeypatch.setattr("benchmark.repeat.check.processes", processes)
    assert checked(results).disagreements == ()


def test_a_check_leaves_the_results_as_they_are(results):
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    checked(results, "k-means")
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("method", "column", "by", "said"),
    [
        ("ddc", "acc", 1 / 240, "acc is"),
        ("k-means", "ari", 1e-12, "ari is"),
        ("ddc", "loss", 1e-6, "the final loss is"),
        ("ddc", "first_losses", 0.01, "the loss of step 1 is"),
    ],
)
def test_a_changed_number_is_found_and_its_cell_and_replicate_named(results, method, column, by, said):
    change(results, method, column, more(by))
    found = checked(results, method)
    (sentence,) = found.disagreements
    assert sentence.startswith(f"tkuco2024 table2 {method} digits: replicate ")
    assert said in sentence and "\n" not in sentence


def test_a_changed_status_is_found(results):
    change(results, "ddc", "status", lambda status: "collapsed")
    (sentence,) = checked(results, "ddc").disagreements
    assert "the status is ok, but collapsed is stored" in sentence


def move(results: Path, method: str = "ddc") -> None:
    """Let the rows of `method` come from another kind of machine."""
    change(results, method, "environment", lambda cell: cell.replace('"machine":"', '"machine":"another '), every=True)


def test_rows_of_another_machine_may_differ_in_their_metrics_as_far_as_the_stored_runs_do(results):
    move(results)
    change(results, "ddc", "acc", more(1 / 240))
    assert checked(results, "ddc").disagreements == ()
    change(results, "ddc", "acc", more(0.5), every=True)
    (sentence,) = checked(results, "ddc").disagreements
    assert "the mean acc over 2 replicates" in sentence


@pytest.mark.parametrize(("by", "agrees"), [(1e-6, True), (1e-2, False)])
def test_rows_of_another_machine_must_have_nearly_the_same_losses_in_the_first_steps(results, by, agrees):
    move(results)
    change(results, "ddc", "first_losses", lambda cell: " ".join(repr(float(n) * (1 + by)) for n in cell.split()))
    found = checked(results, "ddc").disagreements
    assert len(found) == (0 if agrees else 1)
    assert agrees or "the loss of step 1" in found[0]


@pytest.mark.parametrize(
    ("pretrained", "same_machine", "agrees"), [(True, False, True), (False, False, False), (True, True, False)]
)
def test_first_losses_after_a_pre_training_are_compared_on_the_same_machine_only(pretrained, same_machine, agrees):
    """They come after so many steps that the trajectories of two kinds of machine have parted."""
    stored = RunView("r", 0, "ok", (0.4339, 0.4), {"acc": 0.7}, 0.3, pretrained)
    today = replace(stored, first_losses=(0.8341, 0.5))
    assert (compare_runs([stored], [today], same_machine) == []) is agrees


def test_on_the_same_machine_first_losses_that_differ_by_one_in_a_million_are_found(results):
    change(results, "ddc", "first_losses", lambda cell: " ".join(repr(float(n) * (1 + 1e-6)) for n in cell.split()))
    (sentence,) = checked(results, "ddc").disagreements
    assert "the loss of step 1" in sentence


def test_a_check_of_one_run_knows_the_spread_of_all_stored_ones(results):
    """Put up by .1 and .5, the stored accuracies lie so far apart that .1 between two machines is nothing."""
    move(results)
    rows = iter((0.1, 0.5))
    change(results, "ddc", "acc", lambda cell: repr(float(cell) + next(rows)), every=True)
    assert checked(results, "ddc", runs=1).disagreements == ()


def test_a_row_of_another_machine_does_not_loosen_the_comparison_of_the_others(results):
    move(results)
    rows = iter((True, False))  # the first row came back
    change(results, "ddc", "environment", lambda cell: cell.replace("another ", "") if next(rows) else cell, every=True)
    change(results, "ddc", "acc", more(1 / 240), every=True)
    (sentence,) = checked(results, "ddc").disagreements
    assert "acc is" in sentence


def test_a_cell_without_tracked_runs_is_a_disagreement(results, tmp_path):
    found = checked(results, "ddc", "ddc-ae")
    assert [text.partition(": ")[0] for text in found.disagreements] == ["tkuco2024 table2 ddc-ae digits"]
    assert "no stored run" in found.disagreements[0]
    nothing = checked(tmp_path / "nowhere")
    assert (nothing.runs, len(nothing.disagreements)) == (0, 2)


def test_runs_made_here_and_not_merged_do_not_stand_in_for_the_tracked_ones(results):
    jobs = [Job(spec, cell.context) for cell in cells("k-means") for spec in cell.specs]
    list(serial(jobs, Place(results)))
    change(results, "k-means", "acc", more(0.1))
    assert len(checked(results, "k-means").disagreements) == 1


def test_only_the_stored_replicates_are_made_again(results):
    found = checked(results, "k-means", runs=5)
    assert (found.runs, found.disagreements) == (2, ())


def test_a_run_that_fails_today_is_a_disagreement(results, monkeypatch):
    def broken(self: object, *args: object) -> None:
        raise RuntimeError("broken today")

    monkeypatch.setattr("methods.baselines.k_means.KMeans.cluster", broken)
    found = checked(results, "k-means")
    assert len(found.disagreements) == 2
    assert all("the status is failed, but ok is stored" in text for text in found.disagreements)


def test_a_run_that_cannot_be_made_today_is_a_disagreement(results, monkeypatch):
    def lost(jobs: list[Job], place: Place, workers: int) -> Iterator[Finished]:
        yield from (Finished(job, None, "the disk is full.") for job in jobs)

    monkeypatch.setattr("benchmark.repeat.check.processes", lost)
    found = checked(results, "k-means")
    assert len(found.disagreements) == 2 and all("the disk is full." in text for text in found.disagreements)


def test_a_damaged_row_is_one_sentence_that_names_the_file(results):
    (results / STORED / "history.csv.gz").write_bytes(gzip.compress(b"run_id,device\n"))
    with pytest.raises(UserError, match=r"history\.csv\.gz|runs\.csv"):
        checked(results, "ddc")


def test_a_sample_is_drawn_of_stored_cells_alone_and_again_by_its_seed(results, tmp_path):
    every = cells("ddc", "k-means", "ddc-ae")
    session = Session(results)
    drawn = {sampled(session, every, 1, seed).cells[0].row for seed in range(20)}
    assert drawn == {"ddc", "k-means"}, "a cell without stored runs is never drawn"
    again = [[cell.row for cell in sampled(Session(results), every, 2, 7).cells] for _ in range(2)]
    assert again[0] == again[1] and sorted(again[0]) == ["ddc", "k-means"]
    assert (len(sampled(session, every, 99, 0).cells), sampled(session, every, 1, 0).stored) == (2, 2)
    with pytest.raises(UserError, match="no stored cell can be made again here"):
        sampled(Session(tmp_path / "empty"), every, 1, 0)


def test_data_that_are_not_here_are_left_out_of_a_sample_and_named(results, monkeypatch):
    monkeypatch.setattr(Session, "ready", lambda self, name: f"{name} is not here")
    with pytest.raises(UserError, match="digits is not here"):
        sampled(Session(results), cells(), 1, 0)


def test_the_command_says_which_cells_it_drew_and_finds_a_wrong_number_among_them(results, call, monkeypatch):
    monkeypatch.setattr("benchmark.plan.cells.plan_cells", lambda request: cells(runs=request.runs or 2))
    arguments = ("check", "--profile", "cpu", "--sample", "2", "--runs", "1", "--results", results)
    code, out, err = call(*arguments, "--seed", "5")
    assert code == 0 and "2 of 2 stored cells, drawn with --seed 5:" in out and "2 runs of 2 cells" in out and err == ""
    assert "  tkuco2024 table2 ddc digits (paper)" in out and "  tkuco2024 table2 k-means digits (paper)" in out
    assert "drawn with --seed" in call(*arguments)[1]
    change(results, "k-means", "ari", more(1e-12), every=True)
    code, _, err = call(*arguments)
    assert code == 1 and err.count("ari is") == 1
    code, _, err = call("check", "--seed", "5", "--results", results)
    assert code == 2 and "--sample" in err


def test_a_run_is_held_to_the_record_of_its_own_kind_of_machine(results):
    """Of two records of a run the one of this machine must be equal, wherever it stands."""
    other = Path(shutil.copytree(results, results.parent / "other"))
    move(other)
    change(other, "ddc", "acc", more(0.01), every=True)
    accept(other / "stored")
    for first, second in ((results, other), (other, results)):
        both = results.parent / f"{first.name}-first"
        merge([first], both)
        assert len(merge([second], both).several) == 2
        assert checked(both, "ddc").disagreements == ()


def seen(shift: float, *, trained: bool = True) -> list[RunView]:
    losses = (1.0, 0.9) if trained else ()
    return [RunView("id", r, "ok", losses, {"acc": 0.5 + shift}, 0.1) for r in range(3)]


@pytest.mark.parametrize(("trained", "moved", "agrees"), [
    (True, 0.05, True), (True, 0.07, False), (False, 0.01, True), (False, 0.02, False),
])  # fmt: skip
def test_three_trained_runs_that_lie_together_by_chance_may_move_by_two_points_times_three(trained, moved, agrees):
    stored, today = seen(0.0, trained=trained), seen(moved, trained=trained)
    assert (compare_runs(stored, today, same_machine=False) == []) is agrees


@pytest.mark.parametrize(("runs", "moved", "agrees"), [
    (3, 0.059, True), (3, 0.061, False), (2, 0.073, True), (2, 0.074, False), (1, 0.103, True), (1, 0.105, False),
])  # fmt: skip
def test_a_mean_over_fewer_runs_may_move_as_much_more_as_it_spreads_more(runs, moved, agrees):
    """By sqrt(3 / runs) of the three sd, here the least that is taken for trained runs: .02."""
    assert (compare_runs(seen(0.0), seen(moved)[:runs], same_machine=False) == []) is agrees
