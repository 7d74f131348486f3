"""Pure formulas: metrics, mismatch, selection over runs, comparison of methods, verdicts on published numbers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.measure.judgement import Judgement, enough, judge_runs
    from benchmark.measure.metrics import ari, clustering_accuracy, evaluate_clustering, nmi
    from benchmark.measure.mismatch import drift, matching, ofm, pair_drifts, purity, r_ofm
    from benchmark.measure.selection import bootstrap_best

__all__ = [
    "Judgement",
    "ari",
    "bootstrap_best",
    "clustering_accuracy",
    "drift",
    "enough",
    "evaluate_clustering",
    "judge_runs",
    "matching",
    "nmi",
    "ofm",
    "pair_drifts",
    "purity",
    "r_ofm",
]

_HOMES = {
    "Judgement": "benchmark.measure.judgement",
    "ari": "benchmark.measure.metrics",
    "bootstrap_best": "benchmark.measure.selection",
    "clustering_accuracy": "benchmark.measure.metrics",
    "drift": "benchmark.measure.mismatch",
    "enough": "benchmark.measure.judgement",
    "evaluate_clustering": "benchmark.measure.metrics",
    "judge_runs": "benchmark.measure.judgement",
    "matching": "benchmark.measure.mismatch",
    "nmi": "benchmark.measure.metrics",
    "ofm": "benchmark.measure.mismatch",
    "pair_drifts": "benchmark.measure.mismatch",
    "purity": "benchmark.measure.mismatch",
    "r_ofm": "benchmark.measure.mismatch",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for, so that nothing heavy is imported for what nobody uses."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
