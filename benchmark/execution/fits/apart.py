"""Fits in a process of their own, which is thrown away: those of plug-ins, and of all methods when time is limited.

The process has the samples, and neither labels nor a way to them: snapshots go to the scorer on this side, and nothing
comes back. Whatever it does to itself, by exit or by signal, and however long it hangs, is an outcome of this one run.
"""

from __future__ import annotations

import math
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import UsageError, UserError, error_text
from benchmark.execution.events import Frequency
from benchmark.execution.fits.channel import Incoming, Message, packed, send, unpacked
from benchmark.execution.fits.copies import copies
from benchmark.execution.fits.fitting import Ending, failed
from benchmark.execution.fits.scoring import Scorer, Shown
from benchmark.execution.fits.signals import signals_wait
from benchmark.execution.fits.trainer import Task, measure_apart, train_apart
from benchmark.record import COUNTED
from benchmark.registry import METHODS, NETWORKS, LoadedData
from benchmark.spec import RunSpec
from benchmark.training.resume import Stopped

POLL_SECONDS = 0.2
START_SECONDS = 300.0
"""How long the process of a run may take to import what it needs, where its time is limited."""

LISTEN_SECONDS = 60.0
"""How long the process of a run may leave what it is told unread."""

SUITE = ("methods", "benchmark")
"""The packages whose methods and networks train in the process of the harness."""


class Lost(UserError):
    """The process of a run ended without a word; `how` says by what."""

    def __init__(self, run_id: str, how: str) -> None:
        super().__init__(f"the process of run {run_id} ended in the middle of it, {how}.")
        self.how = how


@dataclass(frozen=True)
class Apart:
    """How a run is made apart: where its checkpoints lie, how often they are saved, and how long it may take.

    `closed` are folders whose files the fit may not open. `asked` says whether the run is to stop, `note` is called
    with a sentence that costs no result.
    """

    results: Path
    run: str
    every: Frequency | None = None
    seconds: float | None = None
    closed: tuple[str, ...] = ()
    asked: Callable[[], bool] = lambda: False
    note: Callable[[str], None] = lambda text: None


def is_foreign(spec: RunSpec) -> bool:
    """Whether code of others trains in a run: its method, one that it starts from, or its network is a plug-in."""
    return any(module.partition(".")[0] not in SUITE for module in modules_of(spec))


def modules_of(spec: RunSpec) -> tuple[str, ...]:
    """Return the modules that register what trains in a run."""
    found: list[str] = []
    name = spec.method
    while name and len(found) < len(METHODS):
        found.append(METHODS.origin(name).module)
        name = getattr(METHODS[name], "pretrained_by", "")
    network = str(spec.params.get("network", ""))
    return (*found, *([NETWORKS.origin(network).module] if network in NETWORKS else ()))


def fitted_apart(
    task: Task, scorer: Scorer, apart: Apart, progress: Callable[[str, int, int], None] | None = None
) -> Ending:
    """Fit in a process of its own, and return how that ended; raises what `fitting.fitted` does.

    `Lost` where the process ends without a word.
    """
    with _process(train_apart, task) as child:
        return _Fit(child, len(scorer.x), scorer, apart, progress).followed(task.spec.run_id)


@contextmanager
def samples_file(x: np.ndarray) -> Iterator[Path]:
    """Give a file with the samples and nothing else: that from which they are mapped, or one for this time."""
    if isinstance(x, np.memmap) and x.filename is not None and _holds_all(Path(x.filename), x):
        yield Path(x.filename)
        return
    with tempfile.TemporaryDirectory(prefix="reclust-samples-") as folder:
        path = Path(folder) / "x.npy"
        np.save(path, np.ascontiguousarray(x), allow_pickle=False)
        yield path


def _holds_all(file: Path, x: np.memmap) -> bool:
    try:
        held = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return False
    return (held.shape, held.dtype, held.offset) == (x.shape, x.dtype, x.offset)


