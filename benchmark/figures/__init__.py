"""What a figure is, and the kit it is drawn with; what the papers' drawings import."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.figures.declared import (
        CellTraces,
        Drawing,
        Embedding,
        Figure,
        NoNumbers,
        Numbers,
        Scores,
        ShownImages,
        Trace,
        facts_of,
        facts_of_embeddings,
    )
    from benchmark.figures.kit import COLOURS, DASHES, MARKERS, arrow, blank, box, canvas, classes, curve, legend
    from benchmark.measure.statements import Answer

__all__ = [
    "COLOURS",
    "DASHES",
    "MARKERS",
    "Answer",
    "CellTraces",
    "Drawing",
    "Embedding",
    "Figure",
    "NoNumbers",
    "Numbers",
    "Scores",
    "ShownImages",
    "Trace",
    "arrow",
    "blank",
    "box",
    "canvas",
    "classes",
    "curve",
    "facts_of",
    "facts_of_embeddings",
    "legend",
]

_HOMES = {
    "Answer": "benchmark.measure.statements",
    "COLOURS": "benchmark.figures.kit",
    "CellTraces": "benchmark.figures.declared",
    "DASHES": "benchmark.figures.kit",
    "Drawing": "benchmark.figures.declared",
    "Embedding": "benchmark.figures.declared",
    "Figure": "benchmark.figures.declared",
    "MARKERS": "benchmark.figures.kit",
    "NoNumbers": "benchmark.figures.declared",
    "Numbers": "benchmark.figures.declared",
    "Scores": "benchmark.figures.declared",
    "ShownImages": "benchmark.figures.declared",
    "Trace": "benchmark.figures.declared",
    "arrow": "benchmark.figures.kit",
    "blank": "benchmark.figures.kit",
    "box": "benchmark.figures.kit",
    "canvas": "benchmark.figures.kit",
    "classes": "benchmark.figures.kit",
    "curve": "benchmark.figures.kit",
    "facts_of": "benchmark.figures.declared",
    "facts_of_embeddings": "benchmark.figures.declared",
    "legend": "benchmark.figures.kit",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for, so that nothing heavy is imported for what nobody uses."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
