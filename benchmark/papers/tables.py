"""What may stand in tables.toml: tables, what they vary, and the points of their grids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field

from benchmark.papers.protocol import MetricRule
from benchmark.spec import Frozen


class GridValue(Frozen):
    """One value of a setting: its label as published, and whether the quick profile spends runs on it."""

    label: str
    value: Any
    quick: bool = False


class GridAxis(Frozen):
    """A field that a table varies."""

    name: str
    path: str
    values: tuple[GridValue, ...]


class TableRule(Frozen):
    """A table: what it shows, which rows and columns, which statistic, and how urgent its runs are (1 first).

    A table of kind `data` shows the columns as the suite counts them, one of kind `network` the layers of a registered
    network, and one of kind `facts` what the paper declares: `header` and rows of text, written here or in a CSV `file`
    beside (`benchmark.papers.facts`), from `source`. `record` are observers that its runs need;
    `unit` and `decimals` are those of its values; `set` replaces fields by profile, after the profile's own, and
    `runs` its number of runs.
    `published_runs` is of how many runs the published numbers are (None where the paper is silent): verdicts compare
    with the same statistic of as many runs, and the standard error of a mean follows from the sd over them.
    """

    title: str
    kind: Literal["results", "data", "network", "facts"] = "results"
    network: str = ""
    header: tuple[str, ...] = ()
    facts: tuple[tuple[str, ...], ...] = ()
    source: str = ""
    published: str
    metrics: tuple[str, ...] = ()
    statistic: str = "best"
    rows: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    grid: tuple[GridAxis, ...] = ()
    priority: int = 5
    footnotes: tuple[str, ...] = ()
    record: tuple[str, ...] = ()
    unit: str = "%"
    decimals: int = 1
    published_runs: int | None = Field(None, ge=1)
    set: dict[str, dict[str, Any]] = Field(default_factory=dict)
    runs: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """A point of a table's grid: its label (empty where the table varies nothing) and the fields it sets."""

    label: str
    values: tuple[tuple[str, Any], ...]
    quick: bool


def statistic_of(table: TableRule, metric: MetricRule) -> str:
    """Return the name of the statistic that a metric of a table shows."""
    return metric.statistic or table.statistic


def settings(table: TableRule) -> Iterator[Setting]:
    """Yield the settings of a table: every point of its grid, or one without a label."""
    for point in product(*(axis.values for axis in table.grid)):
        label = ";".join(f"{axis.name}={value.label}" for axis, value in zip(table.grid, point, strict=True))
        values = tuple((axis.path, value.value) for axis, value in zip(table.grid, point, strict=True))
        yield Setting(label, values, all(value.quick for value in point))
