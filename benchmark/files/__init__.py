"""Files that processes share: written whole, owned, locked, set aside where they are damaged."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.files.locks import Claims
    from benchmark.files.writing import write_changed, write_synced

__all__ = ["Claims", "write_changed", "write_synced"]

_HOMES = {
    "Claims": "benchmark.files.locks",
    "write_changed": "benchmark.files.writing",
    "write_synced": "benchmark.files.writing",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for, so that nothing heavy is imported for what nobody uses."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
