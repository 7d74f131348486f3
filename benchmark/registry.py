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
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from benchmark.errors import DataError, UsageError, UserError, did_you_mean, error_text
from benchmark.plugins import Artefact, DataSource, DataStatus, DerivedMetric, LoadedData, Observer, off_stdout

__all__ = ["ARTEFACTS", "DATASETS", "DERIVED", "METHODS", "NETWORKS", "OBSERVERS", "REGISTRIES", "SIBLINGS"]
__all__ += ["Artefact", "DataError", "DataSource", "DataStatus", "DerivedMetric", "LoadedData", "Observer", "Registry"]
__all__ += ["UsageError", "UserError", "check_name", "check_siblings", "did_you_mean", "fill_when_asked"]
__all__ += ["fit_under_way", "load_plugins", "plugin_modules", "refuse_in_fit"]
__all__ += ["register_artefact", "register_dataset", "register_derived", "register_method"]
__all__ += ["register_network", "register_observer"]

T = TypeVar("T")

SIBLINGS = ("methods", "datasets", "paper_tables")

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""What a name may be: it becomes the name of files and pages, an option of commands, and a cell of tables."""


def check_name(kind: str, name: object) -> None:
    """Raise UsageError where `name` is no name for a thing of some kind."""
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        shown = ascii(name) if len(ascii(name)) <= 80 else f"{ascii(name)[:80]}..."
        raise UsageError(
            f"the {kind} name {shown} is refused: use 1 to 64 of a-z, 0-9 and '._-', a letter or digit first."
        )


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
            try:
                with off_stdout():
                    importlib.import_module(self.modules[name])
            except Exception as error:
                text = f"{self.modules[name]}, which registers {name!r}, cannot be imported: {error_text(error)}"
                raise UserError(text) from None
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
        """Register `entry` as `name`, which `module` does.

        A second, different entry of that name is an error, as is what is no name (`check_name`).
        """
        check_name(self.kind, name)
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


_fits: list[object] = []


@contextmanager
def fit_under_way() -> Iterator[None]:
    """Refuse data sets meanwhile: a fit has its samples, and labels are none of its business."""
    mark = object()
    _fits.append(mark)
    try:
        yield
    finally:
        _fits.remove(mark)


def refuse_in_fit(name: str) -> None:
    """Raise DataError where a fit of the harness asks for the data set `name`."""
    if _fits:
        raise DataError(f"a fit may not load the data set {name!r}: it is given its samples, and no labels.")


class _DataSets(Registry[DataSource]):
    """Data sets, which no fit is given."""

    def __getitem__(self, name: str) -> DataSource:
        refuse_in_fit(name)
        return super().__getitem__(name)


def _origin(entry: Any) -> str:
    target = entry if hasattr(entry, "__qualname__") else type(entry)
    return f"{target.__module__}.{target.__qualname__}"


D = TypeVar("D", bound=DataSource)

METHODS: Registry[Any] = Registry("method")
DATASETS: Registry[DataSource] = _DataSets("data set")
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
    check_name(registry.kind, name)

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
        if module.ispkg and name in sys.modules:
            yield from plugin_modules(sys.modules[name])


BROKEN: dict[str, str] = {}
"""By plug-in that could not be imported, the sentence that says why."""


def load_plugins(*, quiet: bool = False) -> None:
    """Import every module of the sibling packages and every entry point, so that they register themselves.

    One that fails is told once, in a line on standard error unless `quiet`, and left out. What they print goes there.
    """
    check_siblings()
    for name in ("methods", "datasets"):
        load_package(importlib.import_module(name), quiet=quiet)
        for entry_point in importlib.metadata.entry_points(group=f"reclust.{name}"):
            _load(entry_point.name, entry_point.load, quiet)


def load_package(package: ModuleType, *, quiet: bool = False) -> None:
    """Import every module of a package of plug-ins."""
    for module in plugin_modules(package):
        _load(module, partial(importlib.import_module, module), quiet)


def _load(name: str, load: Callable[[], object], quiet: bool) -> None:
    try:
        with off_stdout():
            load()
    except (Exception, SystemExit, GeneratorExit) as error:
        broken = {name: f"the plug-in {name!r} is left out, as it cannot be imported: {error_text(error)}"}
        BROKEN.update(broken) if quiet else tell_broken(broken)


def tell_broken(broken: Mapping[str, str]) -> None:
    """Warn of plug-ins that could not be imported, of each once."""
    for name, text in broken.items():
        if BROKEN.get(name) != text:
            BROKEN[name] = text
            sys.stderr.write(f"warning: {text}\n")
