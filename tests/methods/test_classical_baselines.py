"""Hierarchical and spectral clustering against scipy and scikit-learn, and the memory that they ask for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import cut_tree, linkage
from scipy.linalg import eigh
from scipy.spatial.distance import pdist
from sklearn.cluster import AgglomerativeClustering, SpectralClustering
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import rbf_kernel

from benchmark.registry import METHODS, load_plugins
from benchmark.streams import Streams
from benchmark.training import NeedsMemory
from benchmark.training.memory import free_memory, require_memory
from methods.baselines import hierarchical, spectral

load_plugins()
RNG = np.random.default_rng(0)
X = (RNG.normal(size=(150, 6)) + 1.5 * RNG.normal(size=(5, 6))[RNG.integers(0, 5, 150)]).astype(np.float32)
DEVICE = torch.device("cpu")


@pytest.mark.parametrize("rows", [7, 64, 512])
def test_distances_in_blocks_are_those_of_scipy(rows, monkeypatch):
    monkeypatch.setattr(hierarchical, "ROWS", rows)
    np.testing.assert_allclose(hierarchical.condensed_distances(X), pdist(X.astype(np.float64)), atol=1e-6)


@pytest.mark.parametrize("k", [2, 5, 20, 150])
def test_hierarchical_is_average_linkage_of_scipy_and_of_scikit_learn(k):
    labels = METHODS["hierarchical"](k).fit(X).labels_
    assert len(set(labels.tolist())) == k
    merges = linkage(pdist(X.astype(np.float64)), "average")
    assert adjusted_rand_score(cut_tree(merges, k)[:, 0], labels) == 1
    assert adjusted_rand_score(AgglomerativeClustering(k, linkage="average").fit_predict(X), labels) == 1


def test_the_height_is_that_of_the_last_merge_made():
    outcome = METHODS["hierarchical"](5).fit(X).outcome_
    merges = linkage(pdist(X.astype(np.float64)), "average")
    assert outcome.loss == outcome.losses["height"] == pytest.approx(merges[150 - 5 - 1, 2], rel=1e-6)
    assert METHODS["hierarchical"](150).fit(X).outcome_.loss == 0


def operator_by_scikit_learn(width: float) -> np.ndarray:
    weights = rbf_kernel(X.astype(np.float64), gamma=1 / (2 * width**2))
    degrees = weights.sum(axis=1)
    return weights / np.sqrt(degrees[:, None] * degrees[None, :])


@pytest.mark.parametrize("width", [0.8, 2.0, 6.0])
@pytest.mark.parametrize("form", ["dense", "blocks"])
def test_eigenvectors_are_those_of_the_whole_matrix(form, width):
    affinity = spectral.HeldAffinity(X, width) if form == "dense" else spectral.BlockAffinity(X, width, DEVICE)
    embedding, values = spectral.spectral_embedding(affinity, 5, np.random.default_rng(1))
    matrix = operator_by_scikit_learn(width)
    expected, vectors = eigh(matrix, subset_by_index=[145, 149])
    np.testing.assert_allclose(values, expected[::-1], atol=1e-6)
    roots = np.sqrt(rbf_kernel(X.astype(np.float64), gamma=1 / (2 * width**2)).sum(axis=1))
    found = embedding * roots[:, None]
    overlap = np.linalg.svd(vectors.T @ found, compute_uv=False)  # cosines of the angles between the two spaces
    np.testing.assert_allclose(overlap, 1, atol=1e-4)


@pytest.mark.parametrize("rows", [11, 1024])
def test_affinities_in_blocks_are_those_that_are_held(rows, monkeypatch):
    monkeypatch.setattr(spectral, "ROWS", rows)
    vectors = RNG.normal(size=(150, 3))
    held, blocks = spectral.HeldAffinity(X, 1.7), spectral.BlockAffinity(X, 1.7, DEVICE)
    np.testing.assert_allclose(held.matrix, rbf_kernel(X.astype(np.float64), gamma=1 / (2 * 1.7**2)), atol=1e-6)
    np.testing.assert_allclose(blocks.times(vectors), held.times(vectors), atol=1e-9)


@pytest.mark.parametrize("form", ["dense", "blocks"])
def test_labels_are_those_of_scikit_learn_with_the_same_width(form):
    centres = 6 * np.eye(4, 6)
    truth = np.repeat(np.arange(4), 40)
    x = (centres[truth] + RNG.normal(size=(160, 6))).astype(np.float32)
    found = METHODS["spectral"](4, form=form, decades=0.0).fit(x)
    gamma = 1 / (2 * found.outcome_.losses["sigma"] ** 2)
    theirs = SpectralClustering(4, gamma=gamma, random_state=0).fit_predict(x)
    assert adjusted_rand_score(theirs, found.labels_) == 1


def test_the_width_is_the_median_distance_times_ten_to_a_uniform_number():
    median = np.median(pdist(X.astype(np.float64)))
    factors = [spectral.random_width(X, 1.0, Streams("x", r).numpy("sigma")) / median for r in range(300)]
    logs = np.log10(factors)
    assert -1 <= logs.min() < -0.9 and 0.9 < logs.max() <= 1
    assert abs(logs.mean()) < 3 * (2 / 12**0.5) / 300**0.5
    assert spectral.random_width(X, 0.0, Streams("x", 0).numpy("sigma")) == pytest.approx(median)


def test_the_loss_does_not_depend_on_the_scale_of_the_affinities():
    embedding, labels = RNG.normal(size=(30, 3)), RNG.integers(0, 3, 30)
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    expected = sum(((unit[labels == c] - unit[labels == c].mean(axis=0)) ** 2).sum() for c in range(3))
    assert spectral.spread(embedding, labels) == pytest.approx(expected)
    assert spectral.spread(1e-9 * embedding, labels) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "n", "gigabytes"),
    [("hierarchical", 9298, 0.69), ("spectral", 9298, 0.69), ("hierarchical", 60_000, 28.8)],
)
def test_the_memory_is_stated_from_the_number_of_samples(name, n, gigabytes):
    needed = hierarchical.needed_bytes(n) if name == "hierarchical" else spectral.needed_bytes(n, 1, 10, True)
    assert needed / 1e9 == pytest.approx(gigabytes, abs=0.01)


def test_what_is_not_free_is_refused_before_it_is_taken():
    require_memory(1e6, 10)
    with pytest.raises(NeedsMemory, match=r"needs \d+\.\d GB for 99 289 samples, \d+\.\d GB are free"):
        require_memory(2 * free_memory() + 1e12, 99_289)


@pytest.mark.parametrize("name", ["hierarchical", "spectral"])
def test_a_baseline_without_enough_memory_allocates_nothing(name, monkeypatch):
    monkeypatch.setattr("benchmark.training.memory.free_memory", lambda: 1000.0)
    module = {"hierarchical": hierarchical, "spectral": spectral}[name]
    for function in ("condensed_distances", "HeldAffinity", "random_width"):
        monkeypatch.setattr(module, function, lambda *a: pytest.fail("allocated"), raising=False)
    with pytest.raises(NeedsMemory, match="150 samples"):
        METHODS[name](5).fit(X)


def test_a_width_so_small_that_all_eigenvalues_are_nearly_one_gives_an_embedding_of_the_whole_spectrum():
    x = np.random.default_rng(0).normal(size=(600, 20)).astype(np.float32)
    embedding, values = spectral.spectral_embedding(spectral.HeldAffinity(x, 0.5), 5, np.random.default_rng(1))
    assert embedding.shape == (600, 5) and np.isfinite(embedding).all()
    np.testing.assert_allclose(values, 1.0, atol=1e-6)


def test_wide_samples_and_blocks_count_in_what_spectral_clustering_needs():
    assert spectral.needed_bytes(7200, 49_152, 100, True) / 1e9 == pytest.approx(0.41 + 2 * 2.83, abs=0.02)
    assert spectral.needed_bytes(70_000, 784, 10, False) < spectral.needed_bytes(70_000, 784, 10, True) / 10


def test_as_many_clusters_as_samples_are_refused_with_a_sentence():
    with pytest.raises(ValueError, match="150 samples are too few for 150 eigenvectors"):
        METHODS["spectral"](150).fit(X)
