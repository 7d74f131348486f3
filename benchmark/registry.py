"""Names to plug-ins, found with help for typing errors: methods, data sets, networks, observers, artefacts, metrics.

The suite itself knows no method and no data set. It loads the sibling packages ``methods`` and ``datasets``
and every installed entry point of the groups ``reclust.methods`` and ``reclust.datasets``; what they
register here is all there is.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar, runtime_checkable

from benchmark.errors import DataError, UsageError, UserError, did_you_mean

__all__ = ["ARTEFACTS", "DATASETS", "DERIVED", "METHODS", "NETWORKS", "OBSERVERS", "SIBLINGS", "Artefact", "DataError"]
__all__ += [
    "DataSource",
    "DataStatus",
    "DerivedMetric",
    "LoadedData",
    "Observer",
    "Registry",
    "UsageError",
    "UserError",
]
__all__ += [
    "check_siblings",
    "did_you_mean",
    "fill_when_asked",
    "load_plugins",
    "plugin_modules",
    "register_artefact",
    "register_dataset",
]
__all__ += ["register_derived", "register_method", "register_network", "register_observer"]

T = TypeVar("T")

SIBLINGS = ("methods", "datasets", "paper_tables")


@dataclass(frozen=True)
class Registered:
    """Where a plug-in is registered: the module that does it, and the name it gives."""

    module: str
    name: str


_ORIGINS: dict[tuple[str, str], Registered] = {}
"""Where each plug-in is registered, by kind and name."""


class _Awaited(dict[str, T]):
    """Plug-ins of one kind of which only the names are known, by the modules that register them.

    A module is imported when a plug-in of it is asked for; `fill` is called once, when anything is, to tell the names.
    """

    def __init__(self, fill: Callable[[], None], known: Mapping[str, T]) -> None:
        super().__init__(known)
        self.modules: Mapping[str, str] = {}
        self._fill: Callable[[], None] | None = fill

    def filled(self) -> None:
        """Have the names told."""
        if self._fill is not None:
            fill, self._fill = self._fill, None
            fill()

    def __missing__(self, name: str) -> T:
        self.filled()
        if name in self.modules:
            importlib.import_module(self.modules[name])
            if not dict.__contains__(self, name):  # what registers it is called from elsewhere
                load_plugins()
        if not dict.__contains__(self, name):
            raise KeyError(name)
        return dict.__getitem__(self, name)

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        self.filled()
        return dict.__contains__(self, name) or name in self.modules

    def __iter__(self) -> Iterator[str]:
        self.filled()
        return iter(dict.fromkeys((*self.modules, *dict.keys(self))))

    def __len__(self) -> int:
        return len(list(iter(self)))


class Registry(Mapping[str, T]):
    """A read-only mapping of names to plug-ins that answers a wrong name with the nearest right ones."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def origin(self, name: str) -> Registered:
        """Return where the plug-in `name` is registered."""
        entry = self[name]  # which may have to be imported first
        return _ORIGINS.get((self.kind, name)) or Registered(_origin(entry).rpartition(".")[0], name)

    def expect(self, modules: Mapping[str, str]) -> None:
        """Know names by the modules that register them, to be imported when their plug-ins are asked for."""
        if isinstance(self._entries, _Awaited):
            self._entries.modules = modules

    def add(self, name: str, entry: T, module: str = "") -> None:
        """Register `entry` as `name`, which `module` does; a second, different entry of that name is an error."""
        known = dict.get(self._entries, name)
        reloaded = isinstance(entry, type) and _origin(known) == _origin(entry)
        if known is not None and known != entry and not reloaded:
            raise UsageError(f"two {self.kind}s are named {name!r}: {_origin(known)} and {_origin(entry)}.")
        self._entries[name] = entry
        _ORIGINS[self.kind, name] = Registered(module or _origin(entry).rpartition(".")[0], name)

    def __getitem__(self, name: str) -> T:
        try:
            return self._entries[name]
        except KeyError:
            raise UsageError(did_you_mean(self.kind, name, self._entries)) from None

    def get(self, name: str, default: Any = None) -> Any:
        """Return the entry `name`, or `default` where there is none."""
        return self._entries.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)


