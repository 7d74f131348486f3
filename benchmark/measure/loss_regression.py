"""How accuracy goes with the loss while training: least squares on standardised losses, over all runs together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class LossRegression:
    """A line through points: its slope, the standard error of that, R2, the p-value of a slope of 0, and the points."""

    slope: float
    se: float
    r2: float
    p: float
    points: int

    @property
    def z(self) -> float:
        """Fisher's z of the correlation: its hyperbolic tangent is that, and the square of this is R2."""
        return math.copysign(math.atanh(min(math.sqrt(self.r2), 1 - 1e-12)), self.slope)


def standardised(losses: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return losses (n,) with mean 0 and standard deviation 1; zeros where they are all the same.

    >>> standardised([1.0, 3.0]).tolist()
    [-1.0, 1.0]
    """
    values = np.asarray(losses, dtype=np.float64)
    spread = values.std()
    found: npt.NDArray[np.float64] = (values - values.mean()) / (spread if spread > 0 else 1.0)
    return found


def loss_regression(losses: npt.ArrayLike, values: npt.ArrayLike) -> LossRegression | None:
    """Return the regression of `values` (n,) on standardised `losses` (n,); None of fewer than 3 or of equal losses."""
    x, y = standardised(losses), np.asarray(values, dtype=np.float64)
    if len(x) < 3 or not np.ptp(x) > 0 or not np.isfinite(x).all():
        return None
    from scipy.stats import linregress  # heavy: commands that only read start without it

    fit = linregress(x, y)
    return LossRegression(float(fit.slope), float(fit.stderr), float(fit.rvalue**2), float(fit.pvalue), len(x))


Points = tuple[npt.ArrayLike, npt.ArrayLike]
"""Losses and values (t,) of one run."""


def pooled(runs: Sequence[Points]) -> LossRegression | None:
    """Return the regression over all runs together; None where there is none."""
    return loss_regression(*(np.concatenate(part) for part in zip(*runs, strict=True))) if runs else None


def jackknifed(runs: Sequence[Points], number: str) -> list[float]:
    """Return for each run the pseudo-value of a number of the regression over all runs together (Tukey, 1958).

    Pseudo-values are n times the number less n - 1 times that without the
    run. Their mean is the number but for its bias, and they vary as it would over new runs; fits of single runs are
    other numbers, as runs that end apart lower the R2 of all together. R2 itself is skewed, and of few runs calls
    shares too small: its `z` does not. NaN where a regression cannot be.

    >>> jackknifed([([0, 1], [5, 3]), ([1, 2], [3, 1]), ([2, 3], [1, -1])], "r2")
    [1.0, 1.0, 1.0]
    """

    def of(parts: Sequence[Points]) -> float:
        found = pooled(parts)
        return math.nan if found is None else float(getattr(found, number))

    n, whole = len(runs), of(runs)
    return [n * whole - (n - 1) * of([*runs[:i], *runs[i + 1 :]]) for i in range(n)]


def explained(runs: Sequence[Points]) -> list[float]:
    """Return the pseudo-values of Fisher's z for each run, with the sign that makes their sum positive."""
    parts = jackknifed(runs, "z")
    return [math.copysign(1.0, sum(parts)) * part for part in parts]


def every_fourth(epochs: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return which evaluations (t,) of a run count: those of every fourth epoch, or all after the first step.

    All count where fewer than three are of a fourth epoch, as in short runs.

    >>> every_fourth([0, 4, 6, 8, 12]).tolist(), every_fourth([0, 1, 2, 4]).tolist()
    ([False, True, False, True, True], [False, True, True, True])
    """
    found = np.asarray(epochs)
    fourth: npt.NDArray[np.bool_] = (found > 0) & (found % 4 == 0)
    after: npt.NDArray[np.bool_] = found > 0
    return fourth if fourth.sum() >= 3 else after
