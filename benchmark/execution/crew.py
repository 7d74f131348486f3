"""A crew: worker processes that make runs, each with a pipe of its own, so that the death of one touches no other.

Workers ignore the interrupt of a terminal, which reaches them too: the driver tells them to stop at a checkpoint. So
does SIGTERM. They end when the driver is gone.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from benchmark.execution.events import Died, Event, Finished, Job, Noted, Paused, Place
from benchmark.execution.fits.copies import copies
from benchmark.execution.fits.device import LOST, DeviceLost
from benchmark.execution.fits.signals import say_nothing_on_stdout, signals_come, signals_wait
from benchmark.execution.gpus import least_used, sees
from benchmark.registry import load_plugins

_STOP = "stop"


class _Worker:
    """A process and what it is at; `gpu` is all that it sees of CUDA, where given."""

    pipe: Connection[Any, Any]

    def __init__(self, place: Place, gpu: str | None = None) -> None:
        # What uses a GPU is no copy: libraries of CUDA may look at the environment when they are imported.
        context = copies() if place.device == "cpu" else multiprocessing.get_context("spawn")
        self.gpu = gpu
        self.pipe, theirs = context.Pipe()
        with signals_wait(), sees(gpu):
            self.process = context.Process(target=_serve, args=(theirs, place, dict(os.environ)))
            self.process.start()
        theirs.close()
        self.jobs: dict[str, Job] = {}
        self.spoilt = False

    def send(self, message: tuple[Job, ...] | str) -> None:
        try:
            self.pipe.send(message)
        except OSError:  # it is dead, which is seen when its end of the pipe is read
            return

    def how_it_died(self) -> str:
        self.process.join(5)
        code = self.process.exitcode
        if code == LOST:
            return "as its GPU no longer answered"
        if code == -signal.SIGKILL:
            return "killed by SIGKILL, as the system does where memory runs out"
        return f"by the signal {-code}" if code is not None and code < 0 else f"with the exit code {code}"


class Crew:
    """Up to `workers` processes, started when they are first needed; a context that ends them.

    They are spread over `gpus`, values of CUDA_VISIBLE_DEVICES of one GPU each, where there are any.
    """

    def __init__(self, place: Place, workers: int, gpus: Sequence[str] = ()) -> None:
        self.place, self.workers, self.gpus = place, workers, gpus
        self._crew: list[_Worker] = []

    def __enter__(self) -> Crew:
        """Begin without a process."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers, also those in the middle of a run: all that is on disk is whole at any time."""
        for worker in self._crew:
            worker.process.kill()
        for worker in self._crew:
            worker.process.join()
            worker.pipe.close()
        self._crew = []

    @property
    def busy(self) -> int:
        """How many workers are at a run or a stack of runs."""
        return sum(bool(worker.jobs) for worker in self._crew)

    @property
    def free(self) -> int:
        """How many more runs, or stacks of them, can be begun."""
        return self.workers - self.busy

    def begin(self, *jobs: Job) -> None:
        """Give a run, or a stack of runs, to a worker that has none."""
        idle = [worker for worker in self._crew if not worker.jobs]
        if not idle:
            gpu = least_used(self.gpus, [worker.gpu or "" for worker in self._crew]) if self.gpus else None
            idle.append(_Worker(self.place, gpu))
            self._crew += idle
        idle[0].jobs = {job.run_id: job for job in jobs}
        idle[0].send(jobs)

    def stop(self) -> None:
        """Ask all workers to stop at a checkpoint."""
        for worker in self._crew:
            worker.send(_STOP)

    def events(self, seconds: float) -> Iterator[Event | Died]:
        """Yield what the workers say within `seconds`, or until something was said."""
        said: Any = wait([worker.pipe for worker in self._crew], seconds)
        for worker in [worker for worker in self._crew if worker.pipe in said]:
            try:
                event = worker.pipe.recv()
            except (EOFError, OSError):
                self._crew.remove(worker)
                worker.pipe.close()
                how = worker.how_it_died() if worker.jobs else ""
                yield from [Died(job, how) for job in worker.jobs.values()]
                continue
            if isinstance(event, Finished | Paused | Died):
                worker.jobs.pop(event.job.run_id, None)
                worker.spoilt |= isinstance(event, Finished) and event.spoilt
            if worker.spoilt and not worker.jobs:
                self._replace(worker)
            yield event

    def _replace(self, worker: _Worker) -> None:
        """End a worker whose process a run has spoilt; another is started when it is needed."""
        self._crew.remove(worker)
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()


def _serve(pipe: Connection[Any, Any], place: Place, variables: Mapping[str, str]) -> None:
    """Make the runs that come through a pipe, until it is closed."""
    os.environ.clear()
    os.environ.update(variables)
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signals_come()
    say_nothing_on_stdout()
    jobs: queue.SimpleQueue[tuple[Job, ...]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, jobs, stop), daemon=True).start()
    from benchmark.execution.stacks import make_stack  # with torch, which the driver does without

    load_plugins(quiet=True)
    while not stop.is_set():
        try:
            stack = jobs.get(timeout=0.5)
        except queue.Empty:
            continue
        try:
            for end in make_stack(stack, place, pipe.send, stop.is_set):
                pipe.send(end)
        except DeviceLost as error:
            pipe.send(Noted(f"a worker's GPU no longer answers it ({error.how}): its runs are made again, one by one."))
            os._exit(LOST)


def _listen(pipe: Connection[Any, Any], jobs: queue.SimpleQueue[tuple[Job, ...]], stop: threading.Event) -> None:
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):  # the driver is gone
            os._exit(1)
        if message == _STOP:
            stop.set()
        else:
            jobs.put(message)
