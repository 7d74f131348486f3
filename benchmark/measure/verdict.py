"""Verdicts: whether a published number holds, from how far ours would vary."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from benchmark.measure.selection import Distribution, Estimate, Uncertainty

EQUIVALENT: Final = "equivalent"
HIGHER: Final = "higher"
LOWER: Final = "lower"
CONSISTENT: Final = "consistent"
INCOMPLETE: Final = "incomplete"
NOT_RUN: Final = "not run"
NO_DATA: Final = "no data"
NOT_IMPLEMENTED: Final = "not implemented"
QUOTED: Final = "quoted"

VERDICTS: Final = (
    EQUIVALENT,
    HIGHER,
    LOWER,
    CONSISTENT,
    INCOMPLETE,
    NOT_RUN,
    NO_DATA,
    NOT_IMPLEMENTED,
    QUOTED,
)

JUDGED: Final = (EQUIVALENT, HIGHER, LOWER, CONSISTENT)
"""The verdicts that compare two numbers."""

MARGIN: Final = 3.0
"""The margin of equivalence in points (per cent of ACC or NMI), fixed before any run it judges."""

# Differences of decimal numbers miss 0 and the margin by a few units in the last place; smaller sds count as none.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class VerdictResult:
    """The verdict `name` on a published number, and what it rests on.

    `difference` is ours minus published, with its 90 % and 95 % intervals, in the unit of both. `exact_published`
    marks a published number without sd, which was taken as exact.
    """

    name: str
    difference: float
    interval90: tuple[float, float]
    interval95: tuple[float, float]
    exact_published: bool


def judge(
    ours: Uncertainty,
    published_value: float,
    published_sd: float | None,
    margin: float = MARGIN,
    *,
    value: float | None = None,
) -> VerdictResult:
    """Say whether a published number holds.

    `equivalent` when the 90 % interval of the difference lies inside the margin; else `higher` or `lower` (ours against
    the published) when the 95 % interval excludes 0; else `consistent`.

    Parameters
    ----------
    ours
        What our statistic would be over new sets of runs, in points (not fractions), as the published numbers.
    published_value, published_sd
        The published statistic is taken as normal. `published_sd` is the sd of that statistic: the bootstrap sd of a
        best, the standard error (not the sd over runs) of a mean. Without one (None) the value is taken as exact.
    margin
        The largest difference in points that counts as none.
    value
        Our statistic itself, for `difference`; by default the mean of `ours`. It does not move the verdict.

    Raises
    ------
    ValueError
        If a number is not finite, the sd negative, or the margin not positive.
    """
    interval90 = difference_interval(ours, published_value, published_sd, 0.90)
    interval95 = difference_interval(ours, published_value, published_sd, 0.95)
    if not margin > 0:
        raise ValueError(f"the margin must be positive, not {margin}.")
    if -margin - _ROUNDING <= interval90[0] and interval90[1] <= margin + _ROUNDING:
        name = EQUIVALENT
    elif interval95[0] > _ROUNDING:
        name = HIGHER
    elif interval95[1] < -_ROUNDING:
        name = LOWER
    else:
        name = CONSISTENT
    difference = (ours.mean if value is None else value) - published_value
    return VerdictResult(name, difference, interval90, interval95, published_sd is None)


def difference_interval(
    ours: Uncertainty, published_value: float, published_sd: float | None, level: float
) -> tuple[float, float]:
    """Return the central interval of ours minus published that holds with probability `level`.

    For a `Distribution` the difference is a mixture of normals, one for each of our values (or, where the published
    value is exact, our distribution shifted), and its quantiles are exact. For an `Estimate` it is Student's t with
    the degrees of freedom of Welch and Satterthwaite, the published standard error counting as known.
    """
    sd = 0.0 if published_sd is None else published_sd
    if not (math.isfinite(published_value) and math.isfinite(sd) and sd >= 0):
        raise ValueError(
            f"a published value and its sd must be finite and the sd not negative: {published_value} ({sd})."
        )
    levels = ((1 - level) / 2, (1 + level) / 2)
    if isinstance(ours, Estimate):
        low, high = (_estimate_quantile(ours, sd, q) for q in levels)
    elif sd < _ROUNDING:
        low, high = (ours.quantile(q) for q in levels)
    else:
        low, high = (_mixture_quantile(ours, sd, q) for q in levels)
    return low - published_value, high - published_value


def _estimate_quantile(ours: Estimate, sd: float, level: float) -> float:
    variance = ours.sd**2 + sd**2
    df = ours.df * (variance / ours.sd**2) ** 2 if ours.sd > 0 else math.inf
    return ours.mean + math.sqrt(variance) * float(stats.t.ppf(level, df))


def _mixture_quantile(ours: Distribution, sd: float, level: float) -> float:
    values, probabilities = np.asarray(ours.values), np.asarray(ours.probabilities)

    def excess(x: float) -> float:
        return float(probabilities @ ndtr((x - values) / sd)) - level

    # The quantile of a mixture lies between those of its components; one sd more makes the signs differ for certain.
    shift = sd * float(ndtri(level))
    low, high = float(values.min()) + shift - sd, float(values.max()) + shift + sd
    return float(brentq(excess, low, high, xtol=1e-10))
