"""Stacks: runs of one specification but the replicate, made side by side by one process.

A stack is a way of executing and no part of a run's identity: each of its runs has a record, a status and checkpoints
of its own, gives the numbers that it gives alone, and can be gone on from alone or in another stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch

from benchmark.execution.checkpoints import distrust
from benchmark.execution.events import Event, Job, Noted, Place, never
from benchmark.execution.fits.device import DeviceLost, refuse_lost
from benchmark.execution.fits.threads import one_thread
from benchmark.execution.fits.turns import Company, Spoilt, Turn
from benchmark.execution.jobs import End, making, trains_apart
from benchmark.registry import METHODS
from benchmark.spec import RunSpec
from benchmark.training import DeepClusterer
from benchmark.training.engines.capture import engine_for
from benchmark.training.engines.lanes import Turns, alone, interleaved

T = TypeVar("T")


MOST = 20
"""How many runs a stack has at most that is made as large as a GPU's memory allows: the replicates of the papers."""

SHARE = 0.8
"""The share of a GPU's free memory that is given to the runs of a stack; graphs and cuDNN take some beside them."""


class AsManyAsFit:
    """The size of stacks where a GPU's memory decides: one until a run like it was measured, on the GPU and alone.

    `free_mib` is what the GPU has free before anything runs on it, `known` the peak of earlier runs like one.
    """

    def __init__(self, free_mib: float, known: Callable[[RunSpec], float | None]) -> None:
        self.free_mib, self.known = free_mib, known

    def __call__(self, job: Job, measured: float | None) -> int:
        """Return how many runs are made side by side with `job`, itself included."""
        peak = measured or self.known(job.spec)
        return max(1, min(MOST, int(SHARE * self.free_mib / peak))) if peak else 1


def free_mib(device: str) -> float:
    """Return the free memory of a GPU in MiB, 0 where it is not on this machine."""
    if not device.startswith("cuda") or not torch.cuda.is_available():
        return 0.0
    return float(torch.cuda.mem_get_info(torch.device(device))[0]) / 2**20


def stackable(job: Job, place: Place) -> bool:
    """Whether a run can be one of a stack: it trains by steps, in the process that makes it."""
    method = METHODS.get(job.spec.method)
    return isinstance(method, type) and issubclass(method, DeepClusterer) and not trains_apart(job, place)


def make_stack(
    jobs: Sequence[Job], place: Place, report: Callable[[Event], None], asked: Callable[[], bool] = never
) -> Iterator[End]:
    """Execute the jobs side by side, store the record of each, and yield how each ended as soon as it does."""

    def make(job: Job, turn: Turn | None) -> Turns[End]:
        return making(job, place, report, asked, turn)

    for _, end in side_by_side(jobs, make, place, report):
        yield end


def side_by_side(
    jobs: Sequence[Job],
    make: Callable[[Job, Turn | None], Turns[T]],
    place: Place,
    report: Callable[[Event], None],
) -> Iterator[tuple[Job, T]]:
    """Let what `make` gives for the jobs take turns with one thread, and yield each job with its result.

    One that fails, diverges, ends early or stops leaves the others as they are alone. Where one changes what they
    share, those that are under way are made anew, each alone. A single job is made without turns. DeviceLost where
    the GPU no longer answers the process: the jobs that did not come to an end are to be made in another.
    """
    left = {job.run_id: job for job in jobs}
    try:
        with one_thread():
            for run_id, result in _results(left, make, place, report):
                yield left.pop(run_id), result
    except Exception as error:
        try:
            refuse_lost(place.device, error)
        except DeviceLost as lost:
            for run_id in left:  # whatever the GPU computed last is in doubt
                distrust(place.results, place.run_name(run_id), f"run {run_id}: {lost}")
            raise
        raise


def _results(
    left: Mapping[str, Job],
    make: Callable[[Job, Turn | None], Turns[T]],
    place: Place,
    report: Callable[[Event], None],
) -> Iterator[tuple[str, T]]:
    """Yield the id and the result of each of the jobs that are `left`, the caller taking it from them."""
    if len(left) > 1:
        company = Company(len(left))
        try:
            with company:
                fits = {run_id: make(job, Turn(company)) for run_id, job in left.items()}
                yield from interleaved(fits, engine_for(torch.device(place.device)))
        except Spoilt as error:
            report(Noted(f"a stack of {len(left)} runs is given up, and each is made alone: {error}."))
            for run_id in left:
                distrust(place.results, place.run_name(run_id), f"run {run_id} was in a stack: {error}")
    for run_id, job in list(left.items()):
        yield run_id, alone(make(job, None))
