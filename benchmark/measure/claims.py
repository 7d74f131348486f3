"""When is a claim about many comparisons borne out? Tests of single differences, and of `at least k of t` of them.

A comparison is the difference of two sides, with its standard error (`Gap`). Each is tested in both
directions: that it lies beyond what the claim says, and that it does not. A claim over t comparisons needs k of them.
Both answers are tests of a partial conjunction (Benjamini and Heller 2008), so that a claim is wrongly called
supported, or wrongly called contradicted, at most as often as a single comparison, however many it is made of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from benchmark.measure.prediction import predict_best
from benchmark.measure.statements import LEVEL, Interval, Word

Floats = npt.NDArray[np.float64]

SIDE = LEVEL / 2
"""A claim is wrongly called supported in 2.5 % of all cases at most, and wrongly called contradicted in as many."""

_SLACK = 1e-9
"""Means of decimal numbers miss a bound by a few units in the last place."""


@dataclass(frozen=True)
class Gap:
    """A difference of two sides: its estimate, the standard error of that, and the degrees of freedom of the error.

    An error of 0 is that of numbers that do not vary, such as those of two methods without chance.
    """

    estimate: float
    error: float = 0.0
    df: float = math.inf

    def interval(self, level: float = LEVEL) -> Interval:
        """Return Student's interval of the difference at 1 - `level`."""
        quantile = (
            float(special.stdtrit(self.df, 1 - level / 2)) if self.df < math.inf else special.ndtri(1 - level / 2)
        )
        half = float(quantile) * self.error
        return self.estimate - half, self.estimate + half

    def above(self, bound: float) -> float:
        """Return the one-sided p of the hypothesis that the difference is `bound` at most; small: it lies above."""
        distance = self.estimate - bound
        if self.error <= 0:
            return 0.0 if distance > _SLACK else 1.0
        t = -distance / self.error
        return float(special.stdtr(self.df, t) if self.df < math.inf else special.ndtr(t))

    def below(self, bound: float) -> float:
        """Return the one-sided p of the hypothesis that the difference is `bound` at least; small: it lies below."""
        return Gap(-self.estimate, self.error, self.df).above(-bound)


@dataclass(frozen=True)
class Estimate:
    """What one side is, as its runs tell: a mean with its variance and the degrees of freedom of that.

    A variance of 0 is that of a number, or of a method without chance.
    """

    mean: float
    variance: float = 0.0
    df: float = math.inf


def mean_of(values: npt.ArrayLike) -> Estimate | None:
    """Return the mean of (n,) values of single runs; None for n below 2, as one run tells no spread."""
    array = np.asarray(values, dtype=np.float64)
    n = len(array)
    return None if n < 2 else Estimate(float(array.mean()), float(array.var(ddof=1)) / n, n - 1)


def best_of(losses: npt.ArrayLike, values: npt.ArrayLike, m: int) -> Estimate | None:
    """Return what (n,) runs predict for the run with the lowest loss of m, by the model of verdicts; None for n < 2.

    The degrees of freedom are those of the regression of values on losses, from the runs that the model takes.
    """
    loss, value = (np.asarray(numbers, dtype=np.float64)[None] for numbers in (losses, values))
    if value.shape[1] < 2:
        return None
    found = predict_best(loss, value, None, m)
    return Estimate(float(found.mean[0]), float(found.variance[0]), max(1.0, float(found.runs[0]) - 2))


def spread_of(values: npt.ArrayLike) -> Estimate | None:
    """Return the spread of (n,) values as the standard deviation of normal values with their mean absolute deviation.

    Deviations are from the median: Levene's idea (Brown and Forsythe 1974), which holds its level where values are far
    from normal, as those of runs that now and then collapse.
    """
    array = np.asarray(values, dtype=np.float64)
    return mean_of(math.sqrt(math.pi / 2) * np.abs(array - np.median(array))) if len(array) > 1 else None


