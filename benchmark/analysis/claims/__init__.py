"""What papers say in words, and whether stored runs and the papers' own tables bear it out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.analysis.claims.answers import ClaimAnswer, ClaimAnswers, claims_of
    from benchmark.analysis.claims.compared import Compared
    from benchmark.analysis.claims.figures import FigureAnswer
    from benchmark.analysis.claims.printed import OwnTable, Printed

__all__ = [
    "ClaimAnswer",
    "ClaimAnswers",
    "Compared",
    "FigureAnswer",
    "OwnTable",
    "Printed",
    "claims_of",
]

_HOMES = {
    "ClaimAnswer": "benchmark.analysis.claims.answers",
    "ClaimAnswers": "benchmark.analysis.claims.answers",
    "Compared": "benchmark.analysis.claims.compared",
    "FigureAnswer": "benchmark.analysis.claims.figures",
    "OwnTable": "benchmark.analysis.claims.printed",
    "Printed": "benchmark.analysis.claims.printed",
    "claims_of": "benchmark.analysis.claims.answers",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for, so that nothing heavy is imported for what nobody uses."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
