"""The data of a run, prepared; what is known of a data set, its pictures and its export."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.data.prepared import load_prepared, prepared_data

__all__ = ["load_prepared", "prepared_data"]

_HOMES = {
    "load_prepared": "benchmark.data.prepared",
    "prepared_data": "benchmark.data.prepared",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for, so that nothing heavy is imported for what nobody uses."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
