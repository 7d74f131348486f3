"""What observers record: gradients as autograd gives them, and training that never notices."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.analysis.derived import metric_value
from benchmark.execution.events import Job, Place
from benchmark.execution.execute import RunResult, execute
from benchmark.execution.executors import serial
from benchmark.execution.observers import matched
from benchmark.measure import drift, pair_drifts
from benchmark.measure.mismatch import NotMeasured, cosine, recorded_terms
from benchmark.papers.protocol import MetricRule
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.record import Context
from benchmark.registry import DATASETS, METHODS, load_plugins
from benchmark.session import Session
from benchmark.spec import Budget, DataSpec, Protocol, RunSpec
from benchmark.store import Store
from benchmark.store.merge import merge
from benchmark.store.observed import OBSERVERS, recorded
from benchmark.store.rows import evaluation_cells, evaluation_of
from benchmark.tables.values import CellResult
from benchmark.training import DeepClusterer, Snapshot
from benchmark.training.gradients import measured_parameters, term_gradients
from tests.support.narrow import narrow_networks
from tests.support.offered import offered

load_plugins()
torch.set_num_threads(1)
DEEP = [name for name in METHODS if issubclass(METHODS[name], DeepClusterer)]
every_deep_method = pytest.mark.parametrize("name", [offered(name) for name in DEEP])
DIGITS = DATASETS["digits"]
STEPS = {"cnn-small": ("symmetric",), "gru-2x32-bidirectional": ("symmetric", "rows")}
"""By network what makes images its samples; all others take vectors."""
OF_CRITICS = {"regression", "realism"}
"""Terms that train a critic alone: evaluated, and no part of what the gradients of the network are compared on."""


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let networks be narrow: what is observed has the same names and bounds."""
    narrow_networks(monkeypatch)


def spec_of(name: str, epochs: int = 2, **params: Any) -> RunSpec:
    method = METHODS[name]
    changes = {"batch_size": 30, "budget": Budget(amount=epochs), "evaluate_every": 1}
    phases = {key: phase.model_copy(update=changes) for key, phase in method.default_protocol.phases.items()}
    values = method.Params(n_clusters=10, **params).canonical()
    steps = STEPS.get(values.get("network"), ("symmetric", "flatten"))
    data = DataSpec(name="digits", digest=DIGITS.digest, samples=120, preprocess=steps)
    return RunSpec(method=name, params=values, data=data, protocol=Protocol(phases=phases), replicate=0)


def run(spec: RunSpec, *names: str) -> RunResult:
    result = execute(spec, measures=[OBSERVERS[name] for name in names])
    assert result.record.status in ("ok", "collapsed"), result.record.traceback
    return result


def plain_history(result: RunResult) -> list[tuple[Any, ...]]:
    known = {"acc", "nmi", "nmi_geometric", "ari"}
    return [
        (e.step, e.total, e.terms, {n: e.metrics[n] for n in known & e.metrics.keys()}, e.clusters)
        for e in result.record.history
    ]


@cache
def watched_by_all(name: str) -> RunResult:
    """Return the short run of a method with every observer."""
    return run(spec_of(name), *OBSERVERS)


@every_deep_method
def test_training_is_bitwise_the_same_with_every_observer(name):
    without, watched = run(spec_of(name)), watched_by_all(name)
    assert plain_history(without) == plain_history(watched)
    assert without.record.first_losses == watched.record.first_losses
    assert without.record.loss == watched.record.loss and without.record.run_id == watched.record.run_id
    np.testing.assert_array_equal(without.labels, watched.labels)


@every_deep_method
def test_drift_of_every_pair_of_terms_is_recorded_at_every_evaluation(name):
    history = watched_by_all(name).record.history
    for evaluation in history:
        assert set(recorded_terms(evaluation.metrics)) == set(evaluation.terms) - OF_CRITICS
        found = pair_drifts(evaluation.metrics)
        assert all(math.isnan(value) or -1.000001 <= value <= 1.000001 for value in found.values())
        assert evaluation_of(evaluation_cells(evaluation)).metrics == evaluation.metrics


def test_an_auxiliary_loss_that_is_the_clustering_loss_has_drift_1():
    """tkuco2024 section 5.1: mismatch vanishes where the auxiliary loss is the clustering loss."""
    model = nn.Linear(3, 2)
    found = term_gradients(
        model, lambda x: dict.fromkeys(("main", "copy"), model(x).square().mean()), [torch.ones(4, 3)], {}
    )
    assert cosine(found.gradients["main"].numpy(), found.gradients["copy"].numpy()) == pytest.approx(1.0)


