"""What plug-ins are besides methods and networks, which are classes: data sources, observers, metrics, artefacts."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from benchmark.errors import UserError


@dataclass(frozen=True)
class DataStatus:
    """Where the files of a data set are: `state` is ready, missing or broken; `detail` one sentence."""

    state: str
    detail: str
    path: Path | None = None


@runtime_checkable
class LoadedData(Protocol):
    """What a data set gives the harness: samples, labels, and a way to prepare them as a protocol asks."""

    @property
    def x(self) -> Any: ...
    @property
    def y(self) -> Any: ...
    @property
    def name(self) -> str: ...
    @property
    def n_clusters(self) -> int: ...
    @property
    def digest(self) -> str: ...

    def prepare(self, preprocess: tuple[str, ...], samples: int | None) -> LoadedData:
        """Return the uniform label-free subset of at most `samples` samples, preprocessed step by step."""
        ...


@runtime_checkable
class DataSource(Protocol):
    """A registered data set: declared facts, and the verbs load, status, fetch and verify.

    `digest` identifies the parsed arrays. `embedded` sources need no file. `stand_in_for` names the data
    set that this one replaces where that one cannot be had, or is None.
    """

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def n_samples(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def n_clusters(self) -> int: ...
    @property
    def licence(self) -> str: ...
    @property
    def citation(self) -> str: ...
    @property
    def embedded(self) -> bool: ...
    @property
    def stand_in_for(self) -> str | None: ...

    def load(self, data_dir: Path | str | None = None) -> LoadedData: ...
    def status(self, data_dir: Path | str | None = None) -> DataStatus: ...
    def fetch(self, data_dir: Path | str | None = None) -> Path: ...
    def verify(self, data_dir: Path | str | None = None) -> DataStatus: ...


@contextmanager
def off_stdout() -> Iterator[None]:
    """Send what is printed meanwhile, also by libraries in C, to standard error: standard output is the command's."""
    try:
        sys.stdout.flush()
        kept = os.dup(1)
    except (OSError, ValueError, AttributeError):  # there is none
        yield
        return
    try:
        with suppress(OSError):
            os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _function(made_by: Callable[..., Any] | str) -> Callable[..., Any]:
    """Return a function, which may be given as "module:name" and is then imported only now."""
    if callable(made_by):
        return made_by
    module, _, name = made_by.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


@dataclass(frozen=True)
class Observer:
    """What can be recorded at every evaluation beside losses and metrics: ``run --record NAME``.

    It is called with a snapshot, the estimator and the data, and returns numbers by name, each of which begins with one
    of `leaves`. An observer is no part of a run's identity: it gets copies, and a run with it has the same weights and
    losses. `made_by` is the function, or "module:function", imported when the first run is observed: what only reads
    records imports no torch. `about` is one line.

    The side that trains has no labels: there `data` has samples, and asking for `data.y` is an error. One that needs
    them says `labels`: it is called by the scorer, with a copy of the network, an estimator that is not fitted, and no
    gradients.
    """

    name: str
    about: str
    leaves: tuple[str, ...]
    made_by: Callable[..., Mapping[str, float]] | str
    labels: bool = False

    def __call__(self, snapshot: Any, estimator: Any, data: LoadedData) -> Mapping[str, float]:
        """Return what to record of a snapshot; UserError where a name begins otherwise than declared."""
        found: Mapping[str, float] = _function(self.made_by)(snapshot, estimator, data)
        if other := [name for name in found if not name.startswith(self.leaves)]:
            raise UserError(f"the observer {self.name} left {other[0]!r}, which begins with none of its {self.leaves}.")
        return found

    def saw(self, names: Iterable[str]) -> bool:
        """Whether something with one of `names` was left by it."""
        return any(name.startswith(self.leaves) for name in names)


@dataclass(frozen=True)
class DerivedMetric:
    """A number of a run that is computed from its record when a table is drawn: the column of a metric.

    `compute` is called with the record and the rule of the metric, or is "module:function"; it raises NotMeasured where
    the record has no such number. `about` is one line. A metric `with_parent` is also given the record of the run that
    this one starts from, None where it starts from none.
    """

    name: str
    about: str
    compute: Callable[..., float] | str
    with_parent: bool = False

    def __call__(self, record: Any, metric: Any, parent: Any = None) -> float:
        """Return the number of a record."""
        given = (record, metric, parent) if self.with_parent else (record, metric)
        return float(_function(self.compute)(*given))


@dataclass(frozen=True)
class Artefact:
    """What is made of a stored run beside its record, in one small tracked file below results/stored/<paper>/`folder`.

    `file` names it, of a run id, the options and an epoch of the last phase (None: the end of the run). `make` turns
    what the run shows then (`benchmark.repeat.artefacts.Shown`) and the options into its bytes; `read` turns its bytes
    into what figures use. `make` may be "module:function": what only reads imports no torch. `about` is one line,
    `command` the command that makes it, for those who miss it: its options are --NAME VALUE.
    """

    name: str
    about: str
    folder: str
    file: Callable[[str, Mapping[str, Any], int | None], str]
    read: Callable[[bytes], Any]
    make: Callable[[Any, Mapping[str, Any]], bytes] | str
    command: str

    def made(self, shown: Any, options: Mapping[str, Any]) -> bytes:
        """Return the file of what a run shows."""
        data: bytes = _function(self.make)(shown, options)
        return data
