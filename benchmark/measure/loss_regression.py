"""How accuracy goes with the loss while training: least squares on standardised losses, over all runs together."""

from __future__ import annotations

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
