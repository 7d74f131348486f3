"""Published numbers, in the unit of the tables."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmark.papers.protocol import MetricRule


@dataclass(frozen=True)
class Published:
    """A published number in the unit of the table (per cent for fractions), with its sd where the paper gives one.

    `decimals` and `sd_decimals` are those that the paper prints, in that unit: .83 is 83 %, with none. None stands for
    a number that no paper prints, such as a standard error computed from a published sd. `runs` is of how many runs
    the paper's statistic is, None where it is silent. An sd below `least_sd` would be printed as 0.0, so that a printed
    0.0 may be as much as that.
    """

    value: float
    sd: float | None = None
    note: str = ""
    decimals: int | None = None
    sd_decimals: int | None = None
    runs: int | None = None
    least_sd: float = 0.0

    def number(self, decimals: int) -> str:
        """Return the value with the decimals of the paper, or with `decimals` where it prints none.

        >>> Published(76.05, decimals=2).number(1), Published(83.0, decimals=0).number(1), Published(2.0).number(1)
        ('76.05', '83', '2.0')
        """
        return f"{self.value:z.{decimals if self.decimals is None else self.decimals}f}"

    def text(self, decimals: int) -> str:
        """Return value and sd as they are shown, the sd in parentheses."""
        if self.sd is None:
            return self.number(decimals)
        return f"{self.number(decimals)} ({self.sd:.{decimals if self.sd_decimals is None else self.sd_decimals}f})"


def in_unit(row: dict[str, str], metric: MetricRule) -> float:
    """Return a published value in the unit of the tables: a fraction times the scale of its metric."""
    value = float(row["value"])
    return round(value * metric.scale, 9) if row["unit"] == "fraction" else value


def printed_decimals(row: dict[str, str], metric: MetricRule) -> int:
    """Return how many decimals the paper prints of a value, counted in the unit of the tables."""
    _, _, decimals = row["value"].partition(".")
    shift = round(math.log10(metric.scale)) if row["unit"] == "fraction" else 0
    return max(0, len(decimals) - shift)


@dataclass(frozen=True)
class Spread:
    """The sd of a published statistic, the printed number that it is, if any, and the least that isn't printed as 0."""

    sd: float | None = None
    printed: str = ""
    least: float = 0.0


def published_sd(
    values: dict[str, float], decimals: dict[str, int], statistic: str, published_runs: int | None
) -> Spread:
    """Return the sd of a published statistic itself.

    That is the bootstrap's sd of a best, and of a mean its standard error, which no paper prints. `values` and
    `decimals` are the printed numbers of the cell by statistic.
    """
    if statistic in ("best", "boot_mean") and "boot_sd" in values:
        return Spread(values["boot_sd"], "boot_sd", _half_unit(decimals["boot_sd"]))
    if statistic == "mean" and published_runs and "sd" in values:
        root = math.sqrt(published_runs)
        return Spread(values["sd"] / root, "", _half_unit(decimals["sd"]) / root)
    return Spread()


def _half_unit(decimals: int) -> float:
    """Return half a unit of the last of so many decimals."""
    return 10.0**-decimals / 2
