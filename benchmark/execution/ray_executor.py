"""The executor for more than one machine: a Ray cluster makes the runs, the driver claims and stores them.

Each run, or stack of runs, is a task of one CPU and, on GPUs, of a share of one. A node keeps the prepared data once,
in a file that its workers map. Runs of a lost worker or node are made again: from their checkpoints where the node sees
the driver's results folder, else from the beginning. The numbers are those of the serial executor.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from benchmark.errors import UserError, error_line
from benchmark.execution.agenda import Agenda, Size
from benchmark.execution.events import Event, Finished, Job, Noted, Paused, Place, Started, never
from benchmark.execution.execute import RunResult
from benchmark.execution.fits.apart import Lost
from benchmark.execution.fits.device import LOST, DeviceLost
from benchmark.execution.fits.turns import Turn
from benchmark.execution.jobs import inherited, save, starting_weights, training
from benchmark.execution.ray_cluster import cluster, marked
from benchmark.execution.shared_data import folder_of
from benchmark.execution.stacks import side_by_side, stackable
from benchmark.files.faults import sentence
from benchmark.files.locks import Claims
from benchmark.files.owners import process
from benchmark.provenance.code import run_code_digest
from benchmark.registry import load_plugins
from benchmark.spec import RunSpec
from benchmark.training.engines.lanes import Turns
from benchmark.training.resume import Stopped

ATTEMPTS = 4
"""How often a run is tried again when its worker or node is lost."""

POLL_SECONDS = 0.25
GRACE_SECONDS = 60.0
BELL_SECONDS = 2.0
"""How often a run asks whether it is to stop."""


@dataclass(frozen=True)
class _Answer:
    """What a task gives back: a result, the sentence why there is none, how its fit died, or nothing: it stopped."""

    result: RunResult | None = None
    error: str = ""
    died: str = ""


class _Bell:
    """An actor that the driver rings when runs are to stop."""

    def __init__(self) -> None:
        self._rung = False

    def ring(self) -> None:
        """Ask all runs to stop."""
        self._rung = True

    def rung(self) -> bool:
        """Whether runs are to stop."""
        return self._rung


def unknown(spec: RunSpec) -> float | None:
    """Return None: nothing is known of the memory that a run takes."""
    return None


def on_ray(
    jobs: Sequence[Job],
    place: Place,
    address: str,
    gpus: float = 1.0,
    until: float | None = None,
    asked: Callable[[], bool] = never,
    *,
    workers: int = 1,
    peak_mib: Callable[[RunSpec], float | None] = unknown,
    stack: Size = 1,
) -> Iterator[Event]:
    """Make the runs on the Ray cluster at `address`, up to `stack` side by side; start none after the time `until`.

    Without an address it is a cluster of `workers` cores of this machine, for the length of the call. On a GPU a run
    takes the share `gpus` of one. A run on the CPU takes the memory that `peak_mib` says. Raises UsageError where Ray
    is not installed, UserError where there is no cluster.
    """
    place = replace(place, results=place.results.resolve())
    with cluster(address, workers) as ray, marked(place.results) as mark, Claims(place.results) as claims:
        agenda = Agenda(jobs, place, claims, until, asked, alone=False, attempts=ATTEMPTS)
        driver = _Driver(ray, place, gpus, mark, agenda, peak_mib, stack)
        try:
            yield from driver.work(asked)
        finally:
            driver.clean_nodes()


class _Driver:
    """What runs where, and what came of it."""

    def __init__(
        self,
        ray: Any,
        place: Place,
        gpus: float,
        mark: str,
        agenda: Agenda,
        peak_mib: Callable[[RunSpec], float | None] = unknown,
        stack: Size = 1,
    ) -> None:
        self.ray, self.place, self.mark, self.agenda, self.peak_mib = ray, place, mark, agenda, peak_mib
        self.need = gpus if place.device.startswith("cuda") else 0.0
        self.bell = ray.remote(num_cpus=0)(_Bell).remote()
        self.task = ray.remote(num_cpus=1, num_gpus=self.need, max_retries=0, scheduling_strategy="SPREAD")(_on_node)
        self.running: dict[Any, tuple[Job, ...]] = {}
        self.stack, self._can = stack, partial(stackable, place=place)
        self._room, self._counted = 0, 0.0

    def work(self, asked: Callable[[], bool]) -> Iterator[Event]:
        """Yield events until all is done, the time is over, or the runs have stopped."""
        agenda, grace = self.agenda, None
        while agenda.open:
            while len(self.running) < self.room() and (taken := self._taken()):
                yield from self._begun(taken)
            yield from agenda.settled()
            if grace is None and asked():
                grace = time.monotonic() + GRACE_SECONDS
                self.bell.ring.remote()
                yield Noted("Stopping at the next checkpoints; a second signal (Ctrl-C) stops at once.")
            if (agenda.over and not self.running) or (grace is not None and time.monotonic() > grace):
                return
            if self.running:
                done, _ = self.ray.wait(list(self.running), num_returns=1, timeout=POLL_SECONDS)
                for reference in done:
                    yield from self._ended(self.running.pop(reference), reference)
            elif agenda.open:
                time.sleep(POLL_SECONDS)

    def _taken(self) -> tuple[Job, ...]:
        return self.agenda.take_stack(self.stack, self._can, idle=not self.running)

    def _begun(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Hand runs to the cluster as one task, with the weights that they start from."""
        handed: list[tuple[Job, Mapping[str, torch.Tensor] | None]] = []
        for job in jobs:
            try:
                record = inherited(job, self.place)
                if not record:
                    handed.append((job, starting_weights(job, self.place)))
                    continue
                end = self._saved(job, RunResult(record))
            except UserError as error:
                end = Finished(job, None, str(error))
            self.agenda.ended(end)
            yield end
        if handed:
            task = self.task.options(memory=self.memory(handed[0][0].spec, len(handed)))
            reference = task.remote(handed, self.place, self.mark, self.bell)
            self.running[reference] = tuple(job for job, _ in handed)
            yield from (Started(job.run_id) for job, _ in handed)

    def room(self) -> int:
        """Return how many runs the cluster has room for now; nodes come and go."""
        if time.monotonic() - self._counted > 1.0:
            self._counted, held = time.monotonic(), self.ray.cluster_resources()
            self._room = int(held.get("CPU", 0))
            if self.need:
                self._room = min(self._room, int(held.get("GPU", 0) / self.need + 1e-9))
        return self._room

    def memory(self, spec: RunSpec, number: int = 1) -> int | None:
        """Return the bytes that Ray is to keep free for so many runs: the peak of one, each, at most what a node has.

        None where nothing is known of it; of a run on a GPU it is the GPU's memory that was measured.
        """
        peak = None if self.need else self.peak_mib(spec)
        most = max((node["Resources"].get("memory", 0) for node in self.ray.nodes() if node["Alive"]), default=0)
        return int(min(number * peak * 2**20, most)) or None if peak else None

    def clean_nodes(self) -> None:
        """Remove the prepared data from the nodes, as far as they can be reached."""
        for reference in self.running:
            self.ray.cancel(reference, force=True)
        strategy = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        task = self.ray.remote(num_cpus=0, max_retries=0)(_forget)
        nodes = [node["NodeID"] for node in self.ray.nodes() if node["Alive"]]
        asked = [task.options(scheduling_strategy=strategy(node, soft=False)).remote(self.mark) for node in nodes]
        self.ray.wait(asked, num_returns=len(asked), timeout=5.0)

    def _ended(self, jobs: Sequence[Job], reference: Any) -> Iterator[Event]:
        errors = self.ray.exceptions
        try:
            answers: list[_Answer] = self.ray.get(reference)
        except errors.RayTaskError as error:
            text = f"{type(error.cause).__name__}: {error.cause}".splitlines()[0]
            answers = [_Answer(error=f"run {job.run_id} could not be made on its node ({text}).") for job in jobs]
        except errors.RayError as error:
            what = type(error).__name__
            for job in jobs:
                yield Noted(f"run {job.run_id} lost its worker or node ({what}).")
                self.agenda.died(job, f"the last time by {what}")
            return
        for job, answer in zip(jobs, answers, strict=True):
            if answer.died:
                self.agenda.died(job, answer.died)
                continue
            if answer.result is None and not answer.error:
                self.agenda.again(job)
                yield Paused(job)
                continue
            end = self._stored(job, answer)
            self.agenda.ended(end)
            yield end

    def _stored(self, job: Job, answer: _Answer) -> Finished:
        if answer.result is None:
            return Finished(job, None, answer.error)
        record = answer.result.record
        if record.code_digest != run_code_digest(job.spec):
            text = f"run {job.run_id} was made by other code: install the same version of reclust on every node."
            return Finished(job, None, text)
        return self._saved(job, answer.result)

    def _saved(self, job: Job, result: RunResult) -> Finished:
        try:
            save(result, job, self.place)
        except OSError as error:
            return Finished(job, None, sentence(error))
        return Finished(job, result.record)


