"""Rules that say whether numbers bear out a statement: agrees, contradicts or undecided, with an interval and n.

A rule gets plain numbers (`Series`), knows nothing of papers, and is one of few: one side higher than another, an
order, a rise, a slope, a share, a distance. Whether something is above zero is decided by Student's interval of paired
differences; of shares by that of Clopper and Pearson. Where a statement is about several things at once (every epoch,
every rival, k of n), the levels are those of a partial conjunction (Benjamini and Heller 2008), so that it is wrongly
said to hold, or wrongly said to fail, at most as often as a single one. One run tells no spread, and decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]
Word = Literal["agrees", "contradicts", "undecided"]
At = Literal["mean", "every", "first", "last"]

LEVEL = 0.05
"""Intervals are of 95 %: a single statement is wrongly said to hold in 2.5 % of all cases at most, or to fail."""


@dataclass(frozen=True)
class Series:
    """What a statement is about: `values` (n, t) of n runs or samples at the points `x` (t,), one point without.

    `pairs` (n,) says which rows of two series belong together (the replicate, the sample). `first` and `last` (n,) are
    each row's own ends, where those do not lie at common points; `counted` is what n counts.
    """

    values: Floats
    pairs: tuple[Hashable, ...]
    x: Floats
    first: Floats
    last: Floats
    counted: str = "runs"

    @classmethod
    def of(
        cls,
        values: npt.ArrayLike,
        pairs: Sequence[Hashable] | None = None,
        x: npt.ArrayLike | None = None,
        ends: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        counted: str = "runs",
    ) -> Series:
        """Return a series of values (n,) or (n, t); without `pairs`, rows belong together by their place."""
        rows = np.asarray(values, dtype=np.float64)
        rows = rows[:, None] if rows.ndim == 1 else rows
        places = np.arange(rows.shape[1]) if x is None else np.asarray(x)
        first, last = ends if ends is not None else (rows[:, 0], rows[:, -1])
        names = tuple(range(len(rows))) if pairs is None else tuple(pairs)
        if len(names) != len(rows) or len(places) != rows.shape[1]:
            raise ValueError(f"{rows.shape} values need a name for each row and a place for each column.")
        one, other = np.asarray(first, dtype=np.float64), np.asarray(last, dtype=np.float64)
        return cls(rows, names, np.asarray(places, dtype=np.float64), one, other, counted)

    def taken(self, at: At, where: Floats) -> Floats:
        """Return what a statement looks at, (n, points): the ends, the points in `where`, or the mean over these."""
        if at in ("first", "last"):
            return (self.first if at == "first" else self.last)[:, None]
        shown = self.values[:, np.isin(self.x, where)]
        return shown.mean(axis=1, keepdims=True) if at == "mean" and shown.shape[1] else shown


@dataclass(frozen=True)
class Answer:
    """Whether numbers bear a statement out, by `estimate` and its `interval` over `n` rows, of what `counted` says.

    A statement about `of` things holds at `held` of them by its sign alone; estimate and interval are then of the one
    that decides, the weakest that must hold. The interval is None where n is below 2. `why` says what is missing.
    """

    word: Word
    estimate: float | None = None
    interval: Interval | None = None
    n: int = 0
    held: int = 0
    of: int = 0
    counted: str = "runs"
    why: str = ""

    def __str__(self) -> str:
        if self.estimate is None:
            return f"{self.word} ({self.why})" if self.why else self.word
        counted = "run" if (self.n, self.counted) == (1, "runs") else self.counted
        spread = f" [{self.interval[0]:+.3g}, {self.interval[1]:+.3g}]" if self.interval else ""
        weakest = f"at {self.held} of {self.of}, the weakest " if self.of > 1 else ""
        return f"{self.word} ({weakest}{self.estimate:+.3g}{spread}, {self.n} {counted})"


def mean_interval(gaps: npt.ArrayLike, level: float = LEVEL) -> Interval | None:
    """Return Student's interval of the mean of `gaps` (n,) at 1 - `level`, None for n below 2.

    >>> mean_interval([1.0, 1.0])
    (1.0, 1.0)
    """
    array = np.asarray(gaps, dtype=np.float64)
    if len(array) < 2:
        return None
    quantile = float(special.stdtrit(len(array) - 1, 1 - level / 2))
    mean, half = float(array.mean()), quantile * float(array.std(ddof=1)) / math.sqrt(len(array))
    return mean - half, mean + half


def share_interval(count: int, n: int, level: float = LEVEL) -> Interval:
    """Return the interval of Clopper and Pearson for a share of which `count` of n were seen; it covers at least.

    >>> [round(end, 4) for end in share_interval(0, 10)]
    [0.0, 0.3085]
    """
    low = float(special.betaincinv(count, n - count + 1, level / 2)) if count else 0.0
    high = float(special.betaincinv(count + 1, n - count, 1 - level / 2)) if count < n else 1.0
    return low, high


def above_zero(
    gaps: Sequence[npt.ArrayLike], at_least: int | None = None, counted: str = "runs", level: float = LEVEL
) -> Answer:
    """Say whether the means of at least so many of `gaps`, each (n,), lie above zero; without `at_least`, of all.

    It agrees where that many intervals at 1 - level / (t - k + 1) lie above zero, for k of t; it contradicts where
    t - k + 1 intervals at 1 - level / k lie below. For one of one, both are the interval at 1 - level.
    """
    arrays = [row[np.isfinite(row)] for row in (np.asarray(gap, dtype=np.float64) for gap in gaps)]
    if not arrays or min(map(len, arrays)) == 0:
        return Answer("undecided", why="no pair of numbers is stored", counted=counted)
    of = len(arrays)
    k = of if at_least is None else at_least
    if not 1 <= k <= of:
        raise ValueError(f"at least {k} of {of} cannot hold.")
    holds = [mean_interval(array, level / (of - k + 1)) or (-math.inf, math.inf) for array in arrays]
    fails = [mean_interval(array, level / k) or (-math.inf, math.inf) for array in arrays]
    agrees = sum(low > 0 for low, _ in holds) >= k
    contradicts = sum(high < 0 for _, high in fails) >= of - k + 1
    bounds = fails if contradicts else holds
    end = 1 if contradicts else 0
    place = sorted(range(of), key=lambda i: (bounds[i][end], float(arrays[i].mean())), reverse=True)[k - 1]
    told = bounds[place] if len(arrays[place]) > 1 else None
    word: Word = "agrees" if agrees else "contradicts" if contradicts else "undecided"
    held = sum(float(array.mean()) > 0 for array in arrays)
    return Answer(word, float(arrays[place].mean()), told, len(arrays[place]), held, of, counted)


def higher(
    pairs: Sequence[tuple[Series, Series | float]],
    at: At = "mean",
    between: Interval | None = None,
    at_least: int | None = None,
    level: float = LEVEL,
) -> Answer:
    """Say whether the first of each pair lies above the second, or of so many pairs at least.

    `at` is where: in the mean over all points, at every point, or at each row's first or last. `between` leaves out
    the points beyond.
    """
    gaps = [part for a, b in pairs for part in differences(a, b, at, between)]
    return above_zero(gaps, at_least, pairs[0][0].counted if pairs else "runs", level)


def order(series: Sequence[Series], at: At = "mean", level: float = LEVEL) -> Answer:
    """Say whether the series lie in this order, the highest first: each above the next."""
    return higher(list(pairwise(series)), at, level=level)


def rises(a: Series, level: float = LEVEL) -> Answer:
    """Say whether a series rises from its first to its last point."""
    return above_zero([a.last - a.first], counted=a.counted, level=level)


def falls(a: Series, level: float = LEVEL) -> Answer:
    """Say whether a series falls from its first to its last point; the estimate is how far."""
    return above_zero([a.first - a.last], counted=a.counted, level=level)


def slope(a: Series, *, above: float | None = None, below: float | None = None, level: float = LEVEL) -> Answer:
    """Say whether the least-squares slopes over x, one for each row, lie `above` or `below` a number in the mean."""
    _one_bound(above, below)
    if len(a.x) < 2 or float(np.ptp(a.x)) == 0:
        return Answer("undecided", why="one point has no slope", counted=a.counted)
    centred = a.x - a.x.mean()
    slopes = a.values @ centred / float(centred @ centred)
    gaps = slopes - above if above is not None else (below or 0.0) - slopes
    found = above_zero([gaps], counted=a.counted, level=level)
    bounds = mean_interval(slopes[np.isfinite(slopes)], level)
    return replace(found, estimate=float(np.nanmean(slopes)) if found.n else None, interval=bounds)


def share(
    a: Series,
    *,
    counts_above: float | None = None,
    counts_below: float | None = None,
    above: float | None = None,
    below: float | None = None,
    level: float = LEVEL,
) -> Answer:
    """Say whether the share of the rows whose last value counts (beyond a number) is `above` or `below` a share."""
    _one_bound(counts_above, counts_below)
    _one_bound(above, below)
    last = a.last[np.isfinite(a.last)]
    if not len(last):
        return Answer("undecided", why="no number is stored", counted=a.counted)
    seen = int((last > counts_above).sum() if counts_above is not None else (last < (counts_below or 0.0)).sum())
    low, high = share_interval(seen, len(last), level)
    holds = low > above if above is not None else high < (below or 0.0)
    fails = high < above if above is not None else low > (below or 0.0)
    word: Word = "agrees" if holds else "contradicts" if fails else "undecided"
    return Answer(word, seen / len(last), (low, high), len(last), seen, 1, a.counted)


def within(a: Series, b: Series | float, d: float, at: At = "mean", level: float = LEVEL) -> Answer:
    """Say whether `a` and `b` differ by less than `d` in the mean.

    It agrees where the 90 % interval of the difference lies inside -d and d (two one-sided tests at 5 %), and
    contradicts where the 95 % interval lies outside. It cannot be asked at every point.
    """
    (gaps,) = differences(a, b, at) if at != "every" else ((),)
    array = np.asarray(gaps, dtype=np.float64)
    array = array[np.isfinite(array)]
    narrow, wide = mean_interval(array, 2 * level), mean_interval(array, level)
    estimate = float(array.mean()) if len(array) else None
    if narrow is None or wide is None:
        return Answer("undecided", estimate, None, len(array), 0, 1, a.counted, "too few pairs of numbers are stored")
    word: Word = "undecided"
    if -d < narrow[0] and narrow[1] < d:
        word = "agrees"
    elif wide[0] > d or wide[1] < -d:
        word = "contradicts"
    shown = narrow if word == "agrees" else wide
    return Answer(word, estimate, shown, len(array), int(abs(float(array.mean())) < d), 1, a.counted)


def differences(a: Series, b: Series | float, at: At, between: Interval | None = None) -> list[Floats]:
    """Return the differences of the rows that belong together, an array for each point looked at."""
    where = a.x if isinstance(b, float | int) or len(b.x) == 1 else np.intersect1d(a.x, b.x)
    if between is not None:
        where = where[(where >= between[0]) & (where <= between[1])]
    first = a.taken(at, where)
    if isinstance(b, float | int):
        return list((first - b).T)
    # A series of one point is a level that every point of the other is held against.
    second = b.taken("last", where) if len(b.x) == 1 else b.taken(at, where)
    # Of a name that stands there twice, the first counts.
    here, there = ({pair: i for i, pair in reversed(list(enumerate(side.pairs)))} for side in (a, b))
    common = [pair for pair in a.pairs if pair in there]
    rows, others = [here[pair] for pair in common], [there[pair] for pair in common]
    return list((first[rows] - second[others]).T)


def _one_bound(above: float | None, below: float | None) -> None:
    if (above is None) == (below is None):
        raise ValueError("say either above or below.")
