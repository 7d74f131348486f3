"""Comparing two sets of runs: interval of the difference, probability of improvement, and a test where one can tell.

All functions are pure and take finite floats, one per run.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]

LEVEL = 0.05
"""A test that cannot reach this p for its number of runs is not shown."""

RESAMPLES = 10_000
_ENUMERATED = 50_000
_COUNTED = 60
"""Of so many runs of both sides, the ways to share them out are counted one and all; their number fits 64 bits."""


@dataclass(frozen=True)
class Comparison:
    """What two sets of runs say about A minus B.

    `mean_a`, `mean_b` and `difference` are of the means, `interval` is the 95 % percentile bootstrap interval of the
    latter, `improvement` the probability that a run of A lies above one of B (ties count half). `p` is two-sided, by
    the `test` named, or None where no p below 0.05 is attainable; `smallest_p` is the smallest that this number of runs
    can give.
    """

    mean_a: float
    mean_b: float
    n_a: int
    n_b: int
    paired: bool
    difference: float
    interval: tuple[float, float]
    improvement: float
    test: str
    smallest_p: float
    p: float | None


def compare_paired(a: npt.ArrayLike, b: npt.ArrayLike) -> Comparison:
    """Compare (n,) runs of A with the (n,) runs of B that share their random streams, pair by pair."""
    first, second = _floats(a), _floats(b)
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} runs cannot be paired.")
    gaps = first - second
    moved = gaps[np.abs(gaps) > 1e-12]
    smallest = 2.0 ** (1 - len(moved)) if len(moved) else 1.0
    p = _wilcoxon(moved) if smallest <= LEVEL else None
    interval = bootstrap_interval(gaps)
    improved = improvement_probability(first, second)
    means, counts = (float(first.mean()), float(second.mean())), (len(first), len(second))
    return Comparison(
        *means, *counts, True, float(gaps.mean()), interval, improved, "Wilcoxon signed-rank", smallest, p
    )


def compare_unpaired(a: npt.ArrayLike, b: npt.ArrayLike) -> Comparison:
    """Compare (n,) runs of A with (m,) runs of B that have nothing in common.

    The test is exact with and without ties for up to 60 runs in all.
    """
    first, second = _floats(a), _floats(b)
    smallest = min(1.0, 2 / math.comb(len(first) + len(second), len(first)))
    p = None
    if smallest <= LEVEL:
        p = _mann_whitney(first, second)
    rng = np.random.default_rng(0)
    drawn = [x[rng.integers(len(x), size=(RESAMPLES, len(x)))].mean(axis=1) for x in (first, second)]
    low, high = np.quantile(drawn[0] - drawn[1], (0.025, 0.975))
    improved = improvement_probability(first, second)
    means, counts = (float(first.mean()), float(second.mean())), (len(first), len(second))
    return Comparison(
        *means, *counts, False, means[0] - means[1], (float(low), float(high)), improved, "Mann-Whitney", smallest, p
    )


def bootstrap_interval(values: npt.ArrayLike) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean: exact for up to six values, else by resampling.

    For few values such intervals are too short.

    Examples
    --------
    >>> bootstrap_interval([1.0, 1.0])
    (1.0, 1.0)
    """
    array = _floats(values)
    n = len(array)
    if n**n <= _ENUMERATED:
        means = np.array(list(itertools.product(array.tolist(), repeat=n))).mean(axis=1)
    else:
        means = array[np.random.default_rng(0).integers(n, size=(RESAMPLES, n))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975), method="inverted_cdf")
    return float(low), float(high)


def improvement_probability(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return the share of all pairs of a run of A and a run of B in which A lies above, ties counting half.

    >>> improvement_probability([1.0, 3.0], [2.0])
    0.5
    """
    gaps = _floats(a)[:, None] - _floats(b)[None, :]
    return float(((gaps > 0) + 0.5 * (gaps == 0)).mean())


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for their number by Holm's step-down rule, in their order.

    >>> holm([0.01, 0.04])
    [0.02, 0.04]
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def average_ranks(scores: npt.ArrayLike) -> Floats:
    """Return the mean rank (m,) of each method over data sets, of `scores` (d, m); rank 1 is the highest score."""
    ranks: Floats = stats.rankdata(-np.asarray(scores, dtype=np.float64), axis=1).mean(axis=0)
    return ranks


def critical_difference(methods: int, datasets: int) -> float:
    """Return how far mean ranks must lie apart to differ at 0.05 (Nemenyi; Demsar 2006, Eq. for CD)."""
    q = float(stats.studentized_range.ppf(1 - LEVEL, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * datasets))


def _wilcoxon(gaps: Floats) -> float:
    tied = len(np.unique(np.abs(gaps))) < len(gaps)
    if tied:
        rule = stats.PermutationMethod(n_resamples=9999, rng=np.random.default_rng(0))
        return float(stats.wilcoxon(gaps, method=rule).pvalue)
    return float(stats.wilcoxon(gaps, method="exact").pvalue)


def _mann_whitney(a: Floats, b: Floats) -> float:
    """Return twice the smaller tail of the rank sum of `a` over all ways to share the runs out; at most 1.

    Beyond 60 runs it is SciPy's choice: exact where one side is small and nothing is tied, else normal.
    """
    if len(a) + len(b) > _COUNTED:
        return float(stats.mannwhitneyu(a, b, alternative="two-sided").pvalue)
    # Mean ranks of ties are whole or half: twice of them are whole.
    ranks = np.rint(2 * stats.rankdata(np.concatenate((a, b)))).astype(np.int64)
    ways = np.zeros((len(a) + 1, int(ranks.sum()) + 1), dtype=np.int64)  # by how many were drawn, and their sum
    ways[0, 0] = 1
    for rank in ranks:
        more = ways.copy()
        more[1:, rank:] += ways[:-1, :-rank]
        ways = more
    drawn, place = ways[len(a)], int(ranks[: len(a)].sum())
    tail = min(int(drawn[: place + 1].sum()), int(drawn[place:].sum()))
    return min(1.0, 2 * tail / math.comb(len(ranks), len(a)))


def _floats(values: npt.ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise ValueError("a comparison needs a finite number for each of at least one run.")
    return array
