"""Ties: numbers that rounding alone parts are equal, all others are not."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.measure.selection import SELECTIONS, selection_probabilities
from benchmark.measure.ties import levels, tied


@pytest.mark.parametrize("n", [240, 10_000, 70_000])
def test_counts_over_n_tie_exactly_where_the_counts_do(n):
    rng = np.random.default_rng(n)
    counts = rng.integers(n - 20, n, 300)
    units = rng.choice([1.0, 1 + 2**-52, 1 - 2**-53], 300)
    np.testing.assert_array_equal(levels(100 * counts / n * units), np.unique(counts, return_inverse=True)[1])


def test_differences_tie_by_the_scale_of_what_they_are_differences_of():
    first, second = 77.40 - 77.38, 70.02 - 70.0
    assert first != second
    assert tied(first, second, scale=77.4) and not tied(0.02, 0.03, scale=77.4)
    assert levels([first, second, 0.03], scale=77.4).tolist() == [0, 0, 1]


def test_nothing_and_zeros_have_levels():
    assert levels([]).tolist() == []
    assert levels([0.0, 0.0, -1e-300]).tolist() == [1, 1, 0]


def test_runs_whose_losses_differ_by_rounding_are_selected_together():
    losses, values = [0.1 + 0.2, 0.3, 0.5], [70.0, 80.0, 90.0]
    assert SELECTIONS["best"].value(losses, values) == 75.0
    chances = selection_probabilities(losses)
    assert chances[0] == chances[1]
