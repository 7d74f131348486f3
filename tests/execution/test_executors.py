"""Executors: the same numbers whoever makes a run, and what happens when a run or its process dies."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmark.execution.crew import Crew
from benchmark.execution.events import Finished, Job, Place, Progress, Started
from benchmark.execution.executors import processes, serial
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.record import Context, RunRecord
from benchmark.registry import DATASETS, METHODS, load_plugins
from benchmark.spec import DataSpec, Protocol, RunSpec
from benchmark.store import Store
from tests.support.attack import made
from tests.support.processes import stat

TINY = ("phases.train.budget.amount=1", "data.samples=240")

# A method of another package, as a user would add one. It leaves a file for every attempt at a run.
TROUBLE = '''
import os, signal, time
from pathlib import Path
import numpy as np
from benchmark.training import Clusterer, ClusterParams, Outcome
from benchmark.registry import register_method

class TroubleParams(ClusterParams):
    folder: str
    deaths: int = 0
    error: str = ""

@register_method("trouble")
class Trouble(Clusterer):
    """Dies by SIGKILL in its first `deaths` attempts, raises `error`, or gives labels."""

    Params = TroubleParams

    def cluster(self, x, params, context):
        attempts = Path(params.folder, str(context.streams.replicate))
        attempts.mkdir(exist_ok=True)
        made = len(list(attempts.iterdir()))
        (attempts / str(made)).touch()
        if made < params.deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        if params.error:
            raise RuntimeError(params.error)
        labels = np.arange(len(x)) % params.n_clusters
        return labels, x.reshape(len(x), -1), Outcome(1.0, 1.0)
'''


@pytest.fixture(scope="module", autouse=True)
def plugins() -> Iterator[None]:
    load_plugins()
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install a package with the method `trouble`, found by its entry point; give the folder of its attempts."""
    site = tmp_path / "site"
    metadata = site / "trouble-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "trouble_method.py").write_text(TROUBLE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: trouble\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[reclust.methods]\ntrouble = trouble_method\n")
    monkeypatch.syspath_prepend(str(site))
    load_plugins()
    attempts = tmp_path / "attempts"
    attempts.mkdir()
    yield attempts
    METHODS._entries.pop("trouble", None)
    sys.modules.pop("trouble_method", None)


def tiny_jobs(*methods: str, runs: int) -> list[Job]:
    """Return real runs of seconds at most."""
    cells = plan_cells(Request(tables=("tkuco2024/table2",), methods=methods, sets=TINY, runs=runs))
    return [Job(spec, cell.context) for cell in cells for spec in cell.specs]


def troubled(folder: Path, replicate: int = 0, **params: object) -> Job:
    data = DataSpec(name="digits", digest=DATASETS["digits"].digest, samples=30)
    values = {"n_clusters": 3, "folder": str(folder), **params}
    return Job(RunSpec(method="trouble", params=values, data=data, protocol=Protocol(), replicate=replicate), Context())


def finished(events: Iterator[object]) -> list[Finished]:
    return [event for event in events if isinstance(event, Finished)]


def numbers(record: RunRecord, results: Path) -> dict[str, object]:
    """Return all that a run decides, to be compared bit by bit."""
    labels = Store(results).labels(record.run_id)
    assert labels is not None
    kept = record.model_dump(include={"status", "loss", "final_loss", "losses", "metrics", "first_losses", "history"})
    return {**kept, "labels": labels.tobytes()}


def test_serial_and_processes_give_bitwise_equal_runs_and_run_3_alone_equals_run_3_of_5(tmp_path):
    jobs = [*tiny_jobs("ddc", runs=5), tiny_jobs("k-means", runs=4)[3]]
    pool, one = tmp_path / "pool", tmp_path / "one"
    by_pool = {f.record.run_id: f.record for f in finished(processes(jobs, Place(pool), 2))}
    assert len(by_pool) == 6
    alone = [job for job in jobs if job.spec.replicate == 3]
    for end in finished(serial(alone, Place(one))):
        made = numbers(end.record, one)
        assert made == numbers(by_pool[end.record.run_id], pool)
        assert made["status"] == "ok" and (made["history"] or end.record.spec.method == "k-means")
    assert len({numbers(record, pool)["loss"] for record in by_pool.values()}) == 6, "replicates are to differ"


def test_each_run_starts_then_reports_its_steps_then_ends_with_a_stored_record(tmp_path):
    (job,) = tiny_jobs("ddc", runs=1)
    first, *reports, last = serial([job], Place(tmp_path))
    assert first == Started(job.spec.run_id)
    steps = [(report.step, report.total) for report in reports if isinstance(report, Progress)]
    assert steps[-1] == (2, 2)  # one epoch of 240 / 120 batches
    assert isinstance(last, Finished) and last.error == ""
    assert Store(tmp_path).get(job.spec.run_id) == last.record
    assert last.record.context == job.context
    assert last.record.environment["threads"] == 1


