"""The agenda of a command: which of its runs comes next, while other commands work on the same results folder.

A run is handed out when its parents are stored, nobody has stored it meanwhile, and no other process claims it. Runs
that others claim are looked at again until they are stored, or their claims are dead and taken over.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence

from benchmark.execution.events import Finished, Job, Noted, Place, never
from benchmark.files.faults import sentence
from benchmark.files.locks import Claims
from benchmark.record import RunRecord
from benchmark.store.rows import kind_here
from benchmark.store.run_files import record_stamp
from benchmark.store.run_folders import RunFolders, run_names

ATTEMPTS = 2
"""How often a run is tried again when its worker process dies."""

LOOK_AGAIN_SECONDS = 1.0
"""How long a run that another process claims is left in peace."""


Size = int | Callable[[Job, float | None], int]
"""How many runs are made side by side: so many, or what a function says of a run and the MiB of one like it."""


class Agenda:
    """The runs of a plan, in order; none is handed out after the monotonic time `until`, or when `asked` to stop.

    A run whose worker died is handed out up to `attempts` times more: `alone`, after all others and with no other under
    way, or else (on a cluster, where that would leave many machines idle) as the last of those that wait.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        place: Place,
        claims: Claims,
        until: float | None = None,
        asked: Callable[[], bool] = never,
        *,
        alone: bool = True,
        attempts: int = ATTEMPTS,
    ) -> None:
        self.place, self.claims, self.until, self.asked = place, claims, until, asked
        self.alone, self.attempts = alone, attempts
        self.lone: Job | None = None
        self._kind = kind_here(place.device)
        self._ready = OrderedDict((job.run_id, job) for job in jobs)
        self._stacks: dict[str, list[Job]] | None = None
        self._peaks: dict[str, float] = {}
        self._jobs = tuple(jobs)
        self._blocked: dict[str, list[Job]] = {}
        self._suspects: deque[Job] = deque()
        self._elsewhere: list[Job] = []
        self._looked = 0.0
        self._settled: list[Finished] = []
        self._notes: list[Noted] = []
        self._told: set[str] = set()
        self._open = {job.run_id for job in jobs}
        self._unmade: set[str] = set()
        self._deaths: Counter[str] = Counter()
        self._before = {job.run_id: self._stamp(job) for job in jobs if place.replace or job.replace}

    @property
    def over(self) -> bool:
        """Whether no run is to be begun any more."""
        return self.asked() or (self.until is not None and time.monotonic() >= self.until)

    @property
    def open(self) -> bool:
        """Whether there are runs that did not end, or whose end was not told."""
        return bool(self._open or self._settled)

    def take(self, *, idle: bool = True) -> Job | None:
        """Return the next run to make, claimed, or None where none can be begun now.

        Where suspects go `alone`, one is only handed out when no other run is left and the crew is `idle`: it is the
        `lone` one until it ends, so that it can take no other down with it.
        """
        if self.over or self.lone:
            return None
        if job := self._next():
            return job
        if self._elsewhere and time.monotonic() - self._looked >= LOOK_AGAIN_SECONDS:
            self._looked = time.monotonic()
            again, self._elsewhere = self._elsewhere, []
            self._ready.update((job.run_id, job) for job in again)
            if job := self._next():
                return job
        while idle and self._suspects:
            job = self._suspects.popleft()
            if self._begins(job):
                self.lone = job
                return job
        if idle and not self._suspects:
            self._note_waiting()
        return None

    def take_stack(self, size: Size, stackable: Callable[[Job], bool], *, idle: bool = True) -> tuple[Job, ...]:
        """Return the next runs to make, each claimed: one, or up to `size` that differ in the replicate only.

        A `size` that is not a number says it for a run, given the MiB that one like it took alone (None: not known).
        The first is that of `take`; others join it in the order of the plan where they are ready, too, and `stackable`.
        None is a run whose worker died before. Nothing is returned where none can be begun now.
        """
        first = self.take(idle=idle)
        if first is None:
            return ()
        if size == 1 or first == self.lone or self._deaths[first.run_id] or not stackable(first):
            return (first,)
        most = size if isinstance(size, int) else size(first, self._peaks.get(first.stack))
        stack = [first]
        for job in self._alike(first):
            if len(stack) >= most:
                break
            if job.run_id in self._ready and not self._deaths[job.run_id]:
                job = self._ready.pop(job.run_id)
                stack += [job] * self._begins(job)
        return tuple(stack)

    def _alike(self, job: Job) -> Sequence[Job]:
        """Return all runs of the plan that differ from one in nothing but the replicate, in order."""
        if self._stacks is None:
            self._stacks = {}
            for each in self._jobs:
                self._stacks.setdefault(each.stack, []).append(each)
        return self._stacks.get(job.stack, ())

    def _next(self) -> Job | None:
        """Return the first of the runs that are ready and can be begun, claimed."""
        while self._ready:
            _, job = self._ready.popitem(last=False)
            if self._begins(job):
                return job
        return None

    def _come_next(self, jobs: Sequence[Job]) -> None:
        """Put runs before those that are ready."""
        for job in reversed(jobs):
            self._ready[job.run_id] = job
            self._ready.move_to_end(job.run_id, last=False)

    def settled(self) -> Iterator[Finished | Noted]:
        """Yield the runs that ended without being made here, and for whom this command waits, each once."""
        while self._notes:
            yield self._notes.pop(0)
        while self._settled:
            yield self._settled.pop(0)

    def ended(self, end: Finished) -> None:
        """Note how a run ended, and release those that waited for it."""
        run_id = end.job.run_id
        self._release(end.job)
        self._open.discard(run_id)
        if end.record is None:
            self._unmade.add(run_id)
        elif not end.elsewhere:
            self._peaks[end.job.stack] = max(end.record.peak_mib, self._peaks.get(end.job.stack, 0.0))
        self._come_next(self._blocked.pop(run_id, []))

    def again(self, job: Job) -> None:
        """Note that a run was broken off through no fault of its own: it comes next."""
        self._release(job)
        self._come_next([job])

    def died(self, job: Job, how: str) -> None:
        """Note that the worker of a run died: it is tried again later, and given up after `attempts` of these."""
        run_id = job.run_id
        self._release(job)
        self._deaths[run_id] += 1
        if self._deaths[run_id] <= self.attempts:
            if self.alone:
                self._suspects.append(job)
            else:
                self._ready[run_id] = job
            return
        text = f"the worker process of run {run_id} died {self._deaths[run_id]} times, {how}."
        self._settle(Finished(job, None, text))

    def _begins(self, job: Job) -> bool:
        """Claim a run and return True; else put it where it belongs."""
        name = self.place.run_name(job.run_id)
        if lost := [parent for parent in job.parents if parent in self._unmade]:
            self._settle(Finished(job, None, f"run {lost[0]}, which it starts from, gave no result."))
        elif missing := [parent for parent in job.parents if parent in self._open]:
            self._blocked.setdefault(missing[0], []).append(job)
        elif not self._made(job):
            try:
                if not self.claims.take(name):
                    self._elsewhere.append(job)
                elif not self._made(job):  # as another may have stored it just before it gave its claim back
                    return True
            except OSError as error:
                self._settle(Finished(job, None, sentence(error)))
        return False

    def _made(self, job: Job) -> bool:
        """Return whether the run is stored now, and settle it then."""
        record = self._stored(job)
        if record is not None:
            self._settle(Finished(job, record, elsewhere=True))
        return record is not None

    def _stored(self, job: Job) -> RunRecord | None:
        run_id = job.run_id
        stamp = self._stamp(job)
        if not stamp or stamp == self._before.get(run_id):
            return None
        folders = RunFolders(self.place.results / "runs")
        key = folders.of_device(run_id, self._kind)
        return folders.record(key) if key else None

    def _stamp(self, job: Job) -> tuple[tuple[int, int], ...]:
        """Return when the records of a run were written; nothing where there are none."""
        folders = (self.place.results / "runs" / name for name in run_names(job.run_id, self._kind))
        return tuple(stamp for folder in folders if (stamp := record_stamp(folder)) is not None)

    def _note_waiting(self) -> None:
        """Note the processes that have all that is left, unless it was said before."""
        for job in self._elsewhere:
            who = self.claims.holder(self.place.run_name(job.run_id))
            if who and who not in self._told:
                self._told.add(who)
                self._notes.append(Noted(f"waiting for {who} (run {job.run_id})."))

    def _settle(self, end: Finished) -> None:
        self._settled.append(end)
        self.ended(end)

    def _release(self, job: Job) -> None:
        self.claims.give_back(self.place.run_name(job.run_id))
        if self.lone == job:
            self.lone = None
