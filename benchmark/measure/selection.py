"""What a paper reports of its runs: selection rules, and how far each would vary over new sets of runs.

All functions are pure and take one loss and one value per run, as (n,) finite floats. The distribution of a selection
is computed exactly, not by sampling.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from benchmark.measure.ties import levels

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Distribution:
    """A discrete distribution: `probabilities` of the `values`, in any order, summing to one.

    Examples
    --------
    >>> Distribution((1.0, 3.0), (0.5, 0.5)).sd
    1.0
    """

    values: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what is no distribution."""
        p = _finite(self.probabilities, "probabilities")
        if len(p) != len(_finite(self.values, "values")):
            raise ValueError(f"{len(self.values)} values have {len(p)} probabilities: give one for each.")
        if p.min() < 0 or not math.isclose(math.fsum(p), 1.0, abs_tol=1e-9):
            raise ValueError("the probabilities must be non-negative and sum to one.")

    @property
    def mean(self) -> float:
        """The expected value."""
        return math.fsum(p * v for p, v in zip(self.probabilities, self.values, strict=True))

    @property
    def sd(self) -> float:
        """The standard deviation of the distribution itself (no correction for a sample)."""
        mean = self.mean
        return math.sqrt(math.fsum(p * (v - mean) ** 2 for p, v in zip(self.probabilities, self.values, strict=True)))


def selection_probabilities(losses: npt.ArrayLike) -> Floats:
    """Return the probability of each run to have the lowest loss in a bootstrap resample of the runs.

    Of n runs sorted by loss, a group tied at ranks a..b is selected with probability ((n-a+1)/n)^n - ((n-b)/n)^n:
    all n draws have rank a or above, and not all have a rank above b. The tied runs share it equally.

    Parameters
    ----------
    losses
        (n,) losses, in any order.

    Returns
    -------
    (n,) float64
        Probabilities, aligned with `losses`, summing to one.

    Examples
    --------
    >>> selection_probabilities([2.0, 1.0])
    array([0.25, 0.75])
    """
    array = _finite(losses, "losses")
    n = len(array)
    group = levels(array)
    size = np.bincount(group)
    last = np.cumsum(size)
    none_better = ((n - last + size) / n) ** n
    all_worse = ((n - last) / n) ** n
    shared: Floats = (none_better - all_worse) / size
    return shared[group]


def best_distribution(losses: npt.ArrayLike, values: npt.ArrayLike) -> Distribution:
    """Return the exact bootstrap distribution of the value of the run with the lowest loss (dtkc2019 Eq. 42)."""
    loss, value = _runs(losses, values)
    return Distribution(tuple(value.tolist()), tuple(selection_probabilities(loss).tolist()))


def max_distribution(values: npt.ArrayLike) -> Distribution:
    """Return the exact bootstrap distribution of the highest value."""
    value = _finite(values, "values")
    return best_distribution(-value, value)


def standard_error(values: npt.ArrayLike) -> float | None:
    """Return the standard error of the mean, with ddof=1; None for one run, which tells no spread."""
    value = _finite(values, "values")
    return _sd(value) / math.sqrt(len(value)) if len(value) > 1 else None


def bootstrap_best(losses: npt.ArrayLike, values: npt.ArrayLike) -> tuple[float, float]:
    """Return mean and sd of the value of the run with the lowest loss, over all bootstrap resamples of the runs.

    This is the limit of dtkc2019 Eq. 42 for infinitely many resamples, so the sd is the population's.

    Parameters
    ----------
    losses, values
        (n,) loss and value of each run; ties in the loss are broken at random.

    Returns
    -------
    mean, sd
        In the unit of `values`.

    Raises
    ------
    ValueError
        If there is no run, the lengths differ, or a number is not finite.

    Examples
    --------
    >>> bootstrap_best([0.1], [80.0])
    (80.0, 0.0)
    """
    distribution = best_distribution(losses, values)
    return distribution.mean, distribution.sd


