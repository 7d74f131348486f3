"""Stacks: runs of one specification but the replicate, made side by side by one process.

A stack is a way of executing and no part of a run's identity: each of its runs has a record, a status and checkpoints
of its own, gives the numbers that it gives alone, and can be gone on from alone or in another stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from benchmark.execution.checkpoints import distrust
from benchmark.execution.events import Event, Job, Noted, Place, never
from benchmark.execution.fits.threads import one_thread
from benchmark.execution.fits.turns import Company, Spoilt, Turn
from benchmark.execution.jobs import End, make_run, making, trains_apart
from benchmark.registry import METHODS
from benchmark.training import DeepClusterer
from benchmark.training.lanes import Turns, interleaved


def stackable(job: Job, place: Place) -> bool:
    """Whether a run can be one of a stack: it trains by steps, in the process that makes it."""
    method = METHODS.get(job.spec.method)
    return isinstance(method, type) and issubclass(method, DeepClusterer) and not trains_apart(job, place)


def make_stack(
    jobs: Sequence[Job], place: Place, report: Callable[[Event], None], asked: Callable[[], bool] = never
) -> Iterator[End]:
    """Execute the jobs side by side, store the record of each, and yield how each ended as soon as it does.

    One that fails, diverges, ends early or stops leaves the others as they are alone. Where one changes what they
    share, those that are under way are made anew, each alone.
    """
    if len(jobs) == 1:
        yield make_run(jobs[0], place, report, asked)
        return
    left = {job.run_id: job for job in jobs}
    try:
        with one_thread():
            for run_id, end in _side_by_side(jobs, place, report, asked):
                del left[run_id]
                yield end
    except Spoilt as error:
        report(Noted(f"a stack of {len(left)} runs is given up, and each is made alone: {error}."))
        for run_id, job in left.items():
            distrust(place.results, place.run_name(run_id), f"run {run_id} was in a stack whose runs share {error}")
            yield make_run(job, place, report, asked)


def _side_by_side(
    jobs: Sequence[Job], place: Place, report: Callable[[Event], None], asked: Callable[[], bool]
) -> Iterator[tuple[str, End]]:
    """Yield the id and the end of each run; raises Spoilt where one changes what they share."""
    company = Company(len(jobs))
    fits: dict[str, Turns[End]] = {job.run_id: making(job, place, report, asked, Turn(company)) for job in jobs}
    with company:
        yield from interleaved(fits)