class _Fit:
    """A fit that is under way in another process."""

    def __init__(
        self, child: _Child, n: int, scorer: Scorer, apart: Apart, progress: Callable[[str, int, int], None] | None
    ) -> None:
        self.child, self.n, self.scorer, self.apart, self.progress = child, n, scorer, apart, progress
        self._fault: BaseException | None = None

    def followed(self, run_id: str) -> Ending:
        """Hear what the process says until the fit has ended."""
        limit, told = self.apart.seconds, False
        until = math.inf if limit is None else time.monotonic() + limit + START_SECONDS
        while time.monotonic() < until:
            if not told and self.apart.asked():
                told = True
                self.child.say(Message("stop"))
            try:
                message = self.child.heard(POLL_SECONDS)
                if message is not None and message.kind == "begun" and limit is not None:
                    until = time.monotonic() + limit
                ending = None if message is None else self._take(message)
            except (EOFError, ConnectionError):
                raise Lost(run_id, self.child.how_it_ended()) from None
            except (ValueError, OSError, KeyError, TypeError) as error:
                return failed(f"what the run says of itself cannot be recorded: {error_text(error)}")
            if ending is not None:
                return ending
        return failed(f"time: the run took longer than the {limit:g} s of --run-timeout, and was ended")

    def _take(self, message: Message) -> Ending | None:
        values = message.values
        if message.kind == "progress" and self.progress:
            self.progress(str(values["phase"]), int(values["step"]), int(values["total"]))
        elif message.kind == "note":
            self.apart.note(str(values["text"]))
        elif message.kind == "show":
            model = message.parts[1:3] if len(message.parts) == 3 else None
            self.scorer.show(Shown(**values, assignments=unpacked(message.parts[:1], self.n), model=model))
        elif message.kind == "seal":
            self.child.say(Message("sealed", {"text": self.scorer.seal()}))
        elif message.kind == "unseal":
            self.scorer.unseal(str(values["text"]))
            self.child.say(Message("unsealed"))
        elif message.kind == "stopped":
            raise Stopped
        elif message.kind == "refused":
            raise (UsageError if values["usage"] else UserError)(str(values["text"]))
        elif message.kind == "ended":
            return _ending(message, self.n)
        return None


def _ending(message: Message, n: int) -> Ending:
    from safetensors.torch import load

    values = dict(message.values)
    plain, weighs = dict(values.pop("values")), values.pop("weights")
    if "first_losses" in plain:
        plain["first_losses"] = tuple(plain["first_losses"])
    parts = list(message.parts)
    weights = load(parts.pop()) if weighs else None
    labels = unpacked(parts, n)
    if plain["status"] in COUNTED and labels is None:
        raise ValueError("it gave no assignments")
    return Ending(plain, labels, weights, **values)


class MeasuredApart:
    """Calls observers with the labels in yet another process, which no fit reaches; a context that ends it.

    `task`, which is to be set, gives the observers and the file of the samples. The process is started when it is first
    needed. It may take `seconds` for each call, None for any time.
    """

    task: Task

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self._stack = ExitStack()
        self._child: _Child | None = None

    def __enter__(self) -> MeasuredApart:
        """Begin without a process."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self._stack.close()

    def __call__(self, shown: Shown, data: LoadedData) -> Mapping[str, float]:
        """Return what the observers say; UserError where they raise or the process ends."""
        if self._child is None:
            self._child = self._stack.enter_context(_process(measure_apart, self.task, packed(data.y)[0]))
        values = {name: value for name, value in vars(shown).items() if name not in ("assignments", "model")}
        self._child.say(Message("measure", values, [*packed(shown.assignments), *shown.model]))
        until = math.inf if self.seconds is None else time.monotonic() + self.seconds + START_SECONDS
        try:
            while (answer := self._child.heard(POLL_SECONDS)) is None:
                if time.monotonic() > until:
                    raise UserError(f"the observers took longer than the {self.seconds:g} s of --run-timeout.")
        except (EOFError, OSError):
            raise UserError(f"the process of the observers ended, {self._child.how_it_ended()}.") from None
        if answer.kind != "measured":
            raise UserError(f"an observer failed: {answer.values.get('text')}.")
        return {str(name): float(value) for name, value in answer.values["found"].items()}


class _Child:
    """A process, and the pipe to it; neither what it says nor what it leaves unread holds this side up."""

    def __init__(self, process: Any, pipe: Any) -> None:
        self.process, self.pipe = process, pipe
        self._incoming = Incoming(pipe)
        os.set_blocking(pipe.fileno(), False)

    def say(self, message: Message) -> None:
        with suppress(OSError):
            send(self.pipe, message, LISTEN_SECONDS)

    def heard(self, seconds: float) -> Message | None:
        """Return the next message that is whole within `seconds`; EOFError where there is none, and none to come."""
        alive = self.process.is_alive()
        message = self._incoming.next(seconds)
        if message is None and not alive:  # others that it started may hold its end of the pipe
            raise EOFError
        return message

    def how_it_ended(self) -> str:
        self.process.join(5)
        code = self.process.exitcode
        if code == -signal.SIGKILL:
            return "killed by SIGKILL, as the system does where memory runs out"
        return f"by the signal {-code}" if code is not None and code < 0 else f"with the exit code {code}"


@contextmanager
def _process(target: Callable[..., None], *arguments: Any) -> Iterator[_Child]:
    """Start a process for one task, and end it with all that it started."""
    context = copies()
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, *arguments, dict(os.environ)))
    with signals_wait():
        process.start()
    theirs.close()
    try:
        yield _Child(process, ours)
    finally:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.join(5)  # its own processes may hold on to what says that it ended
        ours.close()
