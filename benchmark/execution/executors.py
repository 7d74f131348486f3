"""Executors: carry out planned runs, one after another or in several processes, as a stream of events.

Every run uses one thread on the CPU, whichever executor makes it, so that its numbers do not depend on the executor.
The process that makes a run also stores it, so that killing the driver loses nothing that was finished.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from benchmark.execution.agenda import LOOK_AGAIN_SECONDS, Agenda, Size
from benchmark.execution.crew import Crew
from benchmark.execution.events import Died, Event, Finished, Job, Noted, Paused, Place, never
from benchmark.execution.shared_data import shared_folder
from benchmark.files.locks import Claims

POLL_SECONDS = 0.25
GRACE_SECONDS = 30.0
"""How long workers that were asked to stop may take to reach a checkpoint."""


def serial(
    jobs: Sequence[Job],
    place: Place,
    until: float | None = None,
    asked: Callable[[], bool] = never,
    stack: Size = 1,
) -> Iterator[Event]:
    """Make the runs in this process, up to `stack` side by side; start none after the monotonic time `until`.

    Plug-ins train in a process beside it, which is thrown away after each run. When it is `asked` to stop, the run
    under way stops at a checkpoint.
    """
    with Claims(place.results) as claims:
        agenda = Agenda(jobs, place, claims, until, asked)
        while agenda.open:
            taken = agenda.take_stack(stack, partial(_stackable, place=place))
            yield from agenda.settled()
            if taken:
                yield from _made_here(taken, agenda, place, asked)
            elif agenda.over:
                return
            elif agenda.open:
                time.sleep(LOOK_AGAIN_SECONDS)


def _made_here(jobs: Sequence[Job], agenda: Agenda, place: Place, asked: Callable[[], bool]) -> Iterator[Event]:
    from benchmark.execution.stacks import make_stack

    events: list[Event] = []
    for end in make_stack(jobs, place, events.append, asked):
        yield from events
        events.clear()
        if isinstance(end, Died):
            agenda.died(end.job, end.how)
            continue
        if isinstance(end, Finished):
            agenda.ended(end)
        yield end


def _stackable(job: Job, place: Place) -> bool:
    """Whether a run can be one of a stack; who asks imports torch, which a driver of workers does not need."""
    from benchmark.execution.stacks import stackable

    return stackable(job, place)


def processes(
    jobs: Sequence[Job],
    place: Place,
    workers: int,
    until: float | None = None,
    asked: Callable[[], bool] = never,
    gpus: Sequence[str] = (),
    stack: Size = 1,
) -> Iterator[Event]:
    """Make the runs in `workers` processes, spread over `gpus`; start none after the monotonic time `until`.

    Each process makes up to `stack` runs side by side that differ in the replicate only.

    When a worker dies (as when the system kills it for memory), its run is made again, alone, from its last checkpoint;
    after `ATTEMPTS` more deaths it is given up with an error. When it is `asked` to stop, the workers stop at a
    checkpoint; those that reach none within `GRACE_SECONDS` are ended.
    """
    with (
        Claims(place.results) as claims,
        shared_folder() as shared,
        Crew(replace(place, shared=shared), workers, gpus) as crew,
    ):
        agenda = Agenda(jobs, place, claims, until, asked)
        can = partial(_stackable, place=place)
        grace: float | None = None
        while agenda.open:
            while crew.free and (taken := agenda.take_stack(stack, can, idle=not crew.busy)):
                crew.begin(*taken)
            yield from agenda.settled()
            if grace is None and asked():
                grace = time.monotonic() + GRACE_SECONDS
                crew.stop()
                yield Noted("Stopping at the next checkpoints; a second signal (Ctrl-C) stops at once.")
            if (agenda.over and not crew.busy) or (grace is not None and time.monotonic() > grace):
                return
            if crew.busy:
                yield from _told(crew, agenda)
            elif agenda.open:
                time.sleep(POLL_SECONDS)


def _told(crew: Crew, agenda: Agenda) -> Iterator[Event]:
    """Yield what a crew says, and note on the agenda how runs ended."""
    for event in crew.events(POLL_SECONDS):
        if isinstance(event, Died):
            agenda.died(event.job, event.how)
            continue
        if isinstance(event, Finished):
            agenda.ended(event)
        elif isinstance(event, Paused):
            agenda.again(event.job)
        yield event
