"""Comparing two sets of runs: interval of the difference, probability of improvement, and a test where one can tell.

All functions are pure and take finite floats, one per run. Values that differ by rounding alone are ties (`ties`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmark.measure.ties import TOLERANCE, levels

Floats = npt.NDArray[np.float64]

LEVEL = 0.05
"""A test that cannot reach this p for its number of runs is not shown."""

_SIGNED = 200
"""Of so many pairs the signs are counted one and all; beyond, it is SciPy's choice."""

_COUNTED = 60
"""Of so many runs of both sides, the ways to share them out are counted one and all; their number fits 64 bits."""


@dataclass(frozen=True)
class Comparison:
    """What two sets of runs say about A minus B.

    `mean_a`, `mean_b` and `difference` are of the means, `interval` is the 95 % interval of the latter (Student's, of
    unpaired runs Welch's; None where one run tells no spread), `improvement` the probability that a run of A lies above
    one of B (ties count half). `p` is two-sided, by the `test` named, or None where no p below 0.05 is attainable;
    `smallest_p` is the smallest that this number of runs can give.
    """

    mean_a: float
    mean_b: float
    n_a: int
    n_b: int
    paired: bool
    difference: float
    interval: tuple[float, float] | None
    improvement: float
    test: str
    smallest_p: float
    p: float | None


def compare_paired(a: npt.ArrayLike, b: npt.ArrayLike) -> Comparison:
    """Compare (n,) runs of A with the (n,) runs of B that share their random streams, pair by pair."""
    first, second = _floats(a), _floats(b)
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} runs cannot be paired.")
    gaps, scale = first - second, _largest(first, second)
    moved = gaps[np.abs(gaps) > TOLERANCE * scale]
    smallest = 2.0 ** (1 - len(moved)) if len(moved) else 1.0
    p = _wilcoxon(moved, scale) if smallest <= LEVEL else None
    interval = paired_interval(gaps)
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
    improved = improvement_probability(first, second)
    means, counts = (float(first.mean()), float(second.mean())), (len(first), len(second))
    return Comparison(
        *means,
        *counts,
        False,
        means[0] - means[1],
        welch_interval(first, second),
        improved,
        "Mann-Whitney",
        smallest,
        p,
    )


def paired_interval(gaps: npt.ArrayLike) -> tuple[float, float] | None:
    """Return Student's 95 % interval of the mean of `gaps` (n,), None of one.

    A percentile bootstrap of five values covers 85 %.

    >>> paired_interval([1.0, 1.0])
    (1.0, 1.0)
    """
    array = _floats(gaps)
    n = len(array)
    return _student(float(array.mean()), float(array.var(ddof=1)) / n, n - 1) if n > 1 else None


def welch_interval(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[float, float] | None:
    """Return Welch's 95 % interval of the difference of two means, (n,) and (m,); None where a side is one run."""
    sides = [_floats(a), _floats(b)]
    if min(map(len, sides)) < 2:
        return None
    parts = [float(side.var(ddof=1)) / len(side) for side in sides]
    uncertainty = sum(part**2 / (len(side) - 1) for part, side in zip(parts, sides, strict=True))
    df = sum(parts) ** 2 / uncertainty if uncertainty > 0 else math.inf
    return _student(float(sides[0].mean() - sides[1].mean()), sum(parts), df)


def _student(mean: float, variance: float, df: float) -> tuple[float, float]:
    from scipy.special import ndtri, stdtrit

    factor = stdtrit(df, 1 - LEVEL / 2) if df < math.inf else ndtri(1 - LEVEL / 2)
    half = float(factor) * math.sqrt(variance)
    return mean - half, mean + half


def improvement_probability(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return the share of all pairs of a run of A and a run of B in which A lies above, ties counting half.

    >>> improvement_probability([1.0, 3.0], [2.0])
    0.5
    """
    first, second = _floats(a), _floats(b)
    gaps = first[:, None] - second[None, :]
    equal = np.abs(gaps) <= TOLERANCE * _largest(first, second)
    return float(((gaps > 0) & ~equal).mean() + 0.5 * equal.mean())


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
    from scipy import stats

    ranks: Floats = np.mean([stats.rankdata(-levels(row)) for row in np.asarray(scores, dtype=np.float64)], axis=0)
    return ranks


def critical_difference(methods: int, datasets: int) -> float:
    """Return how far mean ranks must lie apart to differ at 0.05 (Nemenyi; Demsar 2006, Eq. for CD)."""
    from scipy import stats

    q = float(stats.studentized_range.ppf(1 - LEVEL, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * datasets))


def _wilcoxon(gaps: Floats, scale: float) -> float:
    """Return twice the smaller tail of the sum of the ranks of positive `gaps` over all signs; at most 1.

    `gaps` are not zero, and their sizes tie by the `scale` of the values they were made of. Beyond 200 pairs it is the
    normal approximation.
    """
    from scipy import stats

    order = levels(np.abs(gaps), scale)
    if len(gaps) > _SIGNED:
        return float(stats.wilcoxon(np.sign(gaps) * (order + 1), correction=False).pvalue)
    ranks = _twice_the_ranks(order)
    chance = np.zeros(int(ranks.sum()) + 1)  # of each sum of the doubled ranks with a positive sign
    chance[0] = 1.0
    for rank in ranks:
        flipped = chance / 2
        chance = flipped.copy()
        chance[rank:] += flipped[:-rank]
    place = int(ranks[gaps > 0].sum())
    return min(1.0, 2 * float(min(chance[: place + 1].sum(), chance[place:].sum())))


def _twice_the_ranks(order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return twice the mean ranks: those of ties are whole or half, twice of them are whole."""
    from scipy import stats

    return np.rint(2 * stats.rankdata(order)).astype(np.int64)


def _mann_whitney(a: Floats, b: Floats) -> float:
    """Return twice the smaller tail of the rank sum of `a` over all ways to share the runs out; at most 1.

    Beyond 60 runs it is SciPy's choice: exact where one side is small and nothing is tied, else normal.
    """
    from scipy import stats

    order = levels(np.concatenate((a, b)))
    if len(order) > _COUNTED:
        return float(stats.mannwhitneyu(order[: len(a)], order[len(a) :], alternative="two-sided").pvalue)
    ranks = _twice_the_ranks(order)
    ways = np.zeros((len(a) + 1, int(ranks.sum()) + 1), dtype=np.int64)  # by how many were drawn, and their sum
    ways[0, 0] = 1
    for rank in ranks:
        more = ways.copy()
        more[1:, rank:] += ways[:-1, :-rank]
        ways = more
    drawn, place = ways[len(a)], int(ranks[: len(a)].sum())
    tail = min(int(drawn[: place + 1].sum()), int(drawn[place:].sum()))
    return min(1.0, 2 * tail / math.comb(len(ranks), len(a)))


def _largest(a: Floats, b: Floats) -> float:
    return float(max(np.abs(a).max(), np.abs(b).max()))


def _floats(values: npt.ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise ValueError("a comparison needs a finite number for each of at least one run.")
    return array
