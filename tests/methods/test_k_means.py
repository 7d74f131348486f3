"""k-means against scikit-learn's, against inertias computed in float64, and against the accuracy published for USPS."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import KMeans as Reference
from sklearn.metrics import adjusted_rand_score

from benchmark.measure import clustering_accuracy
from benchmark.spec import Protocol
from benchmark.streams import Streams
from benchmark.training import RunContext
from datasets import load_dataset
from methods import KMeans


@cache
def images() -> np.ndarray:
    return load_dataset("digits").prepare((), 600).x


def inertia(x: np.ndarray, labels: np.ndarray) -> float:
    """Sum the squared distances to the means of the clusters, in float64."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    return sum(((flat[labels == c] - flat[labels == c].mean(axis=0)) ** 2).sum() for c in np.unique(labels))


def test_separated_groups_are_found_with_the_inertia_of_the_groups():
    rng = np.random.default_rng(0)
    truth = rng.permutation(np.repeat(np.arange(6), [10, 20, 30, 40, 50, 60]))
    x = 50 * np.eye(6)[truth] + rng.normal(size=(len(truth), 6))
    model = KMeans(n_clusters=6).fit(x)
    assert adjusted_rand_score(truth, model.labels_) == 1
    assert model.outcome_.loss == pytest.approx(inertia(x, truth), rel=1e-5)


def test_labels_and_loss_are_those_of_scikit_learn_with_20_starts():
    flat = images().reshape(len(images()), -1)
    model = KMeans(n_clusters=10).fit(images())
    same_seed = Reference(10, n_init=20, random_state=Streams("", 0).integer("kmeans")).fit(flat)
    np.testing.assert_array_equal(model.labels_, same_seed.labels_)
    assert model.outcome_.loss == pytest.approx(same_seed.inertia_, rel=1e-6)
    others = [Reference(10, n_init=20, random_state=seed).fit(flat).inertia_ for seed in range(3)]
    assert model.outcome_.loss == pytest.approx(min(others), rel=5e-3)


def test_loss_is_the_inertia_of_the_labels_and_the_only_loss():
    model = KMeans(n_clusters=10).fit(images())
    assert model.outcome_.loss == pytest.approx(inertia(images(), model.labels_), rel=1e-4)
    assert model.outcome_.losses == {"inertia": model.outcome_.loss}
    assert model.outcome_.final_loss == model.outcome_.loss


def test_centres_are_the_means_of_their_clusters():
    model = KMeans(n_clusters=10).fit(images())
    flat = images().reshape(len(images()), -1)
    means = [flat[model.labels_ == c].mean(axis=0) for c in range(10)]
    np.testing.assert_allclose(model.cluster_centers_, means, atol=2e-3)


def test_images_are_flattened():
    flat = images().reshape(len(images()), -1)
    model, other = KMeans(n_clusters=10).fit(images()), KMeans(n_clusters=10).fit(flat)
    np.testing.assert_array_equal(model.labels_, other.labels_)
    np.testing.assert_array_equal(model.embedding_, flat)
    assert model.outcome_ == other.outcome_
    assert model.n_features_in_ == 28 * 28


def test_more_starts_find_no_higher_and_mostly_a_lower_inertia():
    few = [KMeans(n_clusters=10, starts=1, random_state=r).fit(images()).outcome_.loss for r in range(5)]
    many = [KMeans(n_clusters=10, starts=20, random_state=r).fit(images()).outcome_.loss for r in range(5)]
    assert max(many) <= min(few) * 1.001
    assert np.mean(many) < 0.995 * np.mean(few)


def test_iterations_end_a_start_early():
    one = KMeans(n_clusters=10, starts=1, iterations=1).fit(images()).outcome_.loss
    full = KMeans(n_clusters=10, starts=1).fit(images()).outcome_.loss
    assert one > 1.01 * full


def test_the_only_randomness_is_the_stream_kmeans():
    streams = Streams("digits", 4)
    model = KMeans(n_clusters=10).fit(images(), run=RunContext(streams, Protocol()))
    assert streams.used - {"torch"} == {"kmeans"}  # every fit seeds the global generator of torch
    again = KMeans(n_clusters=10).fit(images(), run=RunContext(Streams("digits", 4), Protocol()))
    np.testing.assert_array_equal(model.labels_, again.labels_)


@pytest.mark.data
def test_accuracy_on_usps_is_the_published_one():
    root = os.environ.get("RECLUST_DATA")
    if root is None or not Path(root, "usps").is_dir():
        pytest.skip("needs the folder usps in the folder named by RECLUST_DATA")
    data = load_dataset("usps")
    labels = KMeans(n_clusters=10).fit_predict(data.x)
    # dynae2022 Table 2 and others: 0.668.
    assert clustering_accuracy(data.y, labels) == pytest.approx(0.668, abs=0.002)


def test_prediction_is_the_nearest_centre_and_of_the_samples_of_the_fit_their_label():
    x = images()
    model = KMeans(n_clusters=10).fit(x[:400])
    np.testing.assert_array_equal(model.predict(x[:400]), model.labels_)
    flat, centres = x[400:].reshape(200, -1).astype(np.float64), model.cluster_centers_.astype(np.float64)
    nearest = ((flat[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(model.predict(x[400:]), nearest)
