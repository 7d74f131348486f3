"""Which functions and classes the names of the harness and of its libraries stand for, so that none is replaced."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from benchmark.registry import REGISTRIES

OWN = ("benchmark", "methods", "datasets")

LIBRARIES = (
    *("builtins", "math", "json", "hashlib", "os", "random", "time", "torch", "torch.autograd", "torch.linalg"),
    *("torch.nn", "torch.nn.functional", "torch.nn.init", "torch.optim", "torch.optim.adam", "torch.optim.sgd"),
    *("torch.random", "numpy", "numpy.linalg", "numpy.random", "scipy.linalg", "scipy.optimize", "scipy.sparse"),
    *("sklearn.cluster", "sklearn.decomposition", "sklearn.metrics", "sklearn.utils.validation"),
)
"""Modules of libraries whose functions training, methods and metrics call."""

_MEMBERS = (FunctionType, property, classmethod, staticmethod)


class Bindings:
    """What every name stands for now; `changed` says which stand for something else later."""

    def __init__(self) -> None:
        self._modules = dict(_watched())
        self._names: list[tuple[Any, str, dict[str, Any]]] = []
        self._codes: dict[FunctionType, tuple[Any, Any, Any]] = {}
        for name, module in self._modules.items():
            own = name.partition(".")[0] in OWN
            self._add(module, name, {key: value for key, value in vars(module).items() if callable(value)}, own)
            for value in list(vars(module).values()) if own else ():
                if isinstance(value, type) and value.__module__ == name:
                    self._add(value, f"{name}.{value.__name__}", _members(value), own)
        self._entries = [(registry, dict(dict.items(registry._entries))) for registry in REGISTRIES]

    def _add(self, owner: Any, called: str, kept: dict[str, Any], own: bool) -> None:
        self._names.append((owner, called, kept))
        for value in kept.values() if own else ():
            if isinstance(value, FunctionType):
                self._codes[value] = _parts(value)

    def changed(self) -> list[str]:
        """Return the names that were replaced, after putting them back."""
        found = []
        for name, module in self._modules.items():
            if sys.modules.get(name) is not module:
                sys.modules[name] = module
                found.append(f"the module {name}")
        for owner, called, kept in self._names:
            now = vars(owner)
            for name, value in kept.items():
                if (new := now.get(name)) is not value and not _of_library(called, new):
                    setattr(owner, name, value)
                    found.append(f"{called}.{name}")
        for function, parts in self._codes.items():
            if _parts(function) != parts:
                function.__code__, function.__defaults__, function.__kwdefaults__ = parts
                found.append(f"{function.__module__}.{function.__qualname__}")
        for registry, entries in self._entries:
            for name, entry in entries.items():
                if dict.get(registry._entries, name) is not entry:
                    dict.__setitem__(registry._entries, name, entry)
                    found.append(f"the registered {registry.kind} {name}")
        return found


def _of_library(called: str, value: Any) -> bool:
    """Whether a library has replaced a function of its own, as torch wraps some when its compiler is imported."""
    top = called.partition(".")[0]
    home = getattr(sys.modules.get(top), "__file__", None)
    if top in OWN or home is None or not isinstance(value, FunctionType):
        return False
    return Path(value.__code__.co_filename).is_relative_to(Path(home).parent)


def _parts(function: FunctionType) -> tuple[Any, Any, Any]:
    return function.__code__, function.__defaults__, function.__kwdefaults__


def _watched() -> Iterator[tuple[str, ModuleType]]:
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and (name.partition(".")[0] in OWN or name in LIBRARIES):
            yield name, module


def _members(cls: type) -> dict[str, Any]:
    return {name: value for name, value in vars(cls).items() if isinstance(value, _MEMBERS)}
