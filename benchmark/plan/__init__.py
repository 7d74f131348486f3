"""Tables to runs: which cells a request covers, which specifications they need, which of these are missing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.plan.cells import PlannedCell, plan_cells
    from benchmark.plan.request import Request
    from benchmark.plan.runs import Plan, PlannedRun, plan_runs

__all__ = ["Plan", "PlannedCell", "PlannedRun", "Request", "plan_cells", "plan_runs"]

_HOMES = {
    "Plan": "benchmark.plan.runs",
    "PlannedCell": "benchmark.plan.cells",
    "PlannedRun": "benchmark.plan.runs",
    "Request": "benchmark.plan.request",
    "plan_cells": "benchmark.plan.cells",
    "plan_runs": "benchmark.plan.runs",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for, so that nothing heavy is imported for what nobody uses."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
