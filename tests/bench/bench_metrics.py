"""Metrics of 70 000 samples, and the exact bootstrap of one cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmark.measure import bootstrap_best, evaluate_clustering


@pytest.mark.parametrize("k", [10, 100])
def test_evaluate_clustering(benchmark: Any, k: int) -> None:
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, k, 70_000)
    y_pred = np.where(rng.random(70_000) < 0.6, (y_true + 1) % k, rng.integers(0, k, 70_000))
    benchmark.pedantic(evaluate_clustering, (y_true, y_pred), rounds=100, warmup_rounds=5)


def test_bootstrap_best_of_20_runs(benchmark: Any) -> None:
    losses, values = np.random.default_rng(0).random((2, 20))
    benchmark.pedantic(bootstrap_best, (losses, values), rounds=100, iterations=10, warmup_rounds=5)
