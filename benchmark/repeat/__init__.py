"""Stored runs made again: checked, renewed, or looked into for what was not kept."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.repeat.check import check_cells
    from benchmark.repeat.embedding import embed_best

__all__ = ["check_cells", "embed_best"]

_HOMES = {
    "check_cells": "benchmark.repeat.check",
    "embed_best": "benchmark.repeat.embedding",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for, so that nothing heavy is imported for what nobody uses."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
