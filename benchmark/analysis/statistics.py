"""What a cell makes of its runs: statistics that see whole records, and what each asks the rule of verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from benchmark.analysis.derived import metric_value
from benchmark.analysis.kinds import Find
from benchmark.measure.judgement import Judgement, Statistic, judge_runs
from benchmark.measure.loss_regression import LossRegression, every_fourth, pooled
from benchmark.measure.mismatch import NotMeasured
from benchmark.measure.selection import SELECTIONS, Selection
from benchmark.papers.protocol import MetricRule
from benchmark.papers.published import Published
from benchmark.record import COUNTED, RunRecord


@dataclass(frozen=True)
class MeasuredRun:
    """A run that enters a cell: its record, its final loss, and its value of the metric in the unit of the table."""

    record: RunRecord
    loss: float
    value: float


Runs = Sequence[MeasuredRun]


@dataclass(frozen=True)
class CellStatistic:
    """A rule that makes one number of the runs of a cell, which it sees whole: `value(runs)` may read their histories.

    `sd(runs)` says how far the number would vary over new sets of runs; None where that is not known. Verdicts on it
    are those of `judge_runs` on the statistic `judged_as`; without one the number is not judged. Of a `ranked`
    statistic one direction is better.
    """

    name: str
    value: Callable[[Runs], float]
    sd: Callable[[Runs], float | None]
    judged_as: Statistic | None = None
    ranked: bool = True


def _of(rule: Selection, judged_as: Statistic | None) -> CellStatistic:
    """Return the statistic that reads only losses and values."""
    return CellStatistic(
        rule.name,
        lambda runs: rule.value(*_losses_and_values(runs)),
        lambda runs: rule.sd(*_losses_and_values(runs)),
        judged_as,
        rule.ranked,
    )


def _losses_and_values(runs: Runs) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(run.loss for run in runs), tuple(run.value for run in runs)


# The mean of Best over bootstrap samples is judged as Best itself, with its own printed sd: docs/verdicts.md.
_JUDGED_AS: Mapping[str, Statistic] = {"best": "best", "boot_mean": "best", "mean": "mean", "max": "max"}


def evaluations(record: RunRecord) -> tuple[list[float], list[float]]:
    """Return total loss and ACC at the evaluations of the last phase of a run that a regression on the loss takes."""
    rows = [e for e in record.history if e.phase == record.history[-1].phase and "acc" in e.metrics]
    kept = every_fourth([e.epoch for e in rows])
    return (
        [e.total for e, keep in zip(rows, kept, strict=True) if keep],
        [e.metrics["acc"] for e, keep in zip(rows, kept, strict=True) if keep],
    )


def _pooled(runs: Runs) -> LossRegression | None:
    return pooled([evaluations(run.record) for run in runs if run.record.history])


def _on_loss(name: str) -> CellStatistic:
    """Return a statistic of the regression of ACC on the loss over all runs; NaN where there is none."""

    def value(runs: Runs) -> float:
        found = _pooled(runs)
        return math.nan if found is None else float(getattr(found, name))

    return CellStatistic(f"loss_{name}", value, lambda runs: None, ranked=False)


STATISTICS: Mapping[str, CellStatistic] = MappingProxyType(
    {name: _of(rule, _JUDGED_AS.get(name)) for name, rule in SELECTIONS.items()}
    | {f"loss_{name}": _on_loss(name) for name in ("slope", "se", "r2", "p")}
)
"""The statistics of cells by name."""


def measured(
    records: Iterable[RunRecord], metric: MetricRule, find: Find | None = None
) -> tuple[list[MeasuredRun], str]:
    """Return the runs that enter the statistic with their values, and why the first of the others has none.

    `find` gives the stored records of a run, for metrics that need the one that a run starts from.
    """
    runs, why = [], ""
    for record in records:
        if record.status in COUNTED and record.loss is not None:
            try:
                runs.append(MeasuredRun(record, float(record.loss), metric_value(record, metric, find)))
            except NotMeasured as reason:
                why = why or str(reason)
    return runs, why


@dataclass(frozen=True)
class Question:
    """What is put to the rule of verdicts: the arguments of `judge_runs`, in points."""

    losses: tuple[float, ...]
    values: tuple[float, ...]
    published_value: float
    published_sd: float | None
    statistic: Statistic
    published_runs: int | None
    decimals: int
    deterministic: bool = False

    def answer(self) -> Judgement:
        """Return the judgement."""
        return judge_runs(
            *(self.losses, self.values, self.published_value, self.published_sd),
            statistic=self.statistic,
            published_runs=self.published_runs,
            decimals=self.decimals,
            deterministic=self.deterministic,
        )

    def call(self) -> str:
        """Return the question as a line of Python that anybody can ask again; needs `judge_runs` imported."""
        positional = [list(self.losses), list(self.values), self.published_value, self.published_sd]
        named = f"statistic={self.statistic!r}, published_runs={self.published_runs}, decimals={self.decimals}"
        named += ", deterministic=True" if self.deterministic else ""
        return f"judge_runs({', '.join(map(repr, positional))}, {named})"


def question(
    runs: Runs, statistic: CellStatistic, published: Published, deterministic: bool = False
) -> Question | None:
    """Return what to ask of a published number, given our runs; None where the statistic is not judged."""
    if statistic.judged_as is None:
        return None
    losses, values = _losses_and_values(runs)
    return Question(
        losses,
        values,
        published.value,
        None if published.sd is None else max(published.sd, published.least_sd),
        statistic.judged_as,
        published.runs,
        1 if published.decimals is None else published.decimals,
        deterministic,
    )