def selection_regret(losses: npt.ArrayLike, values: npt.ArrayLike) -> float:
    """Return how much the selection by lowest loss gives away: the highest value minus the selected one.

    Values of which the lowest is best are to be given with the other sign.
    """
    loss, value = _runs(losses, values)
    return float(value.max()) - _best(loss, value)


def interquartile_mean(values: npt.ArrayLike) -> float:
    """Return the mean without the lowest and the highest quarter of the runs, each rounded down to whole runs."""
    array = _finite(values, "values")
    cut = len(array) // 4
    return float(np.partition(array, (cut, len(array) - cut - 1))[cut : len(array) - cut].mean())


@dataclass(frozen=True)
class Selection:
    """A rule that makes one number of a set of runs, called as `rule.value(losses, values)`.

    `sd(losses, values)` says how far the number would vary over new sets of runs, as tables show it in parentheses:
    the bootstrap's sd of a selected value, the standard error of a mean; None where it is not known. Verdicts don't
    rest on it (`benchmark.measure.judgement`). Of a `ranked` rule one direction is better, which a spread has not. Of
    all rules, only `best` and `boot_mean` read the losses.
    """

    name: str
    value: Callable[[npt.ArrayLike, npt.ArrayLike], float]
    sd: Callable[[npt.ArrayLike, npt.ArrayLike], float | None]
    ranked: bool = True


def _best(losses: npt.ArrayLike, values: npt.ArrayLike) -> float:
    loss, value = _runs(losses, values)
    return _mean(value[levels(loss) == 0])


def _mean(values: npt.ArrayLike) -> float:
    return float(_finite(values, "values").mean())


def _max(values: npt.ArrayLike) -> float:
    return float(_finite(values, "values").max())


def _sd(values: npt.ArrayLike) -> float:
    # ddof=1: the papers leave it unstated, and the spread of all possible runs is what a reader wants to know.
    value = _finite(values, "values")
    return float(value.std(ddof=1)) if len(value) > 1 else math.nan


SELECTIONS: Mapping[str, Selection] = MappingProxyType(
    {
        rule.name: rule
        for rule in (
            Selection("best", _best, lambda losses, values: best_distribution(losses, values).sd),
            Selection(
                "boot_mean",
                lambda losses, values: bootstrap_best(losses, values)[0],
                lambda losses, values: bootstrap_best(losses, values)[1],
            ),
            Selection("mean", lambda _, values: _mean(values), lambda _, values: standard_error(values)),
            Selection("max", lambda _, values: _max(values), lambda _, values: max_distribution(values).sd),
            Selection("sd", lambda _, values: _sd(values), lambda _, values: None, ranked=False),
        )
    }
)
"""The selection rules by name.

`best` is the value of the run with the lowest loss (of tied runs, their mean), `boot_mean` its mean over bootstrap
resamples, `sd` the standard deviation over the runs with ddof=1 (NaN for one run).
"""


def summary(losses: npt.ArrayLike, values: npt.ArrayLike) -> dict[str, float]:
    """Return every selection by name, and best_sd (bootstrap), regret, iqm and n, in the unit of `values`."""
    loss, value = _runs(losses, values)
    return {
        **{name: rule.value(loss, value) for name, rule in SELECTIONS.items()},
        "best_sd": bootstrap_best(loss, value)[1],
        "regret": selection_regret(loss, value),
        "iqm": interquartile_mean(value),
        "n": float(len(value)),
    }


def _runs(losses: npt.ArrayLike, values: npt.ArrayLike) -> tuple[Floats, Floats]:
    loss, value = _finite(losses, "losses"), _finite(values, "values")
    if len(loss) != len(value):
        raise ValueError(f"there are {len(loss)} losses and {len(value)} values: give one of each per run.")
    return loss, value


def _finite(numbers: npt.ArrayLike, name: str) -> Floats:
    array = np.asarray(numbers, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be a non-empty list of numbers, but the shape is {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, but number {int(np.argmin(np.isfinite(array)))} is not.")
    return array
