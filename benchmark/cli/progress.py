"""Progress of a plan for people: one live view of all workers in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from benchmark.printable import printable

if TYPE_CHECKING:
    from benchmark.execution.events import Event, Finished
    from benchmark.plan.runs import Plan, PlannedRun
    from benchmark.record import RunRecord


@dataclass
class Tally:
    """How many runs ended how."""

    by_status: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the counts as one line."""
        parts = [f"{count} {status}" for status, count in sorted(self.by_status.items())]
        return ", ".join(parts) or "no run made"


class Clock:
    """The time that is left, from measured times of runs of the same kind and the progress of those that run.

    The pace of a run is that of the steps that were made here: it may have gone on from a checkpoint.
    """

    def __init__(self, runs: Iterable[PlannedRun], workers: int) -> None:
        from benchmark.plan.estimate import RunTimes

        self.open = {run.spec.run_id: run for run in runs}
        self.workers = workers
        self.estimate = RunTimes(())
        self.share: dict[str, float] = {}
        self.first: dict[str, tuple[float, float]] = {}  # when a run first said how much of it is done, and how much

    def started_now(self, run_id: str) -> None:
        """Note that a run began, perhaps anew."""
        self.share.pop(run_id, None)
        self.first.pop(run_id, None)

    def reached(self, run_id: str, share: float) -> None:
        """Note how much of a run, or of its phase, is done, from 0 to 1."""
        if share < self.share.get(run_id, 0.0):  # the next phase of the run
            self.first.pop(run_id)
        self.first.setdefault(run_id, (time.monotonic(), share))
        self.share[run_id] = share

    def finished(self, run_id: str, record: RunRecord | None = None) -> None:
        """Note that a run ended, and learn from its record, which counts what it took before a checkpoint, too."""
        from benchmark.record import COUNTED

        run = self.open.pop(run_id, None)
        if run is not None and record is not None and record.status in COUNTED:
            self.estimate.add(run.spec, record.seconds)

    def seconds_left(self) -> float | None:
        """Return the seconds until all is done, or None where nothing is known yet."""
        known = {run_id: s for run_id, run in self.open.items() if (s := self._left(run_id, run)) is not None}
        if not known:
            return None
        mean = sum(known.values()) / len(known)
        return (sum(known.values()) + mean * (len(self.open) - len(known))) / max(1, min(self.workers, len(self.open)))

    def _left(self, run_id: str, run: PlannedRun) -> float | None:
        share = self.share.get(run_id, 0.0)
        since, at_first = self.first.get(run_id, (0.0, share))
        if share > at_first:
            return (time.monotonic() - since) * (1 - share) / (share - at_first)
        learned = self.estimate.seconds(run.spec)
        return run.seconds if learned is None else learned * (1 - share)


def duration(seconds: float | None) -> str:
    """Return a time span for people.

    >>> duration(42), duration(200), duration(7500), duration(None)
    ('42 s', '3 min', '2.1 h', 'unknown')
    """
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def follow(events: Iterable[Event], plan: Plan, workers: int, console: Console) -> Tally:
    """Show the events of a plan until they end, and return how the runs ended."""
    view = _Live(plan, workers, console) if console.is_terminal else _Lines(plan, workers, console)
    with view:
        for event in events:
            view.show(event)
    return view.tally


class _Lines:
    """A line for every run that ends."""

    def __init__(self, plan: Plan, workers: int, console: Console) -> None:
        self.console, self.total = console, len(plan.runs)
        self.clock = Clock(plan.runs, workers)
        self.tally = Tally()
        self.ended = 0

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End."""

    def show(self, event: Event) -> None:
        """Take note of an event, and print a line if a run ended."""
        from benchmark.execution.events import Finished, Noted, Progress, Started

        if isinstance(event, Started):
            self.clock.started_now(event.run_id)
        elif isinstance(event, Progress):
            self.clock.reached(event.run_id, event.step / max(1, event.total))
        elif isinstance(event, Noted):
            self.console.print(event.text, markup=False, highlight=False)
        elif isinstance(event, Finished):
            self._end(event)

    def _end(self, event: Finished) -> None:
        self.ended += 1
        self.clock.finished(event.job.spec.run_id, event.record)
        status = event.record.status if event.record else "not made"
        self.tally.by_status[status] = self.tally.by_status.get(status, 0) + 1
        if event.error:
            self.tally.errors.append(event.error)
        left = duration(self.clock.seconds_left()) if self.clock.open else "0 s"
        self.console.print(
            f"[{self.ended}/{self.total}] {ended_line(event)}; left: {left}", markup=False, highlight=False
        )


class _Live(_Lines):
    """Bars that redraw: one for the plan, one for every run in progress."""

    def __init__(self, plan: Plan, workers: int, console: Console) -> None:
        super().__init__(plan, workers, console)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        self.bars = Bars(*columns, console=console)
        self.names = {run.spec.run_id: printable(run_name(run)) for run in plan.runs}
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> None:
        """Begin to draw."""
        self.bars.start()
        self.whole = self.bars.add_task("all runs", total=self.total, note="")

    def __exit__(self, *_: object) -> None:
        """Stop drawing."""
        self.bars.stop()

    def show(self, event: Event) -> None:
        """Take note of an event and redraw."""
        from benchmark.execution.events import Finished, Progress

        if isinstance(event, Progress):
            if event.run_id not in self.tasks:
                self.tasks[event.run_id] = self.bars.add_task(
                    self.names[event.run_id], total=event.total, note=printable(event.phase)
                )
            self.bars.update(self.tasks[event.run_id], completed=event.step, total=event.total)
        elif isinstance(event, Finished) and event.job.spec.run_id in self.tasks:
            self.bars.remove_task(self.tasks.pop(event.job.spec.run_id))
        super().show(event)
        note = f"left: {duration(self.clock.seconds_left())}" if self.clock.open else "done"
        self.bars.update(self.whole, completed=self.ended, note=note)


def run_name(run: PlannedRun) -> str:
    """Return the name of a run for people."""
    setting = f" {run.cell.setting}" if run.cell.setting else ""
    return f"{run.spec.method} {run.spec.data.name}{setting} r={run.spec.replicate} ({run.cell.reading})"


def ended_line(event: Finished) -> str:
    """Return one line on how a run ended."""
    spec = event.job.spec
    setting = f" {event.job.context.setting}" if event.job.context.setting else ""
    name = f"{spec.method} {spec.data.name}{setting} r={spec.replicate} ({event.job.context.reading})"
    record = event.record
    if record is None:
        return f"{name}: not made: {event.error}"
    if record.status in ("failed", "diverged"):
        return f"{name}: {record.status}: {record.error}"
    acc, seconds = 100 * record.metrics["acc"], duration(record.seconds)
    made = ", made by another command" if event.elsewhere else ""
    return f"{name}: {record.status}, ACC {acc:.1f} %, loss {record.loss:.4g}, {seconds}{made}"
