"""Published numbers, in the unit of the tables."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmark.papers.protocol import MetricRule
from benchmark.papers.tables import TableRule


@dataclass(frozen=True)
class Published:
    """A published number in the unit of the table (per cent for fractions), with its sd where the paper gives one.

    `decimals` and `sd_decimals` are those that the paper prints, in that unit: .83 is 83 %, with none. None stands for
    a number that no paper prints, such as a standard error computed from a published sd.
    """

    value: float
    sd: float | None = None
    note: str = ""
    decimals: int | None = None
    sd_decimals: int | None = None

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


def published_sd(values: dict[str, float], statistic: str, table: TableRule) -> tuple[float | None, str]:
    """Return the sd of a published statistic itself, and which printed number it is, if any.

    That is the bootstrap's sd of a best, and of a mean its standard error, which no paper prints.
    """
    if statistic in ("best", "boot_mean"):
        return values.get("boot_sd"), "boot_sd" if "boot_sd" in values else ""
    if statistic == "mean" and table.published_runs and "sd" in values:
        return values["sd"] / math.sqrt(table.published_runs), ""
    return None, ""
