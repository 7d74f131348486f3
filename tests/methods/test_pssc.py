"""PSSC: terms by hand in float64, thresholds entry by entry, and its affinity on matrices whose blocks are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import block_diag
from sklearn.metrics import adjusted_rand_score

from benchmark.registry import NETWORKS, load_plugins
from benchmark.spec import Budget, Phase, Protocol
from benchmark.streams import Streams
from benchmark.training import RunContext
from benchmark.training.resume import Stopped
from methods import PSSC
from methods.parts.subspaces.coefficients import clusters_of, subspace_affinity, thresholded
from methods.parts.subspaces.pseudo_supervision import LEAST, PSSCNetwork, PSSCParams, pssc_terms
from methods.parts.vector_networks import Dense, VectorNetwork
from tests.methods.test_dynae import Keeper

load_plugins()
N, K, D = 40, 3, 6
ENCODER = ("backbone.layers.layer1.0", "embed")
DECODER = ("expand", "decoder.0")


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS._entries, "tiny", VectorNetwork(layers=(Dense("layer1", 5),), hidden=3))


def samples() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (2 * np.eye(K, D)[np.arange(N) % K] + 0.3 * rng.normal(size=(N, D))).astype(np.float32)


def protocol(steps: int = 6) -> Protocol:
    common: dict[str, Any] = {"batch_size": 16, "drop_last": False, "keep": "last", "evaluate_every": 2}
    return Protocol(
        phases={
            "pretrain": Phase(budget=Budget(unit="steps", amount=7), **common),
            "fit": Phase(budget=Budget(unit="steps", amount=steps), sampler="full", **common),
        }
    )


def small(**arguments: Any) -> PSSC:
    given = {"network": "tiny", "embedding": 2, "dimension": 2, "protocol": protocol(), **arguments}
    return PSSC(K, **given)


def outputs(weights: dict[str, np.ndarray], paths: tuple[str, ...], x: np.ndarray) -> np.ndarray:
    for path in paths:
        x = x @ weights[f"{path}.weight"].T + weights[f"{path}.bias"]
        x = x if path == paths[-1] else np.maximum(x, 0)
    return x


@pytest.mark.parametrize("pairs", ["clusters", "all"])
@pytest.mark.parametrize("softmax", ["once", "twice"])
@pytest.mark.parametrize("laplacian", ["symmetric", "random-walk"])
def test_terms_are_those_of_the_method(pairs, softmax, laplacian):
    given = {"pairs": pairs, "softmax": softmax, "laplacian": laplacian}
    params = PSSCParams(n_clusters=K, network="tiny", embedding=2, confidence=0.6, **given)
    model, rng = PSSCNetwork(params, (D,)).double(), np.random.default_rng(1)
    model.coefficients = torch.nn.Parameter(torch.from_numpy(0.002 * rng.normal(size=(N, N))))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name != "coefficients":
                parameter.copy_(torch.from_numpy(0.7 * rng.normal(size=tuple(parameter.shape))))
    x = samples().astype(np.float64)
    found = {name: float(value.detach()) for name, value in pssc_terms(model, torch.from_numpy(x), params).items()}
    w = {name: value.numpy() for name, value in model.state_dict().items()}
    c, z = w["coefficients"], outputs(w, ENCODER, x)
    decoded = outputs(w, DECODER, c @ z)
    graph = (np.abs(c) + np.abs(c).T) / 2 + np.eye(N)
    degrees = graph.sum(axis=1)
    cut = graph / np.sqrt(np.outer(degrees, degrees)) if laplacian == "symmetric" else graph / degrees[:, None]
    logits = z @ w["classifier.weight"].T + w["classifier.bias"]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    votes = p.argmax(axis=1)
    again = p if softmax == "twice" else logits
    lost = [-np.log(np.exp(again[i, votes[i]]) / np.exp(again[i]).sum()) for i in range(N) if p[i].max() > 0.6]
    assert 0 < len(lost) < N
    total = 0.0
    for i in range(N):
        for j in range(N):
            one = pairs == "all" or votes[i] == votes[j]
            total += max(0.0, LEAST - graph[i, j]) if one else max(0.0, graph[i, j])
    error = np.square(decoded - x).sum()
    truth = {
        "reconstruction": error,
        "similarity": error + 2 * np.trace(decoded.T @ (np.eye(N) - cut) @ decoded),
        "self_expression": np.square(c @ z - z).sum() / 2,
        "label": np.mean(lost),
        "graph": total + np.square(p.sum(axis=0)).sum(),
    }
    for name, value in truth.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name


def test_no_vote_leaves_no_label_term():
    params = PSSCParams(n_clusters=K, network="tiny", embedding=2, confidence=0.99)
    model = PSSCNetwork(params, (D,))
    model.coefficients = torch.nn.Parameter(torch.zeros(N, N))
    with torch.no_grad():
        model.classifier.weight.zero_()
    terms = pssc_terms(model, torch.from_numpy(samples()), params)
    assert float(terms["label"].detach()) == 0
    sum(terms.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9, 1.0])
def test_thresholds_keep_the_largest_of_each_column_until_their_sum_exceeds_the_share(share):
    c = np.random.default_rng(2).normal(size=(9, 7))
    truth = np.zeros_like(c)
    for column in range(7):
        order, total = np.argsort(-np.abs(c[:, column])), 0.0
        for row in order:
            truth[row, column] = c[row, column]
            total += abs(c[row, column])
            if total > share * np.abs(c[:, column]).sum():
                break
    np.testing.assert_array_equal(thresholded(c, share), truth)


def test_blocks_of_a_matrix_are_its_clusters():
    rng = np.random.default_rng(3)
    sizes = (14, 9, 17)
    blocks = []
    for size in sizes:
        basis = np.linalg.qr(rng.normal(size=(size, 3)))[0]
        blocks.append(basis @ basis.T)  # how samples of a subspace of dimension 3 represent each other
    order = rng.permutation(sum(sizes))
    whole, truth = block_diag(*blocks)[np.ix_(order, order)], np.repeat([0, 1, 2], sizes)[order]
    affinity = subspace_affinity(thresholded(whole, 1.0), 3, 3, 2.0)
    assert affinity[truth[:, None] != truth].max() < 1e-6
    assert affinity.max() == pytest.approx(1)
    np.testing.assert_array_equal(affinity, affinity.T)
    assert adjusted_rand_score(truth, clusters_of(affinity, 3, 0)) == 1


def test_samples_without_coefficients_follow_their_nearest_neighbour():
    model = small(clustered=25).fit(samples())
    assert model.model_.coefficients.shape == (25, 25)
    z, mine = model.embedding_, model.clustered_
    assert len(set(mine)) == 25
    others = np.setdiff1d(np.arange(N), mine)
    nearest = [mine[np.square(z[i] - z[mine]).sum(axis=1).argmin()] for i in others]
    np.testing.assert_array_equal(model.labels_[others], model.labels_[nearest])
    np.testing.assert_array_equal(model.predict(samples()), model.labels_)


def test_subset_is_another_for_another_replicate_and_no_coefficient_moves_far():
    first, second = (small(clustered=25, random_state=r).fit(samples()) for r in (0, 1))
    assert not np.array_equal(first.clustered_, second.clustered_)
    moved = (first.model_.coefficients - 1e-5).abs().max()
    assert 0 < float(moved.detach()) <= 6 * 1.1e-3  # Adam takes steps of its rate, here .001


@pytest.mark.parametrize("stop", [2, 5, 8])
def test_a_run_that_was_stopped_in_either_phase_ends_as_if_it_had_not_been(stop):
    whole = small().fit(samples(), run=RunContext(Streams("", 0), protocol()))
    keeper = Keeper(stop, [])
    with pytest.raises(Stopped):
        small().fit(samples(), run=RunContext(Streams("", 0), protocol(), checkpoints=keeper))
    again = Keeper(10**6, list(keeper.saved.items()))
    resumed = small().fit(samples(), run=RunContext(Streams("", 0), protocol(), checkpoints=again))
    for name, value in whole.model_.state_dict().items():
        assert torch.equal(value, resumed.model_.state_dict()[name]), name
    np.testing.assert_array_equal(whole.labels_, resumed.labels_)