class Small(nn.Module):
    """A network with a backbone, batch normalisation, and a head that no mismatch is measured on."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        self.head = nn.Linear(4, 2)

    def terms(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        features = self.backbone(x)
        return {"main": self.head(features).square().mean(), "size": features.abs().sum(), "fixed": torch.ones(())}


def test_gradients_are_those_of_autograd_averaged_over_the_batches_on_the_backbone_alone():
    model, batches = Small(), [torch.randn(8, 3) for _ in range(3)]
    found = term_gradients(model, model.terms, batches, {"main": 2.0})
    expected = torch.zeros(sum(p.numel() for p in model.backbone.parameters()), dtype=torch.float64)
    model.train()
    for x in batches:
        model.zero_grad()
        model.terms(x)["main"].backward()
        expected += torch.cat([p.grad.flatten().double() for p in model.backbone.parameters()]) / 3
    torch.testing.assert_close(found.gradients["main"], expected)
    assert found.gradients["fixed"].abs().max() == 0
    assert (found.batches, found.weights) == (3, {"main": 2.0})


def test_gradients_leave_running_statistics_modes_and_the_optimiser_s_gradients_alone():
    model = Small()
    model.eval()
    model.head.train()
    model.terms(torch.randn(5, 3))["main"].backward()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    term_gradients(model, model.terms, [torch.randn(8, 3)], {})
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert [m.training for m in (model, model.backbone[1], model.head)] == [False, False, True]
    for was, parameter in zip(gradients, model.parameters(), strict=True):
        assert (was is None and parameter.grad is None) or torch.equal(was, parameter.grad)


def test_mismatch_is_measured_on_backbone_or_encoder_where_there_is_one_and_else_on_all():
    assert len(measured_parameters(Small())) == 4
    assert len(measured_parameters(nn.Linear(2, 2))) == 2


class Supervised:
    """An estimator with the optional hook: cross-entropy with a target."""

    n_clusters = 2

    def supervised_term(self, model: nn.Module, batch: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return -(target * torch.log_softmax(model(batch), dim=1)).sum(dim=1).mean()


class Data:
    x = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    y = np.repeat([1, 0], 20)


def randomness(assignments: np.ndarray) -> float:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    snapshot = Snapshot("train", 0, 0, 0.0, {}, assignments, lambda: model)
    return OBSERVERS["randomness"](snapshot, Supervised(), Data())["randomness"]


def test_feature_randomness_is_1_where_clusters_are_the_classes_whatever_their_numbers():
    assert randomness(Data.y) == pytest.approx(1.0)
    assert randomness(1 - Data.y) == pytest.approx(1.0)


def test_feature_randomness_falls_with_wrong_clusters():
    noisy = Data.y.copy()
    noisy[:8] = 1 - noisy[:8]
    assert randomness(noisy) < 1.0


def test_a_method_without_the_hook_has_no_feature_randomness():
    snapshot = Snapshot("train", 0, 0, 0.0, {}, Data.y, lambda: nn.Linear(3, 2))
    assert OBSERVERS["randomness"](snapshot, object(), Data()) == {}


def test_classes_are_matched_one_to_one_by_the_most_samples_in_common():
    np.testing.assert_array_equal(matched(np.array([5, 5, 7, 7, 7]), np.array([1, 1, 0, 0, 1]), 2), [1, 1, 0, 0, 0])


def test_validity_indices_are_performance_without_labels():
    record = run(spec_of("ddc", epochs=6), "validity").record
    assert all({"ch", "ch_unsquared", "db"} <= set(e.metrics) for e in record.history if e.clusters > 1)


METRIC = {"label": "x", "published": "", "scale": 1.0}


def test_r_ofm_of_a_record_is_that_of_its_history_without_the_evaluation_before_training():
    record = run(spec_of("ddc-uco-n", epochs=6), "validity").record
    rule = MetricRule(column="r_ofm_slope", auxiliary=("companion_*",), **METRIC)
    trained = record.history[1:]
    a = [e.terms["companion_1"] + e.terms["companion_2"] for e in trained]
    fit = np.polynomial.Polynomial.fit(a, [e.metrics["acc"] for e in trained], 2)
    assert metric_value(record, rule) == pytest.approx(fit.deriv()(np.array(a)).mean(), rel=1e-6)
    without_labels = MetricRule(column="r_ofm_slope", auxiliary=("companion_*",), performance="db", **METRIC)
    assert math.isfinite(metric_value(record, without_labels))


def test_old_histories_are_readable_and_say_that_they_have_no_drift():
    record = run(spec_of("ddc-uco-n")).record
    rule = MetricRule(column="ofm_last", auxiliary=("companion_*",), **METRIC)
    with pytest.raises(NotMeasured, match="history has no drift: rerun with --record drift"):
        metric_value(record, rule)
    watched = run(spec_of("ddc-uco-n"), "drift").record
    assert metric_value(watched, rule) == pytest.approx((1 - drift(watched.history[-1].metrics, ["companion_*"])) / 2)
    assert recorded(watched, "drift") and not recorded(record, "drift")


@pytest.mark.usefixtures("nothing_shipped")
def test_a_run_without_drift_is_made_again_for_it_and_keeps_it_when_merged(tmp_path):
    asked = Request(tables=("tkuco2024/table2",), methods=("ddc",), runs=1, sets=("amount=2", "data.samples=240"))
    (cell,) = plan_cells(asked)
    make(tmp_path, cell.specs[0])
    assert not Session(tmp_path).plan([cell]).runs
    (cell,) = plan_cells(Request(**{**vars(asked), "record": ("drift",)}))
    (planned,) = Session(tmp_path).plan([cell]).runs
    assert planned.record == ("drift",)
    merge([tmp_path], tmp_path)
    make(tmp_path, planned.spec, *planned.record)
    assert not Session(tmp_path).plan([cell]).runs
    merge([tmp_path], tmp_path)
    record = Store(tmp_path / "empty", shipped=tmp_path / "stored").get(planned.spec.run_id)
    assert record is not None and recorded(record, "drift")


def make(results: Path, spec: RunSpec, *record: str) -> None:
    list(serial([Job(spec, Context(paper="tkuco2024", profile="quick"), record)], Place(results, replace=True)))


def test_the_reason_stands_in_the_cell():
    from benchmark.tables.layout import _ours

    shown = _ours(CellResult(n_ok=0, n=3, verdict="incomplete", why="history has no drift: rerun"), "plain", 1)
    assert shown.text == "history has no drift: rerun"
