"""The html report of everything stored, and its pages."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.report.report import build_report

__all__ = ["build_report"]

_HOMES = {
    "build_report": "benchmark.report.report",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for, so that nothing heavy is imported for what nobody uses."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
