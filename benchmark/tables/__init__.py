"""Tables drawn as Markdown, LaTeX and CSV. Nothing here trains or reads stored runs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.tables.render import FORMATS, STYLES, Style, TableFormat, render_table, render_tables

__all__ = ["FORMATS", "STYLES", "Style", "TableFormat", "render_table", "render_tables"]

_HOMES = {
    "FORMATS": "benchmark.tables.render",
    "STYLES": "benchmark.tables.render",
    "Style": "benchmark.tables.render",
    "TableFormat": "benchmark.tables.render",
    "render_table": "benchmark.tables.render",
    "render_tables": "benchmark.tables.render",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for, so that nothing heavy is imported for what nobody uses."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
