"""Labels of every source, permuted, change the metrics of labels and not one bit besides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.execution.execute import RunResult, execute
from benchmark.plan.lineage import parent_of
from benchmark.registry import DATASETS, METHODS, LoadedData, load_plugins
from benchmark.spec import Budget, DataSpec, Protocol, RunSpec
from benchmark.store.observed import OBSERVERS
from benchmark.training import Clusterer, ClusterParams, Outcome
from tests.support.attack import made
from tests.support.narrow import narrow_networks

load_plugins()
torch.set_num_threads(1)

pytestmark = pytest.mark.attack("labels")
SAMPLES, SEQUENCES = 150, 60
"""How many of a source; of its sequences, in whose many steps nothing is learnt of labels, fewer."""
LABELLED = ("acc", "nmi", "nmi_geometric", "ari", "randomness")
"""What metrics of labels are called."""

IMAGES = ("minmax", "resize:28x28")


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let networks be narrow: labels are as far from these."""
    narrow_networks(monkeypatch)


def offered(name: str, *more: Any) -> Any:
    """Return the source as a parameter: with the marker of real data where it has files."""
    return pytest.param(name, *more, marks=() if DATASETS[name].embedded else pytest.mark.data)


def cases() -> Iterator[Any]:
    """Yield each source with methods on vectors, which every source gives, and with one for what its samples are."""
    for name, source in DATASETS.items():
        vectors = ("resize:28x28", "flatten") if len(source.shape) == 3 else ("flatten",)
        yield offered(name, "k-means", vectors)
        yield offered(name, "idec", vectors)  # which makes its pre-training, too
        if len(source.shape) == 3:
            yield offered(name, "ddc", IMAGES)
        if len(source.shape) == 2:
            yield offered(name, "rddc", ())


def spec(dataset: str, method: str, steps: tuple[str, ...]) -> RunSpec:
    """Return a short run on a few samples."""
    changes = {"batch_size": 50, "budget": Budget(amount=1), "evaluate_every": 1}
    phases = {n: p.model_copy(update=changes) for n, p in METHODS[method].default_protocol.phases.items()}
    source = DATASETS[dataset]
    params = METHODS[method](source.n_clusters).checked_params().canonical()
    samples = SEQUENCES if method == "rddc" else SAMPLES
    data = DataSpec(name=dataset, digest=source.digest, samples=samples, preprocess=steps)
    return RunSpec(method=method, params=params, data=data, protocol=Protocol(phases=phases), replicate=0)


@lru_cache(maxsize=1)
def loaded(name: str) -> LoadedData:
    """Return the data of a source, read once for all its cases."""
    return DATASETS[name].load()


def sides(run: RunSpec) -> tuple[LoadedData, LoadedData]:
    """Return the data of a run, and the same with permuted labels; the test is skipped where they are not here."""
    if DATASETS[run.data.name].status().state != "ready":
        pytest.skip("its files are not here")
    true = loaded(run.data.name).prepare(run.data.preprocess, run.data.samples)
    return true, replace(true, y=np.random.default_rng(0).permutation(true.y))


def blind(result: RunResult) -> dict[str, Any]:
    """Return all that a run gives but what needs labels."""
    record = result.record
    assert record.status in ("ok", "collapsed"), record.error
    kept = record.model_dump(include={"status", "loss", "final_loss", "losses", "first_losses", "epochs", "steps"})
    history = [row.model_dump(exclude={"metrics"}) for row in record.history]
    metrics = [{n: v for n, v in row.metrics.items() if n not in LABELLED} for row in record.history]
    weights = {name: value.numpy().tobytes() for name, value in (result.weights or {}).items()}
    return {**kept, "history": history, "metrics": metrics, "labels": result.labels.tobytes(), "weights": weights}


@pytest.mark.parametrize(("dataset", "method", "steps"), list(cases()))
def test_permuted_labels_of_a_source_change_metrics_of_labels_alone(dataset, method, steps):
    run = spec(dataset, method, steps)
    measures = [OBSERVERS["drift"], OBSERVERS["validity"]]
    first, second = (execute(run, load=lambda data=data: data, measures=measures) for data in sides(run))
    assert blind(first) == blind(second)
    made("labels", name=f"{dataset}, {method}")
    if first.record.status == "ok":
        assert first.record.metrics != second.record.metrics


def test_permuted_labels_change_no_weight_of_a_parent_and_no_bit_of_its_child():
    child = spec("digits", "idec", ("flatten",))
    parent = parent_of(child)
    found = []
    for data in sides(child):
        before = execute(parent, load=lambda data=data: data)
        after = execute(child, load=lambda data=data: data, parent=before.weights)
        assert blind(before)["weights"], "others start from these"
        found.append((blind(before), blind(after)))
    assert found[0] == found[1]
    made("labels", name="digits, a parent and its child")


HELD: list[np.ndarray] = []
"""Labels that lie open: a hole in the harness."""


class PeekingParams(ClusterParams):
    deed: str = "labels"


class Peeking(Clusterer[PeekingParams]):
    """Gives the labels that it finds, or has them decide its loss."""

    Params = PeekingParams
    method_name = "peeking"

    def cluster(self, x: np.ndarray, params: PeekingParams, context: Any) -> Any:
        """Look."""
        if params.deed == "labels":
            return HELD[-1], x, Outcome(1.0, 1.0)
        loss = float(HELD[-1] @ np.arange(len(x)))
        return np.arange(len(x)) % 10, x, Outcome(loss, loss)


@pytest.mark.parametrize("deed", ["labels", "loss"])
def test_a_method_that_gets_at_labels_is_caught(monkeypatch, deed):
    monkeypatch.setitem(METHODS._entries, "peeking", Peeking)
    run = spec("digits", "peeking", ("flatten",))
    run = run.model_copy(update={"params": {**run.params, "deed": deed}})
    found = []
    for data in sides(run):
        HELD.append(data.y)
        found.append(blind(execute(run, load=lambda data=data: data)))
    assert deed in {name for name in found[0] if found[0][name] != found[1][name]}
    made("methods", name=f"peeking: {deed}")