def fill_when_asked(fill: Callable[[], None]) -> None:
    """Call `fill` when a registry is first asked for something, in place of importing all plug-ins now.

    It has the registries `expect` the names, or loads all plug-ins. Where some are registered already, the rest is
    loaded at once.
    """
    if any(dict.keys(registry._entries) for registry in (METHODS, DATASETS, NETWORKS)):
        load_plugins()
        return
    waiting = [fill]
    for registry in REGISTRIES:
        known = {name: dict.__getitem__(registry._entries, name) for name in dict.keys(registry._entries)}
        registry._entries = _Awaited(lambda: waiting.pop()() if waiting else None, known)


def _origin(entry: Any) -> str:
    target = entry if hasattr(entry, "__qualname__") else type(entry)
    return f"{target.__module__}.{target.__qualname__}"


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


D = TypeVar("D", bound=DataSource)


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
    """

    name: str
    about: str
    leaves: tuple[str, ...]
    made_by: Callable[..., Mapping[str, float]] | str

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
    the record has no such number. `about` is one line.
    """

    name: str
    about: str
    compute: Callable[[Any, Any], float] | str

    def __call__(self, record: Any, metric: Any) -> float:
        """Return the number of a record."""
        return float(_function(self.compute)(record, metric))


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


METHODS: Registry[Any] = Registry("method")
DATASETS: Registry[DataSource] = Registry("data set")
NETWORKS: Registry[Any] = Registry("network")
OBSERVERS: Registry[Observer] = Registry("observer")
DERIVED: Registry[DerivedMetric] = Registry("derived metric")
ARTEFACTS: Registry[Artefact] = Registry("artefact")


REGISTRIES: tuple[Registry[Any], ...] = (METHODS, DATASETS, NETWORKS, OBSERVERS, DERIVED, ARTEFACTS)


def register_method(name: str) -> Callable[[T], T]:
    """Register a clusterer class under `name`."""
    return _registrar(METHODS, name, _caller(), set_name=True)


def register_network(name: str) -> Callable[[T], T]:
    """Register a network builder under `name`."""
    return _registrar(NETWORKS, name, _caller())


def register_dataset(source: D) -> D:
    """Register a data source under its own name, and return it."""
    DATASETS.add(source.name, source, _caller())
    return source


def register_observer(observer: Observer) -> Observer:
    """Register an observer under its own name, and return it."""
    OBSERVERS.add(observer.name, observer, _caller())
    return observer


def register_derived(metric: DerivedMetric) -> DerivedMetric:
    """Register a derived metric under its own name, and return it."""
    DERIVED.add(metric.name, metric, _caller())
    return metric


def register_artefact(artefact: Artefact) -> Artefact:
    """Register an artefact under its own name, and return it."""
    ARTEFACTS.add(artefact.name, artefact, _caller())
    return artefact


def _caller() -> str:
    """Return the name of the module whose code called the function that asks."""
    return str(sys._getframe(2).f_globals["__name__"])


def _registrar(registry: Registry[Any], name: str, module: str, set_name: bool = False) -> Callable[[T], T]:
    def register(entry: T) -> T:
        if set_name:
            entry.method_name = name  # type: ignore[attr-defined]
        registry.add(name, entry, module)
        return entry

    return register


def check_siblings() -> None:
    """Raise UsageError unless methods, datasets and paper_tables resolve beside this package.

    ``python -m`` puts the working directory first on the path, and other packages use these names too.
    """
    home = Path(__file__).resolve().parent.parent
    for name in SIBLINGS:
        spec = importlib.util.find_spec(name)
        places = [Path(p).resolve() for p in (spec.submodule_search_locations or ())] if spec else []
        if home / name not in places[:1]:
            found = places[0] if places else "nowhere"
            raise UsageError(
                f"the package {name!r} must lie beside benchmark, at {home / name}, but Python finds it at {found}: "
                "run from another folder, or in an environment without the other package."
            )


def plugin_modules(package: ModuleType) -> Iterator[str]:
    """Yield the names of the modules below a package, folder by folder; folders named `parts` hold no plug-ins."""
    for module in pkgutil.iter_modules(package.__path__):
        if module.name == "parts":
            continue
        name = f"{package.__name__}.{module.name}"
        yield name
        if module.ispkg:
            yield from plugin_modules(importlib.import_module(name))


def load_plugins() -> None:
    """Import every module of the sibling packages and every entry point, so that they register themselves."""
    check_siblings()
    for name in ("methods", "datasets"):
        package = importlib.import_module(name)
        for module in plugin_modules(package):
            importlib.import_module(module)
        for entry_point in importlib.metadata.entry_points(group=f"reclust.{name}"):
            entry_point.load()
