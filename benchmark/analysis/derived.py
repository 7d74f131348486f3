"""Numbers of a run that are computed from its history when a table is drawn, by the name of a metric's column."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from benchmark.analysis.kinds import Find
from benchmark.measure.mismatch import ROFM, Floats, NotMeasured, drift, matching, ofm, r_ofm
from benchmark.papers.protocol import MetricRule
from benchmark.plan.lineage import parent_of
from benchmark.record import Evaluation, RunRecord
from benchmark.registry import DERIVED, METHODS, DerivedMetric, register_derived
from benchmark.store.rows import kind_of


def regression(record: RunRecord, metric: MetricRule) -> ROFM:
    """Return R-OFM of one run: `performance` on the sum of the raw auxiliary terms, from the first epoch on (C17).

    Raises NotMeasured where the history has no such terms, or no such performance.
    """
    auxiliary, performance = auxiliary_losses(record.history, metric.auxiliary), []
    trained = [e for e in record.history if e.step > 0]
    if any(metric.performance not in e.metrics for e in trained):
        raise NotMeasured(f"history has no {metric.performance}: rerun with --record validity")
    performance = [e.metrics[metric.performance] for e in trained]
    return r_ofm(auxiliary, performance)


def auxiliary_losses(history: Sequence[Evaluation], patterns: Sequence[str]) -> Floats:
    """Return the sum of the raw terms that fit `patterns`, (t,), at every evaluation after the first step."""
    trained = [e for e in history if e.step > 0]
    names = matching(trained[-1].terms, patterns) if trained else ()
    if not names:
        raise NotMeasured("history has no auxiliary loss")
    return np.array([sum(e.terms[name] for name in names) for e in trained])


def terms_of_loss(record: RunRecord, metric: MetricRule) -> float:
    """Return the sum of the unweighted terms of the final loss that fit the patterns of the metric."""
    names = matching(record.losses, metric.auxiliary)
    if not names:
        raise NotMeasured(f"the record has no loss of {', '.join(metric.auxiliary)}")
    return float(sum(record.losses[name] for name in names))


def _last_drift(record: RunRecord, metric: MetricRule) -> float:
    if not record.history:
        raise NotMeasured("history has no drift: rerun with --record drift")
    return drift(record.history[-1].metrics, metric.auxiliary)


def _mean_ofm(record: RunRecord, metric: MetricRule) -> float:
    trained = [e for e in record.history if e.step > 0]
    if not trained:
        raise NotMeasured("history has no drift: rerun with --record drift")
    return float(np.mean([ofm(drift(e.metrics, metric.auxiliary)) for e in trained]))


def gain(name: str) -> Callable[[RunRecord, MetricRule], float]:
    """Return what computes by how much a metric is higher at the end than where the last phase of a run began."""

    def gained(record: RunRecord, metric: MetricRule) -> float:
        phase = record.history[-1].phase if record.history else ""
        start = [e.metrics[name] for e in record.history if e.phase == phase and e.step == 0 and name in e.metrics]
        if not start:
            raise NotMeasured("the last phase has no clusters at its start")
        return record.metrics[name] - start[0]

    return gained


for _metric in (
    DerivedMetric("acc_gain", "accuracy at the end less that at the start of the last phase", gain("acc")),
    DerivedMetric("nmi_gain", "NMI at the end less that at the start of the last phase", gain("nmi")),
    DerivedMetric(
        "seconds_own",
        "wall time in seconds, without a pre-training that is a run of its own",
        lambda record, metric: record.seconds,
    ),
    DerivedMetric(
        "seconds_whole",
        "wall time in seconds, with that of the run that it starts from",
        lambda record, metric, parent: record.seconds + (parent.seconds if parent else 0.0),
        with_parent=True,
    ),
    DerivedMetric(
        "r_ofm_slope",
        "R-OFM: the mean slope of performance over the auxiliary loss",
        lambda record, metric: regression(record, metric).slope,
    ),
    DerivedMetric("r_ofm_r2", "R-OFM: R2 of the fit", lambda record, metric: regression(record, metric).r2),
    DerivedMetric(
        "r_ofm_ratio",
        "R-OFM: 1 - R2 of the fit, which the published formula gives in place of R2",
        lambda record, metric: regression(record, metric).ratio,
    ),
    DerivedMetric("loss_terms", "the sum of chosen terms of the final loss, without weights", terms_of_loss),
    DerivedMetric("drift_last", "feature drift at the last evaluation", _last_drift),
    DerivedMetric(
        "ofm_last",
        "objective function mismatch at the last evaluation",
        lambda record, metric: ofm(_last_drift(record, metric)),
    ),
    DerivedMetric("ofm_mean", "mean objective function mismatch over all evaluations after the first step", _mean_ofm),
):
    register_derived(_metric)


def metric_value(record: RunRecord, metric: MetricRule, find: Find | None = None) -> float:
    """Return the number of one run for a metric, in the unit of the table; NotMeasured where the record has none.

    `find` gives the stored records of a run, for metrics that need the one that this run starts from.
    """
    if metric.column in DERIVED:
        derived = DERIVED[metric.column]
        parent = _parent(record, find) if derived.with_parent else None
        value = metric.scale * derived(record, metric, parent)
        if not math.isfinite(value):
            raise NotMeasured("a gradient or a spread is zero, so there is no number")
        return value
    if metric.column not in record.metrics:
        raise NotMeasured(f"the record has no {metric.column}")
    return metric.scale * record.metrics[metric.column]


def _parent(record: RunRecord, find: Find | None) -> RunRecord | None:
    """Return the record, of the same kind of machine, of the run that this one starts from; None if from none."""
    spec = parent_of(record.spec) if record.spec.method in METHODS else None
    if spec is None:
        return None
    for held in find(spec) if find else ():
        if kind_of(held) == kind_of(record):
            return held
    raise NotMeasured("the run that it starts from is not stored")