@pytest.mark.attack("methods")
def test_a_method_that_raises_leaves_a_failed_record_and_the_plan_goes_on(tmp_path, trouble):
    jobs = [troubled(trouble, error="no such luck\nat all"), troubled(trouble, 1)]
    bad, good = (end.record for end in finished(serial(jobs, Place(tmp_path))))
    assert (bad.status, bad.error) == ("failed", "RuntimeError: no such luck")
    assert "trouble_method.py" in bad.traceback
    assert (bad.loss, bad.metrics) == (None, {})
    assert good.status == "ok"
    assert Store(tmp_path).get(bad.run_id) == bad


def test_a_run_whose_data_are_missing_is_reported_in_one_sentence_without_a_record(tmp_path):
    (cell,) = plan_cells(Request("cpu", tables=("tkuco2024/table2",), methods=("k-means",), datasets=("usps",), runs=1))
    empty = tmp_path / "data"
    empty.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets.obtaining.files.cache_root", lambda: tmp_path / "cache")
        (end,) = finished(serial([Job(cell.specs[0], cell.context)], Place(tmp_path / "results", empty)))
    assert end.record is None
    assert "usps" in end.error and "\n" not in end.error
    assert Store(tmp_path / "results", use_stored=False).get(cell.specs[0].run_id) is None


@pytest.mark.attack("kills")
def test_a_run_whose_worker_is_killed_is_made_again_and_reported_after_the_third_death(tmp_path, trouble):
    once, always = troubled(trouble, deaths=1), troubled(trouble, 1, deaths=99)
    ends = {end.job.spec.replicate: end for end in finished(processes([once, always], Place(tmp_path), 1))}
    assert (ends[0].record.status, ends[0].error) == ("ok", "")
    np.testing.assert_array_equal(Store(tmp_path).labels(once.spec.run_id), np.arange(30) % 3)
    assert ends[1].record is None
    assert always.spec.run_id in ends[1].error and "died 3 times" in ends[1].error and "memory" in ends[1].error
    assert [len(list((trouble / name).iterdir())) for name in ("0", "1")] == [2, 3]
    made("kills", 1 + 3)
    assert Store(tmp_path, use_stored=False).ids() == [once.spec.run_id]


@pytest.mark.attack("kills")
@pytest.mark.slow
def test_a_run_that_kills_every_worker_does_not_keep_the_others_from_being_made(tmp_path, trouble):
    jobs = [troubled(trouble, deaths=99), troubled(trouble, 1), troubled(trouble, 2)]
    ends = {end.job.spec.replicate: end for end in finished(processes(jobs, Place(tmp_path), 2))}
    assert {r: end.record and end.record.status for r, end in ends.items()} == {0: None, 1: "ok", 2: "ok"}
    made("kills", len(list((trouble / "0").iterdir())))


def test_no_run_starts_when_the_time_is_over_and_those_begun_are_finished(tmp_path, trouble, monkeypatch):
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr("benchmark.execution.agenda.time", clock)
    jobs = [troubled(trouble, r) for r in range(4)]
    made = []
    for event in processes(jobs, Place(tmp_path), 1, until=10.0):
        clock.now = 20.0  # spent while the first run is in progress
        made += [event.job.spec.replicate] if isinstance(event, Finished) else []
    assert made == [0]
    assert finished(processes(jobs[1:], Place(tmp_path), 1, until=10.0)) == []
    assert finished(serial(jobs[1:], Place(tmp_path), until=10.0)) == []
    clock.now = 0.0
    for event in serial(jobs[1:], Place(tmp_path), until=10.0):
        clock.now = 20.0
        made += [event.job.spec.replicate] if isinstance(event, Finished) else []
    assert made == [0, 1]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads processes from /proc")
def test_workers_are_copies_of_one_process_and_find_the_environment_of_their_own_start(tmp_path, monkeypatch):
    (cell,) = plan_cells(Request("cpu", tables=("tkuco2024/table2",), methods=("k-means",), datasets=("usps",), runs=1))
    ends: list[Finished] = []
    with Crew(Place(tmp_path / "results"), 2) as crew:
        crew.begin(*tiny_jobs("k-means", runs=1))
        for variable in ("RECLUST_DATA", "XDG_CACHE_HOME"):
            monkeypatch.setenv(variable, str(tmp_path / "what came later"))
        crew.begin(Job(cell.specs[0], cell.context))
        parents = [stat(worker.process.pid)[1] for worker in crew._crew]
        while len(ends) < 2:
            ends += finished(crew.events(1.0))
    assert parents[0] == parents[1] != str(os.getpid())
    assert {end.job.spec.data.name: "what came later" in end.error for end in ends} == {"digits": False, "usps": True}


@pytest.mark.slow
def test_a_generator_that_is_closed_ends_its_workers(tmp_path, trouble):
    jobs = [troubled(trouble, r) for r in range(3)]
    events = processes(jobs, Place(tmp_path), 1)
    next(events)
    workers = multiprocessing.active_children()
    events.close()
    assert workers and not any(worker.is_alive() for worker in workers)
