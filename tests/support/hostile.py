"""A method that does what none should: to its process, the harness and the labels, and with what it leaves.

`deed` names what it does before it gives the labels 0, 1, 2, 0, ... It is imported by processes of runs, too.
"""

from __future__ import annotations

import builtins
import gc
import inspect
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmark.registry import DATASETS, register_method
from benchmark.training import Clusterer, ClusterParams, Outcome, Snapshot
from benchmark.training.resume import Stopped


class HostileParams(ClusterParams):
    deed: str = ""
    folder: str = ""


CHANGES: dict[str, Callable[[np.ndarray], object]] = {
    "samples": lambda x: x.__imul__(0.5),
    "default dtype": lambda x: torch.set_default_dtype(torch.float64),
    "grad mode": lambda x: torch.set_grad_enabled(False),
    "mkldnn": lambda x: setattr(torch.backends.mkldnn, "enabled", False),
    "denormal": lambda x: torch.set_flush_denormal(True),
    "matmul precision": lambda x: torch.set_float32_matmul_precision("medium"),
    "numeric mode of cuDNN": lambda x: setattr(torch.backends.cudnn, "benchmark", True),
    "deterministic mode": lambda x: torch.use_deterministic_algorithms(True),
    "threads": lambda x: torch.set_num_threads(2),
    "default device": lambda x: torch.set_default_device("meta"),
    "hooks of all modules": lambda x: torch.nn.modules.module.register_module_forward_hook(lambda *a: a[2] * 2),
    "handling of errors": lambda x: np.seterr(all="raise"),
    "working directory": lambda x: os.chdir("/"),
    "OMP_NUM_THREADS": lambda x: os.environ.update(OMP_NUM_THREADS="7"),
    "signal handlers": lambda x: signal.signal(signal.SIGTERM, lambda *a: None),
    "torch.nn.functional.relu": lambda x: setattr(torch.nn.functional, "relu", torch.sigmoid),
    "benchmark.measure.metrics.evaluate_clustering": lambda x: setattr(
        sys.modules["benchmark.measure.metrics"], "evaluate_clustering", lambda *a: {"acc": 1.0, "nmi": 1.0}
    ),
    "benchmark.training.loop._Loop._evaluate": lambda x: setattr(
        sys.modules["benchmark.training.loop"]._Loop._evaluate, "__code__", (lambda self: None).__code__
    ),
    "registered method k-means": lambda x: sys.modules["benchmark.registry"].METHODS._entries.update(
        {"k-means": Hostile}
    ),
    "builtins.sum": lambda x: setattr(builtins, "sum", max),
}
"""Changes of what runs share, by a part of the reason that names them."""


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def _raise(error: BaseException) -> None:
    raise error


ERRORS: dict[str, BaseException] = {
    "SystemExit: 0": SystemExit(0),
    "GeneratorExit": GeneratorExit(),
    "KeyboardInterrupt": KeyboardInterrupt(),
    "Stopped": Stopped(),
    "Unspeakable: its text cannot be made (RuntimeError)": Unspeakable(),
    "RuntimeError: \\udcff\\x00": RuntimeError("\udcff\0"),
    "ValueError: " + "long" * 10: ValueError("long" * 75_000),
    "RecursionError": RecursionError("too deep"),
}
"""Errors that it raises, by the beginning of the reason in the record."""

OUTCOMES: dict[str, Outcome] = {
    "the outcome's epochs is 1.5": Outcome(1.0, 1.0, epochs=1.5),  # type: ignore[arg-type]
    "the outcome's steps is -3": Outcome(1.0, 1.0, steps=-3),
    "the outcome's losses['x'] is 'text'": Outcome(1.0, 1.0, {"x": "text"}),  # type: ignore[dict-item]
    "the outcome's loss is 'low'": Outcome("low", 1.0),  # type: ignore[arg-type]
    "TypeError": Outcome(None, 1.0),  # type: ignore[arg-type]
    "AttributeError": "no outcome",  # type: ignore[dict-item]
}
"""Outcomes that are none, by a part of the reason in the record."""


def arrays(thing: Any, depth: int = 4, seen: set[int] | None = None) -> Iterator[np.ndarray]:
    """Yield the arrays that attributes, items, closures and defaults of a thing lead to."""
    seen = set() if seen is None else seen
    if id(thing) in seen or depth < 0:
        return
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        yield thing
        return
    if isinstance(thing, str | bytes | int | float | type(None)) or inspect.ismodule(thing):
        return
    if isinstance(thing, dict):
        inner = list(thing.values())
    elif isinstance(thing, list | tuple | set | frozenset):
        inner = list(thing)
    else:
        inner = list(getattr(thing, "__dict__", {}).values())
        inner += [cell.cell_contents for cell in _cells(thing) if _full(cell)]
        inner += [_got(thing, name) for name in ("__self__", "__func__", "args", "keywords", "gi_frame", "y")]
    for part in inner:
        yield from arrays(part, depth - 1, seen)


def _got(thing: Any, name: str) -> Any:
    try:
        return getattr(thing, name, None)
    except Exception:
        return None


def _cells(thing: Any) -> tuple[Any, ...]:
    found = _got(thing, "__closure__")
    return found if isinstance(found, tuple) else ()


