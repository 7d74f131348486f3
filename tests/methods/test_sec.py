"""Spectral embedded clustering against a dense solution in float64, and where k-means cannot succeed."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_moons
from sklearn.metrics import adjusted_rand_score

from benchmark.spec import Protocol
from benchmark.streams import Streams
from benchmark.training import RunContext
from methods import SEC, KMeans
from methods.baselines.sec import Regression, neighbour_graph, normalised


def groups(n: int = 90, d: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return overlapping normal groups (n, d) in float32, in no order, and their labels."""
    rng = np.random.default_rng(3)
    truth = rng.permutation(np.arange(n) % 3)
    return (2.5 * np.eye(3, d)[truth] + rng.normal(size=(n, d))).astype(np.float32), truth


def dense_graph(x: np.ndarray, neighbours: int, rule: str) -> np.ndarray:
    """Return the weights (n, n), sample by sample, in float64."""
    d = np.sqrt(((x[:, None].astype(np.float64) - x[None]) ** 2).sum(axis=2))
    near = np.argsort(d + np.diag(np.full(len(x), np.inf)), axis=1)[:, :neighbours]
    asked = {(i, j) for i in range(len(x)) for j in near[i]}
    width = {i: d[i, near[i, -1]] if rule == "self-tuning" else np.median([d[e] for e in asked]) for i in range(len(x))}
    weights = np.zeros_like(d)
    for i, j in asked:
        weights[i, j] = weights[j, i] = np.exp(-(d[i, j] ** 2) / (width[i] * width[j]))
    return weights


