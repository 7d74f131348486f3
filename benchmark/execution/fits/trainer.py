"""The process in which one run trains: it has samples and a specification, and says what becomes of them."""

from __future__ import annotations

import importlib
import os
import pickle
import queue
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from safetensors.torch import load, save

from benchmark.errors import UsageError, UserError, error_line, error_text
from benchmark.execution.checkpoints import RunCheckpoints
from benchmark.execution.events import Frequency
from benchmark.execution.fits.channel import Incoming, Message, packed, send, unpacked
from benchmark.execution.fits.fitting import Ending, Samples, failed, fitted
from benchmark.execution.fits.scoring import Shown, labelled_measure
from benchmark.execution.fits.signals import leave_to_the_driver, say_nothing_on_stdout
from benchmark.execution.fits.threads import one_thread
from benchmark.registry import OBSERVERS, LoadedData, fit_under_way
from benchmark.spec import RunSpec
from benchmark.training.resume import Stopped

Pipe: TypeAlias = "Connection[Any, Any]"

_CODE = (".py", ".pyc", ".so", ".pth", ".dll", ".dylib")


@dataclass(frozen=True)
class Task:
    """What a process is given: nothing of the labels.

    `modules` register what trains and observes. `samples` is the file of the samples,
    `lengths` those of sequences as int64. `parent` are the weights to start
    from, as safetensors. `identity` is what a checkpoint must agree with; without `every` there are none. `closed` are
    folders whose files may not be opened.
    """

    spec: RunSpec
    device: str
    modules: tuple[str, ...]
    observers: tuple[str, ...]
    n_clusters: int
    digest: str
    results: Path
    run: str
    identity: Mapping[str, str]
    every: Frequency | None = None
    closed: tuple[str, ...] = ()
    parent: bytes | None = None
    samples: str = ""
    lengths: bytes | None = None


def train_apart(pipe: Pipe, task: Task, variables: Mapping[str, str]) -> None:
    """Make the fit of a task, and say how it ended."""
    asked = _begin(pipe, variables)
    try:
        ending = _fit(pipe, task, asked)
    except Stopped:
        last = Message("stopped")
    except UserError as error:
        last = Message("refused", {"text": error_line(str(error)), "usage": isinstance(error, UsageError)})
    else:
        last = _message(ending)
    with suppress(ConnectionError):  # the other side is gone: nobody is to be told, and nothing to be printed
        send(pipe, last)


def measure_apart(pipe: Pipe, task: Task, labels: bytes, variables: Mapping[str, str]) -> None:
    """Call observers with the labels, for a run that trains in another process; say what they return."""
    asked = _begin(pipe, variables)
    _import(task.modules)
    y, x = np.frombuffer(labels, dtype="<i8").astype(np.int64), np.load(task.samples, mmap_mode="c", allow_pickle=False)
    measure = labelled_measure(task.spec, [OBSERVERS[name] for name in task.observers])
    data = _Labelled(x, y, task.spec.data.name, task.n_clusters, task.digest)
    with one_thread():
        while True:
            message = asked.wait("measure")
            try:
                assignments, (model, state) = unpacked(message.parts[:1], len(x)), message.parts[1:]
                torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))
                shown = Shown(**message.values, assignments=assignments, model=pickle.loads(model))
                found = {str(name): float(value) for name, value in measure(shown, data).items()}
                send(pipe, Message("measured", {"found": found}))
            except Exception as error:
                send(pipe, Message("wrong", {"text": error_text(error)}))


@dataclass(frozen=True)
class _Labelled:
    """The data of a run as observers with labels see them."""

    x: np.ndarray
    y: np.ndarray
    name: str
    n_clusters: int
    digest: str

    def prepare(self, preprocess: tuple[str, ...], samples: int | None) -> LoadedData:
        """Return the data themselves: they are prepared."""
        return self