def _full(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _by_frames(run: Any) -> Iterator[np.ndarray]:
    for frame in inspect.stack():
        yield from arrays(dict(frame.frame.f_locals), 6)


def _by_garbage(run: Any) -> Iterator[np.ndarray]:
    for thing in gc.get_objects():
        if isinstance(thing, dict | list | tuple) and not isinstance(thing, type(sys.modules)):
            yield from (part for part in list(thing.values() if isinstance(thing, dict) else thing) if _is_array(part))


def _is_array(thing: Any) -> bool:
    return isinstance(thing, np.ndarray)


def _by_loading(run: Any) -> Iterator[np.ndarray]:
    import datasets

    yield datasets.load_dataset("digits").y[:200]


def _by_registry(run: Any) -> Iterator[np.ndarray]:
    yield DATASETS["digits"].load().y[:200]


def _by_source(run: Any) -> Iterator[np.ndarray]:
    from datasets.digits import DIGITS

    yield DIGITS.load().prepare((), 200).y


def _by_preparing(run: Any) -> Iterator[np.ndarray]:
    from benchmark.data.prepared import load_prepared, prepared_data

    for frame in inspect.stack():
        spec = frame.frame.f_locals.get("spec")
        if spec is not None:
            yield prepared_data(spec, None).y
            yield load_prepared(spec.data, None).y


def _by_library(run: Any) -> Iterator[np.ndarray]:
    from sklearn.datasets import load_digits

    yield load_digits().target


def _by_oracle(run: Any) -> Iterator[np.ndarray]:
    """Show assignments, and look for the metrics that come back."""
    guess = np.zeros(200, dtype=np.int64)
    run.observers[0](Snapshot("p", 0, 0, 0.0, {}, guess))
    if any("acc" in str(part) for part in (run.observers[0].memory(), vars(run.observers[0]))):
        raise AssertionError("the observer tells metrics")
    yield from ()


def _pipe() -> Any:
    """Return the pipe of the process in which a fit is apart."""
    return next(frame.frame.f_locals["pipe"] for frame in inspect.stack() if "pipe" in frame.frame.f_locals)


PEEKS: dict[str, Callable[[Any], Iterator[np.ndarray]]] = {
    "attributes": lambda run: arrays(run, 7),
    "frames": _by_frames,
    "garbage": _by_garbage,
    "load_dataset": _by_loading,
    "registry": _by_registry,
    "source": _by_source,
    "preparing": _by_preparing,
    "library": _by_library,
    "oracle": _by_oracle,
}
"""Ways to labels."""


def peeked(deed: str, run: Any, n: int) -> np.ndarray | None:
    """Return what looks like labels: integers of ten values, one for each sample."""
    for found in PEEKS[deed](run):
        if found.dtype.kind in "iu" and found.ndim == 1 and len(found) >= n and len(np.unique(found)) == 10:
            return found[:n]
    return None


@register_method("hostile")
class Hostile(Clusterer[HostileParams]):
    """See above."""

    Params = HostileParams

    def cluster(self, x: np.ndarray, params: HostileParams, context: Any) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Do the deed."""
        deed, labels = params.deed, np.arange(len(x)) % 3
        outcome = Outcome(1.0, 1.0)
        if deed in CHANGES:
            CHANGES[deed](x)
        elif deed in ERRORS:
            _raise(ERRORS[deed])
        elif deed in OUTCOMES:
            outcome = OUTCOMES[deed]
        elif deed in PEEKS:
            found = peeked(deed, context, len(x))
            labels = labels if found is None else found.astype(np.int64)
        elif deed:
            getattr(self, deed)(params)
        return labels, x.reshape(len(x), -1), outcome

    def hang(self, params: HostileParams) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(params.folder, "pids").write_text(f"{os.getpid()} {child.pid}")
        while True:
            time.sleep(60)

    def leave(self, params: HostileParams) -> None:
        os._exit(0)

    def half(self, params: HostileParams) -> None:
        """Say half a message and no more, the first time."""
        if not Path(params.folder, "pids").exists():
            os.write(_pipe().fileno(), (1000).to_bytes(8, "big") + b'{"kind": "show"')
            Path(params.folder, "pids").write_text(str(os.getpid()))
            time.sleep(600)

    def heirs(self, params: HostileParams) -> None:
        """Leave the pipe to a process of its own, and end."""
        if os.fork():
            os._exit(0)
        with suppress(OSError):
            os.setsid()
        with Path(params.folder, "pids").open("a") as file:
            file.write(f"{os.getpid()} ")
        time.sleep(600)

    def chatter(self, params: HostileParams) -> None:
        print("a word from the method")
        os.write(1, b"and from C\n")


@register_method("weightless")
class Weightless(Hostile):
    """Others are said to start from it, but it leaves no network."""


@register_method("heir")
class Heir(Hostile):
    """Starts from one that leaves no network."""

    pretrained_by = "weightless"

    def steps(self, x: np.ndarray, params: HostileParams, context: Any) -> Any:
        """Take nothing over."""
        yield from ()
        return self.cluster(x, params, context)


class Tied(nn.Module):
    """Two layers that share their weights."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(size, size), nn.Linear(size, size)
        self.decoder.weight = self.encoder.weight


@register_method("tied")
class TiedMethod(Hostile):
    """Leaves a network whose layers share weights; others start from it."""

    def cluster(self, x: np.ndarray, params: HostileParams, context: Any) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Leave the network."""
        self.model_ = Tied(4)
        return super().cluster(x, params, context)


@register_method("tied-heir")
class TiedHeir(Hostile):
    """Starts from the weights that two layers share."""

    pretrained_by = "tied"

    def steps(self, x: np.ndarray, params: HostileParams, context: Any) -> Any:
        """Take the weights over."""
        model = Tied(4)
        model.load_state_dict(dict(context.parent))
        yield from ()
        return self.cluster(x, params, context)


NAMES = ("hostile", "weightless", "heir", "tied", "tied-heir")
