"""Feature randomness and drift against finite differences, and the scores of the parts that a method tells apart."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.execution.feature_observers import record_features, record_subsets
from benchmark.registry import NETWORKS, load_plugins
from benchmark.training.phases import Snapshot
from methods import DCStar, DynAE, IDECStar
from methods.dc_star import DCNetwork, DCStarParams
from methods.parts.dynamic.dynamics import DynAENetwork, DynAEParams
from methods.parts.vector_networks import Dense, VectorNetwork
from methods.starred import IDECStarParams, StarNetwork

load_plugins()
N, K = 30, 3
ENCODER = ("backbone.", "embed.")


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS._entries, "tiny", VectorNetwork(layers=(Dense("layer1", 5),), hidden=3))


def data() -> Any:
    rng = np.random.default_rng(0)
    y = np.arange(N) % K
    return SimpleNamespace(x=(rng.random((K, 9))[y] + 0.2 * rng.random((N, 9))).astype(np.float32), y=y)


def estimator_and_model(method: Any, params: Any, network: Any) -> tuple[Any, Any]:
    given = {"network": "tiny", "embedding": 2}
    model = network(params(n_clusters=K, **given), (9,)).double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.6)
        embedded = model.encode(torch.from_numpy(data().x).double())[0]
        model.centres.copy_(embedded[:K])
        if network is DynAENetwork:
            model.images.copy_(torch.from_numpy(data().x[:K]))
            largest = model.soft(torch.from_numpy(data().x).double())[0].max(dim=1).values
            model.thresholds.copy_(torch.tensor([float(largest.median()), 0.0]))
    return method(K, **given), model


class Doubled:
    """An estimator that gets its samples in float64, for finite differences."""

    def __init__(self, estimator: Any) -> None:
        self.estimator, self.n_clusters = estimator, estimator.n_clusters

    def mismatch_terms(self, model: Any, x: Tensor, clusters: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.estimator.mismatch_terms(model, x.double(), clusters)
        return found


def snapshot(model: Any, clusters: np.ndarray) -> Snapshot:
    import copy

    return Snapshot("cluster", 0, 0, 0.0, {}, clusters, lambda: copy.deepcopy(model))


def numerical(terms: Any, model: Any, prefixes: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return the gradient of every term by central differences."""
    found: dict[str, list[float]] = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if prefixes and not name.startswith(prefixes):
                continue
            flat = parameter.view(-1)
            for place in range(len(flat)):
                kept = float(flat[place])
                flat[place] = kept + 1e-6
                above = {key: float(value) for key, value in terms(model).items()}
                flat[place] = kept - 1e-6
                below = {key: float(value) for key, value in terms(model).items()}
                flat[place] = kept
                for key in above:
                    found.setdefault(key, []).append((above[key] - below[key]) / 2e-6)
    return {key: np.array(values) for key, values in found.items()}


