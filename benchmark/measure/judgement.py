"""Does a published number hold? One rule of plain numbers, and how many runs it needs.

The rule in words and formulas, with its coverage, false verdicts and power under simulation: docs/verdicts.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmark.measure.prediction import KNOWN, Floats, Prediction, predict_best, predict_mean, predict_same
from benchmark.measure.ties import levels
from benchmark.measure.verdict import (
    CONSISTENT,
    DIFFERENCE_LEVEL,
    EQUIVALENCE_LEVEL,
    EQUIVALENT,
    HIGHER,
    LOWER,
    MARGIN,
    MIN_RUNS,
    MIN_SHARE,
    NOT_JUDGED,
)

Statistic = Literal["best", "mean", "max"]
Interval = tuple[float, float]

# Differences of decimal numbers miss 0 and the margin by a few units in the last place.
_SLACK = 1e-9


@dataclass(frozen=True)
class Judgement:
    """The verdict `name` on a published number, and what it rests on, in points.

    `difference` is ours minus published, and the centre of both intervals: for `best` ours is what our runs predict for
    the best of as many runs as the paper had, not the value of our best run. The intervals are None where nothing is
    judged. `published_sd` is the sd that the published number was given as a draw, rounding included; `df` are the
    degrees of freedom of Student's factor, and `runs` how many of our runs it all rests on.
    """

    name: str
    difference: float
    interval90: Interval | None = None
    interval95: Interval | None = None
    published_sd: float | None = None
    df: float | None = None
    runs: int = 0


def judge_runs(
    losses: npt.ArrayLike,
    values: npt.ArrayLike,
    published_value: float,
    published_sd: float | None = None,
    *,
    statistic: Statistic = "best",
    published_runs: int | None = None,
    decimals: int = 1,
    margin: float = MARGIN,
    deterministic: bool = False,
) -> Judgement:
    """Say whether a published number holds, by our runs.

    `equivalent` when the 90 % interval of the difference lies inside the margin; else `higher` or `lower` (ours against
    the published) when the 95 % interval excludes 0; else `consistent`. A `max` is `not judged`, nor is a single run of
    ours, unless its method is deterministic.

    Parameters
    ----------
    losses, values
        (n,) loss and value in points of each of our runs.
    published_value, published_sd
        The published statistic, and the sd of that statistic where the paper prints one: the bootstrap sd of a best,
        the standard error (not the sd over runs) of a mean. The larger of it and our model's is used; 0.0 stands for a
        rounded one, half a unit of the last printed digit.
    statistic
        What was published: the value of the run with the lowest loss, the mean of the runs, or the highest value.
    published_runs
        Of how many runs; one where the paper is silent.
    decimals
        Digits of the published numbers after the point.
    margin
        The largest difference in points that counts as none.
    deterministic
        The method draws nothing at random: one run of ours is as good as many.

    Raises
    ------
    ValueError
        If a number is not finite or out of its range, or losses and values are not one of each for every run.

    Examples
    --------
    >>> judge_runs([1, 2, 3, 4, 5], [80.1, 79.8, 80.3, 79.9, 80.2], 80.0, statistic="mean").name
    'equivalent'
    >>> judge_runs([0.4], [22.1], 22.0, deterministic=True).name
    'equivalent'
    """
    loss, value = _runs(losses, values)
    m = 1 if published_runs is None else published_runs
    _check(published_value, published_sd, statistic, m, decimals, margin)
    if statistic == "max" or (len(value) == 1 and not deterministic):
        ours = {"max": value.max(), "mean": value.mean(), "best": value[levels(loss) == 0].mean()}[statistic]
        return Judgement(NOT_JUDGED, float(ours) - published_value, published_sd=published_sd, runs=len(value))
    sd = None if published_sd is None else np.array([float(published_sd)])
    found = predicted(loss[None], value[None], sd, statistic, m, decimals)
    difference = found.mean - published_value
    half90, half95 = half_widths(found)
    name = str(verdict_names(difference, half90, half95, margin)[0])
    centre = float(difference[0])
    return Judgement(
        name,
        centre,
        (centre - float(half90[0]), centre + float(half90[0])),
        (centre - float(half95[0]), centre + float(half95[0])),
        math.sqrt(float(found.published[0])),
        float(found.df[0]),
        int(found.runs[0]),
    )


def predicted(
    losses: Floats, values: Floats, published_sd: Floats | None, statistic: Statistic, m: int, decimals: int
) -> Prediction:
    """Return what (s, n) runs predict for the published statistic of m runs, which was rounded to `decimals`."""
    unit = 10.0**-decimals
    # A printed sd of 0.0 is up to half a unit of its last digit.
    sd = None if published_sd is None else np.where(published_sd > 0, published_sd, unit / 2)
    if values.shape[1] == 1:
        found = predict_same(values, sd)
    else:
        found = predict_mean(values, sd, m) if statistic == "mean" else predict_best(losses, values, sd, m)
    rounding = unit**2 / 12
    estimated = found.variance + found.published
    # What is known of the variance makes Student's factor smaller (Satterthwaite).
    more = (1 + np.divide(rounding, estimated, out=np.full_like(estimated, KNOWN), where=estimated > 0)) ** 2
    df = np.minimum(found.df * more, KNOWN)
    return Prediction(found.mean, found.variance, found.published + rounding, df, found.runs)


def half_widths(found: Prediction) -> tuple[Floats, Floats]:
    """Return half the widths (s,) of the intervals of `EQUIVALENCE_LEVEL` and `DIFFERENCE_LEVEL`."""
    from scipy.special import stdtrit

    sd = np.sqrt(found.variance + found.published)
    narrow: Floats = np.asarray(stdtrit(found.df, (1 + EQUIVALENCE_LEVEL) / 2), dtype=np.float64) * sd
    wide: Floats = np.asarray(stdtrit(found.df, (1 + DIFFERENCE_LEVEL) / 2), dtype=np.float64) * sd
    return narrow, wide


def verdict_names(difference: Floats, half90: Floats, half95: Floats, margin: float = MARGIN) -> npt.NDArray[np.str_]:
    """Return the verdict (s,) on each difference with the half widths of its intervals."""
    inside = np.abs(difference) + half90 <= margin + _SLACK
    apart = np.abs(difference) > half95 + _SLACK
    side = np.where(difference > 0, HIGHER, LOWER)
    return np.where(inside, EQUIVALENT, np.where(apart, side, CONSISTENT))


def enough(entered: int, planned: int) -> bool:
    """Whether so many of the planned runs entered that a verdict may be given; without, a cell is `incomplete`.

    >>> enough(16, 20), enough(15, 20), enough(4, 5), enough(3, 3)
    (True, False, False, True)
    """
    if not 0 <= entered <= planned:
        raise ValueError(f"{entered} of {planned} runs cannot have entered.")
    return planned > 0 and entered >= max(min(MIN_RUNS, planned), math.ceil(MIN_SHARE * planned - _SLACK))


def _runs(losses: npt.ArrayLike, values: npt.ArrayLike) -> tuple[Floats, Floats]:
    loss, value = (np.asarray(numbers, dtype=np.float64) for numbers in (losses, values))
    if loss.ndim != 1 or loss.shape != value.shape or not loss.size:
        raise ValueError(f"losses of shape {loss.shape} and values of {value.shape} are not one of each for every run.")
    if not (np.isfinite(loss).all() and np.isfinite(value).all()):
        raise ValueError("losses and values must be finite: leave out runs that have none.")
    return loss, value


def _check(value: float, sd: float | None, statistic: str, runs: int, decimals: int, margin: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"a published value must be finite, not {value}.")
    if sd is not None and not (math.isfinite(sd) and sd >= 0):
        raise ValueError(f"a published sd must be finite and not negative, not {sd}.")
    if statistic not in ("best", "mean", "max"):
        raise ValueError(f"the statistic is best, mean or max, not {statistic!r}.")
    if runs < 1 or decimals < 0:
        raise ValueError(f"a number of {runs} runs with {decimals} decimals cannot have been published.")
    if not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"the margin must be positive and finite, not {margin}.")
