"""What a paper's statistic over m runs would be, if its runs were like ours: mean, variances and degrees of freedom.

All functions take many sets of runs at once, (s, n) losses and values of s sets of n >= 2 runs, so that a simulation
can ask for thousands of sets with the very code that judges one. How honest it is stands in docs/verdicts.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

GROUP_GAP: Final = 8.0
"""Runs form two groups by value where the largest gap is wider than so many sds within the groups."""

GROUP_RUNS: Final = 3
"""The selected run is predicted from the runs of one group alone where it has at least so many."""

FEWEST_TO_GROUP: Final = 5
"""Fewer runs are not divided: two pairs of near values are too easily had by chance."""

OTHER_GROUP: Final = 0.025
"""And where the chance that the lowest loss of m is in the other group is no larger than this."""

KNOWN: Final = 1e9
"""The degrees of freedom of a variance that is known."""

_FAR = 10.0  # sds between losses that are as good as any distance, and within the grid of `_chance_of_other`


@dataclass(frozen=True)
class Prediction:
    """What the published statistic would be, for each of s sets of our runs; arrays (s,).

    `mean` is its expected value, with `variance` as we know it from our runs; `published` is the variance of the
    published number itself about that, `df` the degrees of freedom of the sum, and `runs` of how many of our runs all
    this is taken.
    """

    mean: Floats
    variance: Floats
    published: Floats
    df: Floats
    runs: npt.NDArray[np.int64]


def predict_mean(values: Floats, published_sd: Floats | None, m: int) -> Prediction:
    """Predict the mean of m runs from ours by Student's rule; of m = 1 run it is a single value.

    Where the paper prints the standard error of its mean, (s,), the larger of both is taken: for the published mean,
    and, times the root of m, for the spread of runs that makes ours uncertain.
    """
    n = values.shape[1]
    spread = values.var(axis=1, ddof=1)
    model = spread * (1 / n + 1 / m)
    wider = spread if published_sd is None else np.maximum(spread, m * published_sd**2)
    total = wider * (1 / n + 1 / m)
    return Prediction(values.mean(axis=1), wider / n, wider / m, _freedom(total, model**2 / (n - 1)), _all_of(values))


def predict_same(values: Floats, published_sd: Floats | None) -> Prediction:
    """Predict any statistic of a method that draws nothing at random from one run of ours (s, 1): that value.

    Only a printed sd (s,) makes it uncertain.
    """
    none = np.zeros(len(values))
    printed = none if published_sd is None else np.broadcast_to(published_sd**2, none.shape)
    return Prediction(values[:, 0], none, printed, np.full(len(values), KNOWN), _all_of(values))


def predict_best(losses: Floats, values: Floats, published_sd: Floats | None, m: int) -> Prediction:
    """Predict the value of the run that has the lowest of m losses.

    By the joint normal model, from all runs, or where the losses tell two groups apart from those of the selected
    group. `published_sd` (s,) is the bootstrap sd of the paper's best; the larger of both is taken.
    """
    if m == 1:
        return predict_mean(values, published_sd, 1)
    everything = _selected_normal(losses, values, published_sd, m)
    chosen = _selected_group(losses, values, m)
    found = {name: array.copy() for name, array in vars(everything).items()}
    n = values.shape[1]
    for size in np.unique(chosen.sum(axis=1)):
        if size == n:
            continue
        sets = np.flatnonzero(chosen.sum(axis=1) == size)
        part = [array[sets][chosen[sets]].reshape(len(sets), size) for array in (losses, values)]
        sd = None if published_sd is None else published_sd[sets]
        within = _selected_normal(part[0], part[1], sd, max(1, round(m * size / n)))
        for name, array in vars(within).items():
            found[name][sets] = array
    return Prediction(**found)


@lru_cache
def lowest_of(m: int) -> tuple[float, float]:
    """Return expected value and variance of the lowest of m standard normal values, by quadrature.

    >>> [round(number, 4) for number in lowest_of(2)]
    [-0.5642, 0.6817]
    """
    from scipy.special import ndtr

    x, step = np.linspace(-12, 12, 24_001, retstep=True)
    density = m * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) * ndtr(-x) ** (m - 1)
    mean = float(step * (x * density).sum())
    return mean, float(step * (x**2 * density).sum()) - mean**2


def _selected_normal(losses: Floats, values: Floats, published_sd: Floats | None, m: int) -> Prediction:
    """Predict by the regression of values on losses, at the expected lowest of m losses.

    With slope b, residual variance r (n - 2 degrees of freedom), sd s of the losses, and e, w of `lowest_of`: the mean
    is v + b s e; the published value varies by r + (b s)^2 w about it, and our mean by r (1 / n + e^2 / (n - 1))
    (line) + (b s)^2 (1 / n + e^2 / (2 (n - 1))) (where the losses lie, and how wide). (b s)^2 has its bias r / (n - 1)
    taken off.
    """
    n = values.shape[1]
    e, w = lowest_of(m)
    mean, spread = values.mean(axis=1), values.var(axis=1, ddof=1)
    centred = losses - losses.mean(axis=1, keepdims=True)
    sd = losses.std(axis=1, ddof=1)
    varies = sd > 1e-12 * np.abs(losses).max(axis=1)
    scores = centred / np.where(varies, sd, 1.0)[:, None]
    slope = np.where(varies, (scores * values).sum(axis=1) / (n - 1), 0.0)
    if n > 2:
        left = values - mean[:, None] - slope[:, None] * scores
        residual, free = (left**2).sum(axis=1) / (n - 2), np.full(len(values), n - 2.0)
        explained = np.maximum(slope**2 - residual / (n - 1), 0.0)
        shift, line = slope * e, 1 / n + np.where(varies, e**2 / (n - 1), 0.0)
    else:
        # Two runs say nothing of a slope: it may be as large as the spread allows, either way.
        residual, free, explained = spread, np.ones(len(values)), np.zeros(len(values))
        shift, line = np.zeros(len(values)), 1 / n + np.where(varies, e**2, 0.0)
    # Losses that are all equal select nothing: any run is a draw, and all spread is left.
    residual, free = np.where(varies, residual, spread), np.where(varies, free, n - 1.0)
    ours = residual * line + explained * (1 / n + e**2 / (2 * (n - 1)))
    model = residual + explained * w
    published = model if published_sd is None else np.maximum(model, published_sd**2)
    first, second = residual * (1 + line), explained * (w + 1 / n + e**2 / (2 * (n - 1)))
    df = _freedom(ours + published, first**2 / free + second**2 / (n - 1))
    return Prediction(mean + shift, ours, published, df, _all_of(values))


def _selected_group(losses: Floats, values: Floats, m: int) -> Bools:
    """Return (s, n) which runs can be those that the lowest of m losses selects: all, or one of two groups.

    Groups lie on both sides of the largest gap between values. Runs that found another optimum are often such a group,
    and a line through both would promise a selected run better than any.
    """
    from scipy.special import stdtrit

    n = values.shape[1]
    everything = np.ones(values.shape, dtype=bool)
    if n < FEWEST_TO_GROUP:
        return everything
    ordered = np.sort(values, axis=1)
    gaps = np.diff(ordered, axis=1)
    low = values <= np.take_along_axis(ordered, gaps.argmax(axis=1)[:, None], axis=1)
    apart = gaps.max(axis=1) > GROUP_GAP * np.sqrt(_within(values, low))
    lower, upper = _means(losses, low)
    noise = np.sqrt(_within(losses, low))
    size = low.sum(axis=1)
    chosen = np.where((lower < upper)[:, None], low, ~low)
    share = 1 - chosen.sum(axis=1) / n
    # The least by which the losses of the groups differ, one-sided at 95 %, in sds within them; far is far.
    least = np.minimum(np.abs(lower - upper) / np.where(noise > 0, noise, 1e-300), 1e9)
    least -= float(stdtrit(n - 2, 0.95)) * np.sqrt(1 / size + 1 / np.maximum(n - size, 1))
    least = np.minimum(least, _FAR)
    possible = apart & (least > 0) & (chosen.sum(axis=1) >= GROUP_RUNS)
    found = np.flatnonzero(possible)
    sure = found[_chance_of_other(least[found], share[found], m) <= OTHER_GROUP]
    everything[sure] = chosen[sure]
    return everything


def _chance_of_other(distance: Floats, share: Floats, m: int) -> Floats:
    """Return the chance that the lowest of m losses is of the group whose mean lies `distance` sds above."""
    from scipy.special import ndtr

    x, step = np.linspace(-8, 16, 481, retstep=True)
    d, q = distance[:, None], share[:, None]
    above = (1 - q) * ndtr(-x) + q * ndtr(d - x)
    density = q * np.exp(-((x - d) ** 2) / 2) / math.sqrt(2 * math.pi) * m * above ** (m - 1)
    chance: Floats = step * density.sum(axis=1)
    return chance


def _means(numbers: Floats, low: Bools) -> tuple[Floats, Floats]:
    size = low.sum(axis=1)
    rest = np.maximum(numbers.shape[1] - size, 1)  # equal values are one group
    return np.where(low, numbers, 0).sum(axis=1) / size, np.where(low, 0, numbers).sum(axis=1) / rest


def _within(numbers: Floats, low: Bools) -> Floats:
    """Return the variance within two groups, (s,), with n - 2 degrees of freedom."""
    lower, upper = _means(numbers, low)
    left = numbers - np.where(low, lower[:, None], upper[:, None])
    variance: Floats = (left**2).sum(axis=1) / (numbers.shape[1] - 2)
    return variance


def _freedom(total: Floats, uncertainty: Floats) -> Floats:
    """Return the degrees of freedom of Satterthwaite: total^2 over the sum of squared parts over theirs; at least 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        df = np.where(uncertainty > 0, total**2 / uncertainty, KNOWN)
    return np.clip(df, 1.0, KNOWN)


def _all_of(values: Floats) -> npt.NDArray[np.int64]:
    return np.full(len(values), values.shape[1], dtype=np.int64)
