"""Executors: carry out planned runs, one after another or in several processes, as a stream of events.

Every run uses one thread on the CPU, whichever executor makes it, so that its numbers do not depend on the executor.
The process that makes a run also stores it, so that killing the driver loses nothing that was finished.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from queue import Empty
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from benchmark.execute import execute
from benchmark.observers import OBSERVERS
from benchmark.record import Context, RunRecord
from benchmark.registry import UserError, load_plugins
from benchmark.spec import RunSpec
from benchmark.store import Store

ATTEMPTS = 2
"""How often a run is tried alone when its worker process dies."""


@dataclass(frozen=True)
class Job:
    """A run to make, how its record is labelled, and the observers that record beside it."""

    spec: RunSpec
    context: Context
    record: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where runs are made: the results folder, the data folder, the device; `replace` renews records that are there."""

    results: Path
    data_dir: Path | None = None
    device: str = "cpu"
    replace: bool = False


@dataclass(frozen=True)
class Started:
    """A run began."""

    run_id: str


@dataclass(frozen=True)
class Progress:
    """A run reached `step` of `total` in a phase."""

    run_id: str
    phase: str
    step: int
    total: int


@dataclass(frozen=True)
class Finished:
    """A run ended: with a record, or with the one sentence why there is none."""

    job: Job
    record: RunRecord | None
    error: str = ""


Event = Started | Progress | Finished


def make_run(job: Job, place: Place, report: Callable[[Event], None]) -> Finished:
    """Execute one job with one thread, store its record, and return how it ended."""
    run_id = job.spec.run_id
    report(Started(run_id))

    def progress(phase: str, step: int, total: int) -> None:
        report(Progress(run_id, phase, step, total))

    torch.set_num_threads(1)
    with threadpool_limits(1):
        try:
            result = execute(
                job.spec,
                context=job.context,
                data_dir=place.data_dir,
                device=place.device,
                progress=progress,
                measures=[OBSERVERS[name] for name in job.record],
            )
            Store(place.results).save(result.record, result.labels, replace=place.replace)
        except (UserError, OSError) as error:
            return Finished(job, None, str(error))
    return Finished(job, result.record)


def serial(jobs: Sequence[Job], place: Place, until: float | None = None) -> Iterator[Event]:
    """Make the runs one after another in this process; start none after the monotonic time `until`."""
    for job in jobs:
        if until is not None and time.monotonic() >= until:
            return
        events: list[Event] = []
        finished = make_run(job, place, events.append)
        yield from events
        yield finished


def processes(jobs: Sequence[Job], place: Place, workers: int, until: float | None = None) -> Iterator[Event]:
    """Make the runs in `workers` processes; start none after the monotonic time `until`.

    When a worker dies (as when the system kills it for memory), the runs that were under way are made again, one at a
    time, so that only the run at fault is given up: after `ATTEMPTS` deaths, with an error.
    """
    waiting = list(jobs)
    while waiting:
        suspects, waiting = yield from _with_crew(waiting, place, workers, until)
        for job in suspects:
            yield from _alone(job, place)


def _alone(job: Job, place: Place) -> Iterator[Event]:
    for _ in range(ATTEMPTS):
        suspects, _ = yield from _with_crew([job], place, 1, None)
        if not suspects:
            return
    yield Finished(job, None, f"the worker process of run {job.spec.run_id} died {ATTEMPTS} times.")


def _with_crew(
    jobs: Sequence[Job], place: Place, workers: int, until: float | None
) -> Generator[Event, None, tuple[list[Job], list[Job]]]:
    crew = _Crew(place, workers)
    try:
        return (yield from crew.work(jobs, until))
    finally:
        crew.close()


class _Crew:
    """A pool of worker processes and the queue by which they report."""

    def __init__(self, place: Place, workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.place, self.workers = place, workers
        self.reports = context.Queue()
        self.pool = ProcessPoolExecutor(workers, context, _start_worker, (self.reports,))

    def work(self, jobs: Sequence[Job], until: float | None) -> Generator[Event, None, tuple[list[Job], list[Job]]]:
        """Yield events until all is done, the time is over, or a worker has died.

        Return the jobs that were under way when a worker died, and those not begun; none where the time is over.
        """
        running: dict[Future[Finished], Job] = {}
        queue = list(jobs)
        while queue or running:
            over = until is not None and time.monotonic() >= until
            if over and not running:
                return [], []
            try:
                while queue and len(running) < self.workers and not over:
                    running[self.pool.submit(_work, queue[0], self.place)] = queue[0]
                    queue.pop(0)
            except BrokenProcessPool:
                return list(running.values()), queue
            done, _ = wait(running, timeout=0.25, return_when=FIRST_COMPLETED)
            yield from self._drain()
            alive = [future for future in done if not isinstance(future.exception(), BrokenProcessPool)]
            for future in alive:
                del running[future]
                yield future.result()
            if len(alive) < len(done):
                return list(running.values()), queue
        return [], []

    def _drain(self) -> Iterator[Event]:
        while True:
            try:
                yield self.reports.get_nowait()
            except Empty:
                return

    def close(self) -> None:
        """End the workers, also those in the middle of a run."""
        workers = list((self.pool._processes or {}).values())
        self.pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
        self.reports.close()


_report: Callable[[Any], None] = print


def _start_worker(reports: Any) -> None:
    """Prepare a worker: load the plug-ins, report by the queue, and end when the driver is gone."""
    global _report
    _report = reports.put
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    load_plugins()


def _end_with(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)


def _work(job: Job, place: Place) -> Finished:
    return make_run(job, place, _report)
