"""One specification to one record, and who makes it: in this process, in workers, on a cluster."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.execution.events import Finished, Job, Place
    from benchmark.execution.executors import processes, serial

__all__ = ["Finished", "Job", "Place", "processes", "serial"]

_HOMES = {
    "Finished": "benchmark.execution.events",
    "Job": "benchmark.execution.events",
    "Place": "benchmark.execution.events",
    "processes": "benchmark.execution.executors",
    "serial": "benchmark.execution.executors",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for, so that nothing heavy is imported for what nobody uses."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