@pytest.mark.parametrize(
    ("method", "params", "network"),
    [
        (DCStar, DCStarParams, DCNetwork),
        (DynAE, DynAEParams, DynAENetwork),
    ],
)
def test_randomness_and_drift_are_those_of_finite_differences(method, params, network):
    estimator, model = estimator_and_model(method, params, network)
    clusters = np.roll(np.arange(N) % K, 1)
    clusters[:4] = 0  # not all samples of a class are in one cluster
    found = record_features(snapshot(model, clusters), Doubled(estimator), data())
    # classes 0, 1, 2 mostly lie in clusters 2, 0, 1
    true = torch.from_numpy(np.array([2, 0, 1])[data().y])
    x = torch.from_numpy(data().x).double()
    held = {name: value.clone() for name, value in model.state_dict().items()}
    if network is DynAENetwork:  # targets are constants
        with torch.no_grad():
            soft, _ = model.soft(x)
            top = soft.topk(2, dim=1).values
            sure = (top[:, 0] >= model.thresholds[0]) & (top[:, 0] - top[:, 1] >= model.thresholds[1])
            near = soft.argmax(dim=1)
        assert 0 < int(sure.sum()) < N

        def terms(model: Any) -> dict[str, Tensor]:
            z = model.encode(x)[0]
            pseudo = ((z - model.centres[near]).square().sum(dim=1) * sure).mean()
            goal = torch.where(sure[:, None], model.images[near], x)
            image = (model.decode(z) - goal).square().sum(dim=1).mean()
            return {
                "pseudo": pseudo,
                "auxiliary": image,
                "whole": pseudo + image,
                "true": (z - model.centres[true]).square().sum(dim=1).mean(),
            }
    else:
        with torch.no_grad():
            near = model.nearest(model.encode(x)[0])

        def terms(model: Any) -> dict[str, Tensor]:
            z = model.encode(x)[0]
            pseudo = (z - model.centres[near]).square().mean()
            image = (model.decode(z) - x).square().mean()
            true_term = (z - model.centres[true]).square().mean()
            return {"pseudo": pseudo, "auxiliary": image, "whole": pseudo + image, "true": true_term}

    of_encoder = numerical(terms, model, ENCODER)
    unit = {name: g / np.linalg.norm(g) for name, g in of_encoder.items()}
    assert found["fr"] == pytest.approx(unit["true"] @ unit["whole"], abs=1e-5)
    assert found["fd"] == pytest.approx(unit["auxiliary"] @ unit["pseudo"], abs=1e-5)
    of_all = numerical(terms, model, ())
    for part, gradients in (("encoder", of_encoder), ("all", of_all)):
        for a, b in (("pseudo", "true"), ("auxiliary", "whole"), ("true", "true")):
            assert found[f"features:{part}:{a}*{b}"] == pytest.approx(gradients[a] @ gradients[b], rel=1e-4, abs=1e-9)
    for name, value in held.items():
        assert torch.equal(value, model.state_dict()[name])


def test_randomness_of_idec_is_one_where_targets_are_the_true_classes():
    estimator, model = estimator_and_model(IDECStar, IDECStarParams, StarNetwork)
    x, clusters = torch.from_numpy(data().x).double(), torch.zeros(N, dtype=torch.int64)
    terms = estimator.mismatch_terms(model, x, clusters)
    q = 1 / (1 + (model.encode(x)[0][:, None] - model.centres).square().sum(dim=2))
    q = (q / q.sum(dim=1, keepdim=True)).detach()
    p = q.square() / q.sum(dim=0)
    p = p / p.sum(dim=1, keepdim=True)
    assert float(terms["pseudo"].detach()) == pytest.approx(float((p * (p / q).log()).sum(dim=1).mean()))
    assert float(terms["true"].detach()) == pytest.approx(float(-q[:, 0].log().mean()), rel=1e-4)
    whole = 0.01 * terms["pseudo"] + terms["auxiliary"]
    assert float(terms["whole"].detach()) == pytest.approx(float(whole.detach()))


def test_observers_leave_nothing_of_a_method_without_these_hooks():
    plain, model = SimpleNamespace(n_clusters=K), torch.nn.Linear(9, 2)
    for record in (record_features, record_subsets):
        assert record(snapshot(model, np.zeros(N, dtype=np.int64)), plain, data()) == {}


def test_parts_are_scored_by_themselves_and_sizes_are_shares_of_all():
    mask = torch.zeros(N, dtype=torch.bool)
    mask[:20] = True

    class Parted:
        n_clusters = K

        def subsets(self, model: Any, x: Tensor) -> dict[str, Tensor]:
            return {"sure": mask, "other": ~mask, "none": torch.zeros(N, dtype=torch.bool)}

    clusters = data().y.copy()
    clusters[20:] = 0
    found = record_subsets(snapshot(torch.nn.Linear(9, 2), clusters), Parted(), data())
    assert (found["share:sure"], found["share:other"], found["share:none"]) == (20 / N, 10 / N, 0)
    assert (found["acc:sure"], found["nmi:sure"]) == (1, pytest.approx(1, abs=1e-12))
    assert found["acc:other"] == pytest.approx(0.4)  # classes 2, 0, 1, ...: four of ten are of the largest
    assert "acc:none" not in found
