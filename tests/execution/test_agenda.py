"""The agenda: every run is handed out once, after its parents, and no GPU waits while there is something to do."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from benchmark.execution.agenda import Agenda
from benchmark.execution.crew import Crew, Died
from benchmark.execution.events import Finished, Job, Noted, Place
from benchmark.execution.executors import processes, serial
from benchmark.files.locks import Claims
from benchmark.record import Context
from benchmark.registry import load_plugins
from benchmark.store import Store
from tests.support.k_means_jobs import good, jobs
from tests.support.simulation import cells_for, costs, family, planned, simulate

load_plugins()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let k-means give labels without a search."""
    monkeypatch.setattr("methods.baselines.k_means.KMeans.cluster", lambda self, x, params, context: good(x))


@pytest.mark.parametrize("gpus", [1, 7, 60])
def test_simulated_gpus_are_busy_until_the_last_wave_and_every_run_is_made(tmp_path, gpus):
    made = family(planned(cells_for(3000)).runs[:3000])
    found = simulate(made, costs(3000), gpus, 0.02, tmp_path)
    assert len(set(found.order)) == 3000 and found.given_up == 0
    assert len(found.order) == 3000 + found.failures and 20 < found.failures < 120
    assert found.idle < 0.05
    first = {run_id: place for place, run_id in reversed(list(enumerate(found.order)))}
    assert all(first[parent] < first[job.spec.run_id] for job in made for parent in job.parents)
    assert sum(bool(job.parents) for job in made) == 750


def finished(events: Any) -> dict[int, Finished]:
    return {event.job.spec.replicate: event for event in events if isinstance(event, Finished)}


def test_parents_are_made_before_their_children_whatever_the_order_of_the_plan(tmp_path, quick):
    child, parent, other = jobs(3)
    child = dataclasses.replace(child, parents=(parent.spec.run_id,))
    assert list(finished(serial([child, parent, other], Place(tmp_path)))) == [1, 0, 2]


def test_children_of_a_run_without_record_are_not_made_and_say_why(tmp_path, quick):
    parent, child, other = jobs(3)
    parent = dataclasses.replace(
        parent, spec=parent.spec.model_copy(update={"data": parent.spec.data.model_copy(update={"digest": "0" * 64})})
    )
    child = dataclasses.replace(child, parents=(parent.spec.run_id,))
    found = finished(serial([parent, child, other], Place(tmp_path)))
    assert found[1].record is None and f"run {parent.spec.run_id}, which it starts from" in found[1].error
    assert found[2].record is not None and found[2].record.status == "ok"


def test_children_of_a_run_that_failed_are_recorded_as_failed_and_say_why(tmp_path, monkeypatch):
    def cluster(self: Any, x: Any, params: Any, context: Any) -> Any:
        if context.streams.replicate == 0:
            raise RuntimeError("a pity")
        return good(x)

    monkeypatch.setattr("methods.baselines.k_means.KMeans.cluster", cluster)
    parent, child, other = jobs(3)
    child = dataclasses.replace(child, parents=(parent.spec.run_id,))
    found = finished(serial([parent, child, other], Place(tmp_path)))
    record = Store(tmp_path).get(child.spec.run_id)
    assert record is not None and record == found[1].record and record.status == "failed" and record.loss is None
    assert record.error == f"run {parent.spec.run_id}, which it starts from, failed: RuntimeError: a pity"
    assert found[2].record is not None and found[2].record.status == "ok"


def test_a_parent_that_is_stored_already_is_not_waited_for(tmp_path, quick):
    parent, child = jobs(2)
    list(serial([parent], Place(tmp_path)))
    child = dataclasses.replace(child, parents=(parent.spec.run_id,))
    with Claims(tmp_path) as claims:
        assert Agenda([child], Place(tmp_path), claims).take() == child


def test_a_run_that_another_process_claims_is_waited_for_and_not_made_again(tmp_path, quick, monkeypatch):
    monkeypatch.setattr("benchmark.execution.agenda.LOOK_AGAIN_SECONDS", 0.0)
    first, second = jobs(2)
    place = Place(tmp_path)
    with Claims(tmp_path) as theirs, Claims(tmp_path) as ours:
        assert theirs.take(first.spec.run_id)
        agenda = Agenda([first, second], place, ours)
        assert agenda.take() == second and agenda.take(idle=False) is None and agenda.open
        assert not list(agenda.settled()), "it has something to do"
        for _ in range(3):
            assert agenda.take() is None and agenda.open
        (note,) = agenda.settled()
        host = socket.gethostname()
        assert note == Noted(f"waiting for process {os.getpid()} on {host} (run {first.run_id}).")
        (end,) = list(finished(serial_without_claims(first, tmp_path)).values())
        theirs.give_back(first.spec.run_id)
        assert agenda.take() is None
        (settled,) = agenda.settled()
        assert settled.elsewhere and settled.record == end.record
        agenda.ended(Finished(second, end.record))
        assert not agenda.open


def serial_without_claims(job: Job, results: Path) -> Any:
    from benchmark.execution.jobs import make_run

    return [make_run(job, Place(results), lambda event: None)]


def test_a_record_is_renewed_once_when_asked_for_by_two(tmp_path, quick):
    (job,) = jobs(1)
    list(serial([job], Place(tmp_path)))
    stale = Store(tmp_path, use_stored=False).get(job.spec.run_id)
    renewing = Place(tmp_path, replace=True)
    with Claims(tmp_path) as claims:
        mine, theirs = Agenda([job], renewing, claims), Agenda([job], renewing, Claims(tmp_path))
        assert mine.take() == job
        (end,) = serial_without_claims(dataclasses.replace(job, context=Context(paper="new")), tmp_path / "else")
        Store(tmp_path, use_stored=False).save(end.record, replace=True)
        mine.ended(end)
        assert theirs.take() is None
        (settled,) = theirs.settled()
    assert settled.elsewhere and settled.record.context.paper == "new" and stale.context.paper == ""


@pytest.mark.slow
def test_workers_share_prepared_data_and_give_the_bits_of_the_serial_executor(tmp_path):
    made = jobs(3)
    list(serial(made, Place(tmp_path / "a")))
    list(processes(made, Place(tmp_path / "b"), 2))
    stores = [Store(tmp_path / name, use_stored=False) for name in "ab"]
    for job in made:
        first, second = (store.get(job.spec.run_id) for store in stores)
        assert first.loss == second.loss and first.metrics == second.metrics
        assert (stores[0].labels(job.spec.run_id) == stores[1].labels(job.spec.run_id)).all()


def test_the_interrupt_of_a_terminal_does_not_reach_a_worker_that_is_starting(tmp_path):
    (job,) = jobs(1)
    with Crew(Place(tmp_path), 1) as crew:
        crew.begin(job)
        (worker,) = crew._crew
        os.kill(worker.process.pid, signal.SIGINT)
        said: list[Any] = []
        while not any(isinstance(event, Finished | Died) for event in said):
            said += crew.events(1.0)
    assert isinstance(said[-1], Finished) and said[-1].record is not None
