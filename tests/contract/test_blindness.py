"""Labels of every source, permuted, change the metrics of labels and not one bit besides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.execution.execute import RunResult, execute
from benchmark.registry import DATASETS, METHODS, load_plugins
from benchmark.spec import Budget, DataSpec, Protocol, RunSpec
from benchmark.store.observed import OBSERVERS

load_plugins()
torch.set_num_threads(1)

pytestmark = pytest.mark.attack("labels")
SAMPLES = 150
LABELLED = ("acc", "nmi", "nmi_geometric", "ari", "randomness")
"""What metrics of labels are called."""


def offered(name: str) -> Any:
    """Return the source as a parameter: with the marker of real data where it has files."""
    return name if DATASETS[name].embedded else pytest.param(name, marks=pytest.mark.data)


def spec(dataset: str, method: str) -> RunSpec:
    """Return a short run on a few samples as vectors, which every source gives."""
    changes = {"batch_size": 50, "budget": Budget(amount=1), "evaluate_every": 1}
    phases = {n: p.model_copy(update=changes) for n, p in METHODS[method].default_protocol.phases.items()}
    source = DATASETS[dataset]
    params = METHODS[method](source.n_clusters).checked_params().canonical()
    data = DataSpec(name=dataset, digest=source.digest, samples=SAMPLES, preprocess=("flatten",))
    return RunSpec(method=method, params=params, data=data, protocol=Protocol(phases=phases), replicate=0)


def blind(result: RunResult) -> dict[str, Any]:
    """Return all that a run gives but what needs labels."""
    record = result.record
    assert record.status in ("ok", "collapsed"), record.error
    kept = record.model_dump(include={"status", "loss", "final_loss", "losses", "first_losses", "epochs", "steps"})
    history = [row.model_dump(exclude={"metrics"}) for row in record.history]
    metrics = [{n: v for n, v in row.metrics.items() if n not in LABELLED} for row in record.history]
    return {**kept, "history": history, "metrics": metrics, "labels": result.labels.tobytes()}


@pytest.mark.parametrize("method", ["k-means", "idec"])
@pytest.mark.parametrize("dataset", [offered(name) for name in DATASETS])
def test_permuted_labels_of_a_source_change_metrics_of_labels_alone(dataset, method):
    if DATASETS[dataset].status().state != "ready":
        pytest.skip("its files are not here")
    run = spec(dataset, method)
    true = DATASETS[dataset].load().prepare(run.data.preprocess, SAMPLES)
    permuted = replace(true, y=np.random.default_rng(0).permutation(true.y))
    measures = [OBSERVERS["drift"], OBSERVERS["validity"]]
    first, second = (execute(run, load=lambda data=data: data, measures=measures) for data in (true, permuted))
    assert blind(first) == blind(second)
    if first.record.status == "ok":
        assert first.record.metrics != second.record.metrics
