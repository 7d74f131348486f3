"""What is wrong here, and what to do about it: installation, devices, data, cache, results, plug-ins."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.diagnosis.examination import examine
    from benchmark.diagnosis.finding import Finding

__all__ = ["Finding", "examine"]

_HOMES = {
    "Finding": "benchmark.diagnosis.finding",
    "examine": "benchmark.diagnosis.examination",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for, so that nothing heavy is imported for what nobody uses."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