class _Asked:
    """What the other side says: that the run is to stop, and answers. The process ends when the other side is gone."""

    def __init__(self, pipe: Pipe) -> None:
        self.stop = threading.Event()
        self._pipe = pipe
        self._said: queue.SimpleQueue[Message] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def wait(self, kind: str) -> Message:
        """Return the next message of a kind."""
        while (message := self._said.get()).kind != kind:
            continue
        return message

    def _listen(self) -> None:
        incoming = Incoming(self._pipe)
        while True:
            try:
                message = incoming.next()
            except (EOFError, OSError, ValueError):
                os._exit(1)
            if message is None:
                continue
            if message.kind == "stop":
                self.stop.set()
            else:
                self._said.put(message)


class _Scoring:
    """The scorer, as this side sees it: something to show evaluations to."""

    def __init__(self, pipe: Pipe, asked: _Asked) -> None:
        self._pipe, self._asked = pipe, asked

    def show(self, shown: Shown) -> None:
        """Show an evaluation."""
        values = {name: value for name, value in vars(shown).items() if name not in ("assignments", "model")}
        parts = packed(shown.assignments)
        if shown.model is not None:
            parts += [pickle.dumps(shown.model), torch.get_rng_state().numpy().tobytes()]
        send(self._pipe, Message("show", values, parts))

    def seal(self) -> str:
        """Return the history so far, sealed."""
        send(self._pipe, Message("seal"))
        return str(self._asked.wait("sealed").values["text"])

    def unseal(self, text: str) -> None:
        """Have the other side go on from a history."""
        send(self._pipe, Message("unseal", {"text": text}))
        self._asked.wait("unsealed")


def _begin(pipe: Pipe, variables: Mapping[str, str]) -> _Asked:
    leave_to_the_driver()
    say_nothing_on_stdout()
    os.environ.clear()
    os.environ.update(variables)
    return _Asked(pipe)


def _fit(pipe: Pipe, task: Task, asked: _Asked) -> Ending:
    # Before a plug-in is imported: what it loads then, its fit would have.
    _close(task.closed, (str(task.results), task.samples))
    try:
        with fit_under_way():
            _import(task.modules)
    except BaseException as error:
        return failed(f"what the run needs cannot be imported in a process of its own: {error_text(error)}")

    def progress(phase: str, step: int, total: int) -> None:
        send(pipe, Message("progress", {"phase": phase, "step": step, "total": total}))

    def note(text: str) -> None:
        send(pipe, Message("note", {"text": text}))

    x = np.load(task.samples, mmap_mode="c", allow_pickle=False)  # what is written stays in this process
    lengths = None if task.lengths is None else np.frombuffer(task.lengths, dtype=np.int64)
    kept = RunCheckpoints(task.results, task.run, task.identity, task.every, asked.stop.is_set, note)
    send(pipe, Message("begun"))
    with one_thread():
        return fitted(
            task.spec,
            Samples(x, task.spec.data.name, task.n_clusters, task.digest, lengths),
            _Scoring(pipe, asked),
            device=task.device,
            measures=[OBSERVERS[name] for name in task.observers],
            progress=progress,
            checkpoints=kept,
            parent=None if task.parent is None else load(task.parent),
            shared=False,
        )


def _import(modules: tuple[str, ...]) -> None:
    for module in modules:
        importlib.import_module(module)


def _close(folders: tuple[str, ...], but: tuple[str, ...]) -> None:
    """Refuse to open files in `folders` from now on, other than code and what lies in `but`; there is no way back."""
    closed = tuple(os.path.realpath(folder) for folder in folders)
    free = tuple(os.path.realpath(path) for path in but)

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if _lies_in(path, closed) and not _lies_in(path, free) and not path.endswith(_CODE):
            raise PermissionError(f"a fit opens no file of a data set, as labels are there: {path}")

    sys.addaudithook(heard)


def _lies_in(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


def _message(ending: Ending) -> Message:
    plain = {"streams": list(ending.streams), "peak_mib": ending.peak_mib}
    plain |= {"seconds": ending.seconds, "resumed": ending.resumed, "numeric": ending.numeric}
    parts = packed(ending.labels) + ([] if ending.weights is None else [save(dict(ending.weights))])
    values = {**plain, "values": dict(ending.values), "weights": ending.weights is not None}
    return Message("ended", values, parts)