def apart(a: Estimate | None, b: Estimate | None) -> Gap | None:
    """Return the difference of two sides with Welch's error; None where one tells nothing."""
    if a is None or b is None:
        return None
    total = a.variance + b.variance
    uncertainty = a.variance**2 / a.df + b.variance**2 / b.df
    return Gap(a.mean - b.mean, math.sqrt(total), total**2 / uncertainty if uncertainty > 0 else math.inf)


def paired_gap(a: npt.ArrayLike, b: npt.ArrayLike) -> Gap | None:
    """Return the mean difference of (n,) values that belong together; None for n below 2.

    >>> paired_gap([3.0, 5.0], [1.0, 3.0])
    Gap(estimate=2.0, error=0.0, df=1)
    """
    gaps = mean_of(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64))
    return None if gaps is None else Gap(gaps.mean, math.sqrt(gaps.variance), gaps.df)


def as_shares(gap: Gap, z: float) -> Gap:
    """Return the difference of two Fisher's z, the second of them `z`, as that of the shares of variance tanh(z)^2.

    Its test is that of the difference of z, which errs less often: shares of few runs are skewed.

    >>> round(as_shares(Gap(0.0, 0.1, 4), 0.8814).error, 3)  # near a share of .5
    0.071
    """
    first, second = math.tanh(max(z + gap.estimate, 0.0)) ** 2, math.tanh(z) ** 2
    slope = 2 * math.tanh(z) * (1 - second) if abs(gap.estimate) < _SLACK else (first - second) / gap.estimate
    return Gap(slope * gap.estimate, slope * gap.error, gap.df)


def share_apart(z: Estimate | None, share: float) -> Gap | None:
    """Return the difference of a share of variance, estimated in Fisher's z, and a number from 0 to 1."""
    bound = math.atanh(math.sqrt(min(max(share, 0.0), 1 - 1e-12)))
    gap = apart(z, Estimate(bound))
    return None if gap is None else as_shares(gap, bound)


@dataclass(frozen=True)
class Evidence:
    """Two one-sided p: small `holds` where something is borne out, small `fails` where it is not.

    Without numbers both are 1.
    """

    holds: float = 1.0
    fails: float = 1.0

    @property
    def word(self) -> Word:
        """What follows at the level of the suite."""
        return "agrees" if self.holds <= SIDE else "contradicts" if self.fails <= SIDE else "undecided"


def beyond(gap: Gap | None, by: float = 0.0) -> Evidence:
    """Test whether a difference lies above `by`."""
    return Evidence() if gap is None else Evidence(gap.above(by), gap.below(by))


def inside(gap: Gap | None, by: float) -> Evidence:
    """Test whether a difference lies between -`by` and `by`.

    As everywhere in the suite, equivalence is two one-sided tests at 5 %, so that its p counts half; that it lies
    outside may come true on two sides, so that its p counts twice.
    """
    if gap is None:
        return Evidence()
    within = max(gap.above(-by), gap.below(by))
    return Evidence(within / 2, min(1.0, 2 * min(gap.above(by), gap.below(-by))))


def at_least(tested: Sequence[Evidence], k: int) -> Evidence:
    """Test whether at least `k` of several things hold.

    That k of t hold is rejected by (t - k + 1) times the k-th smallest p: Bonferroni's over those that may fail. That
    they do not is the same of the t - k + 1 that then must fail.

    >>> at_least([Evidence(0.01, 0.99), Evidence(0.02, 0.98)], 2)
    Evidence(holds=0.02, fails=1.0)
    """
    t = len(tested)
    if not 1 <= k <= t:
        raise ValueError(f"at least {k} of {t} cannot hold.")
    holds, fails = sorted(one.holds for one in tested), sorted(one.fails for one in tested)
    return Evidence(min(1.0, (t - k + 1) * holds[k - 1]), min(1.0, k * fails[t - k]))
