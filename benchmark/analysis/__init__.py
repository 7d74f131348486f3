"""Stored records to values: tables, explanations, comparisons, effects, figures, failures. Nothing trains."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.analysis.compare import compare_methods
    from benchmark.analysis.explain import explain_cell, find_cell
    from benchmark.analysis.figures import draw_figure, load_figures
    from benchmark.analysis.results import load_results
    from benchmark.analysis.tables import stored_tables

__all__ = [
    "compare_methods",
    "draw_figure",
    "explain_cell",
    "find_cell",
    "load_figures",
    "load_results",
    "stored_tables",
]

_HOMES = {
    "compare_methods": "benchmark.analysis.compare",
    "draw_figure": "benchmark.analysis.figures",
    "explain_cell": "benchmark.analysis.explain",
    "find_cell": "benchmark.analysis.explain",
    "load_figures": "benchmark.analysis.figures",
    "load_results": "benchmark.analysis.results",
    "stored_tables": "benchmark.analysis.tables",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for, so that nothing heavy is imported for what nobody uses."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
