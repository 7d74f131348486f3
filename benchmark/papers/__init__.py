"""A paper as data: its protocol, tables, ledger and published numbers, read and validated."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.papers.paper import Paper, load_paper, paper_ids

__all__ = ["Paper", "load_paper", "paper_ids"]

_HOMES = {
    "Paper": "benchmark.papers.paper",
    "load_paper": "benchmark.papers.paper",
    "paper_ids": "benchmark.papers.paper",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for, so that nothing heavy is imported for what nobody uses."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