def dense_forms(x: np.ndarray, weights: np.ndarray, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the normalised Laplacian (n, n), and the regression as a form (n, n) from its residuals and ridge."""
    n = len(x)
    degrees = weights.sum(axis=0)
    laplacian = np.eye(n) - weights / np.sqrt(np.outer(degrees, degrees))
    design = np.hstack([x.astype(np.float64), np.ones((n, 1))])
    penalty = np.diag([gamma] * x.shape[1] + [0.0])  # the intercept is free
    solution = np.linalg.solve(design.T @ design + penalty, design.T)
    residual = np.eye(n) - design @ solution
    return laplacian, residual.T @ residual + solution.T @ penalty @ solution


@pytest.mark.parametrize("rule", ["self-tuning", "median"])
@pytest.mark.parametrize(("mu", "gamma"), [(1.0, 1.0), (0.05, 20.0), (30.0, 0.1)])
def test_indicator_and_loss_are_those_of_the_dense_eigenproblem(rule, mu, gamma):
    x, _ = groups()
    model = SEC(3, neighbours=6, width_rule=rule, mu=mu, gamma=gamma).fit(x)
    laplacian, regression = dense_forms(x, dense_graph(x, 6, rule), gamma)
    values, vectors = np.linalg.eigh(laplacian + mu * regression)
    assert values[3] - values[2] > 1e-3  # the space of the first three is determined
    ours, truth = model.embedding_.astype(np.float64), vectors[:, :3]
    np.testing.assert_allclose(ours @ ours.T, truth @ truth.T, atol=2e-6)
    assert model.outcome_.loss == pytest.approx(values[:3].sum(), rel=1e-5)
    assert model.outcome_.losses["cut"] == pytest.approx(np.trace(truth.T @ laplacian @ truth), rel=1e-4)
    assert model.outcome_.losses["regression"] == pytest.approx(np.trace(truth.T @ regression @ truth), rel=1e-4)


@pytest.mark.parametrize("rule", ["self-tuning", "median"])
def test_graph_joins_each_sample_to_its_nearest_others_in_both_directions(rule):
    x, _ = groups(60)
    np.testing.assert_allclose(neighbour_graph(x, 4, rule).toarray(), dense_graph(x, 4, rule), rtol=1e-4)


def test_regression_in_blocks_of_rows_is_that_of_all_rows(monkeypatch):
    x, _ = groups()
    v = np.random.default_rng(0).normal(size=len(x))
    whole = Regression(x, 0.7).residual(v)
    monkeypatch.setattr("methods.baselines.sec.ROWS", 7)
    np.testing.assert_allclose(Regression(x, 0.7).residual(v), whole, rtol=1e-9, atol=1e-12)


def test_labels_are_those_of_separated_groups_whatever_the_start():
    rng = np.random.default_rng(0)
    truth = rng.permutation(np.repeat(np.arange(4), [20, 30, 40, 50]))
    x = 20 * np.eye(4)[truth] + rng.normal(size=(len(truth), 4))
    for replicate in range(3):
        assert adjusted_rand_score(truth, SEC(4, random_state=replicate).fit_predict(x)) == 1


def test_two_moons_are_found_where_k_means_fails():
    x, truth = make_moons(400, noise=0.05, random_state=0)
    assert adjusted_rand_score(truth, KMeans(2).fit_predict(x)) < 0.5
    assert adjusted_rand_score(truth, SEC(2, mu=1e-4).fit_predict(x)) == 1


def test_a_heavy_regression_makes_the_indicator_linear_in_the_samples():
    x, _ = make_moons(200, noise=0.05, random_state=0)
    design = np.hstack([x, np.ones((200, 1))])

    def unexplained(mu: float) -> float:
        f = SEC(2, mu=mu, gamma=1e-6).fit(x).embedding_
        residual = f - design @ np.linalg.lstsq(design, f, rcond=None)[0]
        return float((residual**2).sum())

    assert unexplained(1e-4) > 0.1
    assert unexplained(1e4) < 1e-3


def test_the_only_randomness_is_in_two_streams_and_the_loss_has_none():
    x, _ = groups()
    streams = Streams("groups", 4)
    first = SEC(3).fit(x, run=RunContext(streams, Protocol()))
    assert streams.used - {"torch"} == {"eigenvectors", "kmeans"}  # every fit seeds the global generator of torch
    again = SEC(3).fit(x, run=RunContext(Streams("groups", 4), Protocol()))
    assert first.embedding_.tobytes() == again.embedding_.tobytes()
    np.testing.assert_array_equal(first.labels_, again.labels_)
    other = SEC(3).fit(x, run=RunContext(Streams("groups", 5), Protocol()))
    assert other.outcome_.loss == pytest.approx(first.outcome_.loss, rel=1e-9)


def test_copies_of_samples_are_joined_with_full_weight():
    x, _ = groups(30)
    copies = np.repeat(x, 8, axis=0)  # more copies than neighbours: all widths are zero
    weights = neighbour_graph(copies, 5)
    assert set(weights.data) == {1.0}
    model = SEC(3).fit(copies)
    assert np.isfinite(model.embedding_).all()
    for rule in ("self-tuning", "median"):
        labels = SEC(3, width_rule=rule).fit_predict(np.concatenate([x, copies]))
        assert len(set(labels)) == 3


def test_a_sample_without_weights_adds_nothing_to_the_similarity():
    far = np.array([[0.0], [0.0], [0.0], [1e6]], dtype=np.float32)  # its neighbours have the width zero
    similarity = normalised(neighbour_graph(far, 1)).toarray()
    assert np.isfinite(similarity).all()
    np.testing.assert_array_equal(similarity[3], np.zeros(4))


def test_constant_features_change_nothing():
    x, _ = groups()
    constant = np.hstack([x, np.full((len(x), 2), 7.0, dtype=np.float32)])
    plain, more = SEC(3).fit(x), SEC(3).fit(constant)
    assert adjusted_rand_score(plain.labels_, more.labels_) == 1
    assert more.outcome_.loss == pytest.approx(plain.outcome_.loss, rel=1e-4)


@pytest.mark.parametrize("arguments", [{"neighbours": 20}, {"n_clusters": 20, "neighbours": 3}])
def test_too_few_samples_for_the_graph_or_the_eigenproblem_are_refused_in_one_sentence(arguments):
    with pytest.raises(ValueError, match="20 samples are too few for") as caught:
        SEC(**{"n_clusters": 3, **arguments}).fit(groups(20)[0])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"mu": -1}, {"gamma": 0}, {"neighbours": 0}, {"width_rule": "mean"}, {"starts": 0}])
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SEC(3, **wrong).fit(groups()[0])


def test_new_samples_get_the_cluster_of_the_regression_on_them():
    x, _ = groups(300)
    model = SEC(3, gamma=0.5).fit(x)
    design = np.hstack([x.astype(np.float64), np.ones((len(x), 1))])
    penalty = np.diag([0.5] * x.shape[1] + [0.0])
    solution = np.linalg.solve(design.T @ design + penalty, design.T @ model.embedding_.astype(np.float64))
    np.testing.assert_allclose(model.coef_, solution[:-1], atol=1e-7)
    np.testing.assert_allclose(model.intercept_, solution[-1], atol=1e-7)
    new, truth = groups(120, 5)[0] + 0.01, groups(120)[1]
    centres = np.stack([model.embedding_[model.labels_ == c].mean(axis=0) for c in range(3)])
    np.testing.assert_allclose(model.cluster_centers_, centres, atol=1e-6)
    indicator = new @ solution[:-1] + solution[-1]
    nearest = ((indicator[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert (model.predict(new) == nearest).mean() > 0.99  # a tie may turn
    assert adjusted_rand_score(model.predict(new), truth) > 0.7
    assert (model.predict(x) == model.labels_).mean() > 0.9
