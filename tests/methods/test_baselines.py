"""Baselines without training, each against another library, a dense computation, or its conditions of optimality."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import block_diag, csr_array
from sklearn.cluster import AgglomerativeClustering, SpectralClustering
from sklearn.linear_model import orthogonal_mp
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.mixture import GaussianMixture as ReferenceMixture

from benchmark.streams import Streams
from benchmark.training import NeedsMemory
from methods import AEFINCH, LSNMF, SSCOMP, Agglomerative, EnSC, GaussianMixture, KernelKMeans, SpectralNeighbours
from methods.baselines import ae_finch, kernel_k_means
from methods.baselines.kernel_k_means import feature_distances
from methods.parts.subspaces.affinity import DENSE, spectral_clusters
from methods.parts.subspaces.self_expression import affinity_of, elastic_net, matching_pursuit


def groups(n: int = 90, d: int = 5, apart: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Return normal groups (n, d), in no order, and their labels."""
    rng = np.random.default_rng(3)
    truth = rng.permutation(np.arange(n) % 3)
    return (apart * np.eye(3, d)[truth] + rng.normal(size=(n, d))).astype(np.float32), truth


def subspaces(n: int = 120, d: int = 20, rank: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return samples of unit length on three random subspaces, in no order, and which one each lies on."""
    rng = np.random.default_rng(5)
    truth = rng.permutation(np.arange(n) % 3)
    bases = [np.linalg.qr(rng.normal(size=(d, rank)))[0] for _ in range(3)]
    x = np.stack([bases[label] @ rng.normal(size=rank) for label in truth])
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), truth


def dense(found: tuple[np.ndarray, np.ndarray], n: int) -> np.ndarray:
    """Return a representation as a matrix (b, n)."""
    whole = np.zeros((len(found[0]), n))
    for row, (support, values) in enumerate(zip(*found, strict=True)):
        np.add.at(whole[row], support, values)
    return whole


def test_agglomeration_is_that_of_scikit_learn():
    x, _ = groups()
    ours, truth = Agglomerative(3).fit(x), AgglomerativeClustering(3, linkage="ward").fit(x)
    assert adjusted_rand_score(truth.labels_, ours.labels_) == 1
    means = np.stack([x[ours.labels_ == k].mean(axis=0) for k in range(3)])
    assert ours.outcome_.loss == pytest.approx(np.square(x - means[ours.labels_]).sum(), rel=1e-5)


def test_many_samples_go_to_fastcluster_where_it_is_installed(monkeypatch):
    x, _ = groups()
    from scipy.cluster.hierarchy import ward

    asked = []

    def linkage_vector(samples: np.ndarray, method: str) -> np.ndarray:
        asked.append((samples.shape, method))
        return ward(samples)

    fake = SimpleNamespace(linkage_vector=linkage_vector)
    monkeypatch.setattr("methods.baselines.agglomerative._chained", lambda: True)
    monkeypatch.setattr("methods.baselines.agglomerative.importlib.import_module", lambda name: fake)
    few, many = Agglomerative(3).fit(x), Agglomerative(3, dense_below=50).fit(x)
    assert asked == [((90, 5), "ward")]
    assert adjusted_rand_score(few.labels_, many.labels_) == 1


def test_mixture_has_the_likelihood_of_scikit_learn_from_the_same_start():
    x, truth = groups(apart=6.0)
    model = GaussianMixture(3).fit(x)
    reference = ReferenceMixture(3, random_state=0).fit(x.astype(np.float64))
    assert model.outcome_.loss == pytest.approx(-reference.score(x.astype(np.float64)), rel=1e-3)
    assert adjusted_rand_score(truth, model.labels_) > 0.95
    np.testing.assert_allclose(model.embedding_.sum(axis=1), 1, atol=1e-5)


def test_factors_leave_the_residual_that_is_stated_and_no_smaller_rank_can():
    x, _ = groups()
    model = LSNMF(3, iterations=500).fit(x)
    shifted = x.astype(np.float64) - min(0.0, float(x.min()))
    best = np.linalg.lstsq(model.embedding_.astype(np.float64), shifted, rcond=None)[0]
    assert model.outcome_.loss == pytest.approx(np.linalg.norm(shifted - model.embedding_ @ best), rel=1e-3)
    singular = np.linalg.svd(shifted, compute_uv=False)
    assert np.sqrt(np.square(singular[3:]).sum()) <= model.outcome_.loss < np.linalg.norm(shifted)
    with pytest.raises(ValueError, match="rank 7"):
        LSNMF(7).fit(x)


def test_spectral_clusters_of_neighbours_are_those_of_scikit_learn():
    x, _ = groups(n=240)
    ours = SpectralNeighbours(3).fit(x)
    truth = SpectralClustering(3, affinity="nearest_neighbors", n_neighbors=10, random_state=0).fit(x)
    assert adjusted_rand_score(truth.labels_, ours.labels_) > 0.98


@pytest.mark.parametrize("n", [DENSE, DENSE + 80])
def test_spectral_clusters_of_separate_blocks_are_the_blocks(n):
    rng = np.random.default_rng(0)
    blocks = []
    for size in (n // 4, n // 4, n // 2):
        raw = rng.random((size, size))
        blocks.append(raw + raw.T)
    for rows in ("degree", "unit"):
        labels = spectral_clusters(csr_array(block_diag(blocks)), 3, 5, Streams("", 0), rows)[0]
        assert adjusted_rand_score(np.repeat([0, 1, 2], [n // 4, n // 4, n // 2]), labels) == 1


def test_distances_in_feature_space_are_those_of_the_whole_kernel(monkeypatch):
    monkeypatch.setattr(kernel_k_means, "ROWS", 7)
    x, _ = groups(n=30)
    labels = np.random.default_rng(0).integers(3, size=30)
    kernel = rbf_kernel(x.astype(np.float64), gamma=0.3)
    truth = np.empty((30, 3))
    for i in range(30):
        for k in range(3):
            mine = np.flatnonzero(labels == k)
            truth[i, k] = kernel[i, i] - 2 * kernel[i, mine].mean() + kernel[np.ix_(mine, mine)].mean()
    np.testing.assert_allclose(feature_distances(x, labels, 3, 0.3), truth, atol=1e-12)
    assert np.isinf(feature_distances(x, labels, 4, 0.3)[:, 3]).all()


def test_kernel_k_means_ends_where_no_sample_is_nearer_to_another_mean():
    x, truth = groups(apart=5.0)
    model = KernelKMeans(3, gamma=0.05, iterations=100).fit(x)
    distances = feature_distances(x, model.labels_, 3, 0.05)
    np.testing.assert_array_equal(distances.argmin(axis=1), model.labels_)
    assert model.outcome_.loss == pytest.approx(distances.min(axis=1).sum())
    best = max(adjusted_rand_score(truth, KernelKMeans(3, gamma=0.05, random_state=r).fit_predict(x)) for r in range(5))
    assert best > 0.95


def test_pursuit_is_that_of_scikit_learn():
    x, _ = subspaces(d=12, rank=8)
    rows = np.array([0, 7, 44, 119])
    found = dense(matching_pursuit(x, rows, 5, 0.0), len(x))
    for row, mine in zip(rows, found, strict=True):
        others = np.delete(np.arange(len(x)), row)
        truth = orthogonal_mp(x[others].T.astype(np.float64), x[row].astype(np.float64), n_nonzero_coefs=5)
        np.testing.assert_allclose(mine[others], truth, atol=1e-4)
        assert mine[row] == 0


def test_pursuit_ends_when_the_residual_is_small():
    x, _ = subspaces(rank=3)
    support, values = matching_pursuit(x, np.arange(len(x)), 10, 1e-6)
    sizes = (values != 0).sum(axis=1)  # three span a subspace; two may come near enough
    assert sizes.max() == 3
    assert sizes.mean() > 2.9
    assert np.linalg.norm(x - dense((support, values), len(x)) @ x, axis=1).max() < 1.1e-3
    copies = np.repeat(x[:2], 3, axis=0)
    found = dense(matching_pursuit(copies, np.arange(6), 4, 1e-6), 6)
    assert ((np.abs(found) > 1e-9).sum(axis=1) == 1).all()  # a copy says all


@pytest.mark.parametrize("tau", [1.0, 0.6])
@pytest.mark.parametrize("start", [10, 100])
def test_elastic_net_satisfies_its_conditions_of_optimality(tau, start):
    x, _ = subspaces(d=12, rank=6)
    rows, gamma = np.array([3, 50, 111]), 50.0
    found = dense(elastic_net(x, rows, tau, gamma, start=start, kept=len(x)), len(x))
    wide = x.astype(np.float64)
    for row, c in zip(rows, found, strict=True):
        others = np.delete(np.arange(len(x)), row)
        scale = np.abs(wide[others] @ wide[row]).max() / (tau * gamma)
        pull = wide @ (wide[row] - c @ wide) / scale - (1 - tau) * c
        used = np.abs(c) > 1e-9
        assert c[row] == 0
        assert 0 < used.sum() < len(x) - 1
        np.testing.assert_allclose(pull[used], tau * np.sign(c[used]), atol=1e-2)
        assert (np.abs(pull[others]) <= tau * (1 + 1e-2)).all()


def test_representations_of_subspaces_stay_in_them_and_clusters_are_the_subspaces():
    x, truth = subspaces()
    for model in (SSCOMP(3), EnSC(3)):
        assert adjusted_rand_score(truth, model.fit_predict(x)) > 0.95


def test_affinity_has_rows_of_unit_length_and_both_directions():
    found = (np.array([[1, 2], [2, 0], [0, 1]]), np.array([[3.0, -4.0], [1.0, 0.0], [0.0, 0.0]]))
    c = np.array([[0, 0.6, 0.8], [0, 0, 1], [0, 0, 0]])
    np.testing.assert_allclose(affinity_of(3, [(np.arange(3), found)]).toarray(), (c + c.T) / 2)


@pytest.mark.parametrize("method", [Agglomerative, GaussianMixture, LSNMF, SpectralNeighbours, KernelKMeans, SSCOMP])
def test_needed_memory_grows_at_least_as_the_samples_do(method):
    few, many = (method.needed_bytes(n, 784) for n in (1_000, 70_000))
    assert few > 8 * 1_000 * 784
    assert many - few >= 8 * 69_000 * 784


def test_all_pairs_of_a_large_set_need_what_the_specification_says(monkeypatch):
    monkeypatch.setattr("methods.baselines.agglomerative._chained", lambda: False)
    assert Agglomerative.needed_bytes(70_000, 784) == pytest.approx(2 * 19.6e9, rel=0.01)
    assert AEFINCH.needed_bytes(70_000, 784) > 39e9


@pytest.mark.parametrize("method", [Agglomerative, GaussianMixture, LSNMF, SpectralNeighbours, KernelKMeans, SSCOMP])
def test_a_method_that_lacks_memory_says_so_before_it_takes_any(monkeypatch, method):
    monkeypatch.setattr("benchmark.training.memory.free_memory", lambda: 1000.0)
    with pytest.raises(NeedsMemory, match="for 90 samples"):
        method(3).fit(groups()[0])


def test_finch_gets_the_embedding_and_the_number_of_clusters(monkeypatch):
    asked: dict[str, Any] = {}

    def finch(embedding: np.ndarray, **options: Any) -> tuple[None, None, np.ndarray]:
        asked.update(options, shape=embedding.shape)
        return None, None, np.arange(len(embedding)) % 3

    monkeypatch.setattr(ae_finch, "_finch", lambda: SimpleNamespace(FINCH=finch))
    x, _ = groups()
    model = AEFINCH(3, pretraining="end-to-end", network="mlp-small", embedding=2, epochs=1).fit(x)
    assert asked["shape"] == (90, 2)
    assert (asked["req_clust"], asked["distance"]) == (3, "cosine")
    assert asked["ann_threshold"] > 90  # exact neighbours
    np.testing.assert_array_equal(model.labels_, np.arange(90) % 3)
