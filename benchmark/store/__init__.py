"""Records on disk: run folders of this machine, tracked rows, merging, and renewals of the code's digest."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.store.store import Records, Store

__all__ = ["Records", "Store"]

_HOMES = {
    "Records": "benchmark.store.store",
    "Store": "benchmark.store.store",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for, so that nothing heavy is imported for what nobody uses."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