def _on_node(
    handed: Sequence[tuple[Job, Mapping[str, torch.Tensor] | None]], place: Place, mark: str, bell: Any
) -> list[_Answer]:
    """Make runs on a node, side by side, each from the weights given with it, and give them back in order."""
    load_plugins()
    sees_results = (place.results / mark).exists()
    shared = folder_of(process(os.getppid()), mark)  # the parent is the node's own process
    place = replace(place, shared=shared, checkpoints=place.checkpoints if sees_results else None)
    stop, over = threading.Event(), threading.Event()
    listener = threading.Thread(target=_listen, args=(bell, stop, over), daemon=True)
    listener.start()
    weights = {job.run_id: given for job, given in handed}

    def make(job: Job, turn: Turn | None) -> Turns[_Answer]:
        return _answering(job, place, stop.is_set, weights[job.run_id], turn)

    try:
        jobs = [job for job, _ in handed]
        found = {job.run_id: answer for job, answer in side_by_side(jobs, make, place, lambda event: None)}
        return [found[job.run_id] for job in jobs]
    except DeviceLost:
        os._exit(LOST)  # no other task may find this process, whose GPU no longer answers
    finally:
        over.set()


def _answering(
    job: Job,
    place: Place,
    asked: Callable[[], bool],
    weights: Mapping[str, torch.Tensor] | None,
    turn: Turn | None,
) -> Turns[_Answer]:
    """Train as one of those that take turns, and return the answer."""
    try:
        return _Answer((yield from training(job, place, lambda event: None, asked, weights, turn)))
    except Stopped:
        return _Answer()
    except Lost as error:
        return _Answer(died=error.how)
    except DeviceLost:
        raise
    except UserError as error:
        return _Answer(error=error_line(str(error)))
    except OSError as error:
        return _Answer(error=sentence(error))


def _listen(bell: Any, stop: threading.Event, over: threading.Event) -> None:
    import ray

    while not over.wait(BELL_SECONDS):
        try:
            if ray.get(bell.rung.remote(), timeout=BELL_SECONDS):
                stop.set()
                return
        except ray.exceptions.RayError:  # the driver is busy, or gone: then Ray ends this process
            continue


def _forget(mark: str) -> None:
    folder = folder_of(process(os.getppid()), mark)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
