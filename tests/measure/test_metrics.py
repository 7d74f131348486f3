"""ACC, NMI and ARI against scikit-learn, brute force, and what must not change them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from benchmark.measure import ari, clustering_accuracy, evaluate_clustering, nmi
from benchmark.measure.metrics import contingency_table

pairs_of_labels = st.integers(1, 60).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 4), min_size=n, max_size=n)] * 2)
)
quickly = settings(deadline=None, max_examples=150)


def noisy_labels(n_classes: int, n_clusters: int, n: int = 500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, n_classes, n)
    return y_true, np.where(rng.random(n) < 0.6, (y_true + 1) % n_clusters, rng.integers(0, n_clusters, n))


def accuracy_of_best_map(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Try every one-to-one map of clusters to classes, where None stands for no class."""
    clusters = sorted(set(y_pred))
    targets = [*sorted(set(y_true)), *[None] * len(clusters)]
    return max(
        float(np.mean([mapping[c] == t for t, c in zip(y_true, y_pred, strict=True)]))
        for images in itertools.permutations(targets, len(clusters))
        for mapping in [dict(zip(clusters, images, strict=True))]
    )


@pytest.mark.parametrize(("n_classes", "n_clusters"), [(1, 1), (1, 4), (4, 1), (3, 3), (5, 5), (5, 3), (2, 4)])
@pytest.mark.parametrize("seed", range(3))
def test_accuracy_is_that_of_the_best_one_to_one_map(n_classes: int, n_clusters: int, seed: int) -> None:
    y_true, y_pred = noisy_labels(n_classes, n_clusters, n=12, seed=seed)
    assert clustering_accuracy(y_true, y_pred) == pytest.approx(accuracy_of_best_map(y_true, y_pred), abs=1e-15)


def test_samples_of_surplus_clusters_count_as_wrong() -> None:
    assert clustering_accuracy([0] * 6, [0, 0, 0, 1, 1, 2]) == 0.5


def test_classes_without_a_cluster_count_as_wrong() -> None:
    assert clustering_accuracy([0, 0, 0, 1, 2, 2], [9] * 6) == 0.5


def test_accuracy_is_optimal_where_greedy_matching_is_not() -> None:
    # The largest count (4) lies on the worse diagonal: 4 + 0 < 3 + 3.
    y_true = [0] * 4 + [0] * 3 + [1] * 3
    y_pred = [0] * 4 + [1] * 3 + [0] * 3
    assert clustering_accuracy(y_true, y_pred) == 0.6


@pytest.mark.parametrize(("n_classes", "n_clusters"), [(1, 5), (5, 1), (2, 3), (10, 10), (10, 7), (40, 100)])
@pytest.mark.parametrize("average", ["arithmetic", "geometric"])
def test_nmi_equals_scikit_learn(n_classes: int, n_clusters: int, average: str) -> None:
    y_true, y_pred = noisy_labels(n_classes, n_clusters)
    expected = normalized_mutual_info_score(y_true, y_pred, average_method=average)
    assert nmi(y_true, y_pred, average) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n_classes", "n_clusters"), [(1, 5), (5, 1), (2, 3), (10, 10), (10, 7), (40, 100)])
def test_ari_equals_scikit_learn(n_classes: int, n_clusters: int) -> None:
    y_true, y_pred = noisy_labels(n_classes, n_clusters)
    assert ari(y_true, y_pred) == pytest.approx(adjusted_rand_score(y_true, y_pred), abs=1e-12)


@pytest.mark.parametrize(
    ("y_true", "y_pred"),
    [
        ([0], [3]),
        ([0, 0, 0], [1, 1, 1]),
        ([0, 0, 0], [0, 1, 2]),
        ([0, 1, 2], [0, 1, 2]),
        ([0, 1, 2], [5, 5, 5]),
        ([0, 1], [1, 0]),
        ([0, 0, 1, 1], [0, 1, 0, 1]),
    ],
)
def test_degenerate_partitions_follow_scikit_learn(y_true: list[int], y_pred: list[int]) -> None:
    scores = evaluate_clustering(y_true, y_pred)
    assert scores["nmi"] == pytest.approx(normalized_mutual_info_score(y_true, y_pred), abs=1e-15)
    geometric = normalized_mutual_info_score(y_true, y_pred, average_method="geometric")
    assert scores["nmi_geometric"] == pytest.approx(geometric, abs=1e-15)
    assert scores["ari"] == pytest.approx(adjusted_rand_score(y_true, y_pred), abs=1e-15)


@pytest.mark.parametrize("n", [5, 56, 63, 2999])
def test_nmi_of_one_class_and_many_clusters_is_zero_exactly(n: int) -> None:
    """With 56 clusters of one sample each, rounding left 7e-9 to the geometric mean."""
    one, many = np.zeros(n, dtype=int), np.arange(n)
    for average in ("arithmetic", "geometric"):
        assert nmi(one, many, average) == nmi(many, one, average) == 0.0


def test_nmi_is_arithmetic_unless_told_otherwise() -> None:
    y_true, y_pred = noisy_labels(3, 9)
    assert nmi(y_true, y_pred) == nmi(y_true, y_pred, "arithmetic") < nmi(y_true, y_pred, "geometric")


def test_unknown_average_is_refused() -> None:
    with pytest.raises(ValueError, match="'arithmetic' or 'geometric', not 'max'"):
        nmi([0, 1], [0, 1], "max")  # type: ignore[arg-type]


def test_ari_is_exact_where_pair_counts_pass_64_bits() -> None:
    y_true = np.zeros(200_000, dtype=np.int32)
    y_true[:2] = 1
    y_pred = np.roll(y_true, 1)
    # Computed in whole numbers from the pair counts of the 2 x 2 table [[199997, 1], [1, 1]].
    n, same = 200_000, 199_998 * 199_997 + 2
    together = 199_997 * 199_996
    expected = same * same / (n * (n - 1))
    assert ari(y_true, y_pred) == pytest.approx((together - expected) / (same - expected), rel=1e-9)
    assert ari(y_true, y_pred) == pytest.approx(adjusted_rand_score(y_true, y_pred), rel=1e-9)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.uint64])
def test_table_counts_samples_for_every_integer_type(dtype: type) -> None:
    y_true, y_pred = noisy_labels(10, 7)
    table = contingency_table(y_true.astype(dtype), y_pred.astype(dtype))
    assert table.dtype == np.int64
    np.testing.assert_array_equal(table, contingency_matrix(y_true, y_pred))


def test_table_of_many_small_labels_does_not_overflow_their_type() -> None:
    y_true, y_pred = noisy_labels(120, 120, n=5000)
    table = contingency_table(y_true.astype(np.uint8), y_pred.astype(np.int8))
    np.testing.assert_array_equal(table, contingency_matrix(y_true, y_pred))


@pytest.mark.parametrize("largest", [1000, 2**40, 2**63 - 1])
def test_labels_may_be_large_and_have_gaps(largest: int) -> None:
    y_true, y_pred = noisy_labels(4, 6)
    gaps = np.array([0, 3, 17, largest - 5, largest - 1, largest])
    assert evaluate_clustering(gaps[y_true], gaps[y_pred]) == evaluate_clustering(y_true, y_pred)
    np.testing.assert_array_equal(contingency_table(gaps[y_true], gaps[y_pred]), contingency_matrix(y_true, y_pred))


def test_all_scores_of_one_table_equal_those_of_the_single_functions() -> None:
    y_true, y_pred = noisy_labels(6, 8)
    assert evaluate_clustering(y_true, y_pred) == {
        "acc": clustering_accuracy(y_true, y_pred),
        "nmi": nmi(y_true, y_pred),
        "nmi_geometric": nmi(y_true, y_pred, "geometric"),
        "ari": ari(y_true, y_pred),
    }


@quickly
@given(pairs_of_labels, st.permutations(range(5)), st.permutations(range(5)))
def test_names_of_labels_do_not_matter(labels: tuple[list[int], list[int]], p: list[int], q: list[int]) -> None:
    y_true, y_pred = labels
    renamed = evaluate_clustering([p[i] for i in y_true], [q[i] for i in y_pred])
    assert renamed == pytest.approx(evaluate_clustering(y_true, y_pred), abs=1e-12)


@quickly
@given(pairs_of_labels)
def test_scores_are_symmetric(labels: tuple[list[int], list[int]]) -> None:
    y_true, y_pred = labels
    assert evaluate_clustering(y_pred, y_true) == pytest.approx(evaluate_clustering(y_true, y_pred), abs=1e-12)


@quickly
@given(pairs_of_labels)
def test_scores_keep_their_bounds(labels: tuple[list[int], list[int]]) -> None:
    y_true, y_pred = labels
    scores = evaluate_clustering(y_true, y_pred)
    largest_class, largest_cluster = np.bincount(y_true).max(), np.bincount(y_pred).max()
    assert max(1, np.ceil(largest_class / 5), np.ceil(largest_cluster / 5)) / len(y_true) <= scores["acc"] <= 1
    assert 0 <= scores["nmi"] <= scores["nmi_geometric"] + 1e-12 <= 1 + 1e-12
    assert -0.5 - 1e-12 <= scores["ari"] <= 1


@quickly
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=40))
def test_a_partition_agrees_wholly_with_itself(labels: list[int]) -> None:
    assert evaluate_clustering(labels, labels) == pytest.approx(
        dict.fromkeys(("acc", "nmi", "nmi_geometric", "ari"), 1.0)
    )


@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        ([0, 1], [0], "y_true has 2 labels and y_pred 1"),
        ([], [], "y_true is empty"),
        ([[0, 1]], [[0, 1]], r"y_true must be one-dimensional, but its shape is \(1, 2\)"),
        ([0, 1], [0.0, 1.0], "y_pred must hold integers, but its type is float64"),
        ([True, False], [0, 1], "y_true must hold integers, but its type is bool"),
        (["a", "b"], [0, 1], "y_true must hold integers"),
        ([0, 1], [0, -1], "y_pred must hold non-negative labels, but its lowest is -1"),
        (3, [0], "y_true must be one-dimensional"),
    ],
)
def test_wrong_labels_are_refused_in_one_sentence(y_true: object, y_pred: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        evaluate_clustering(y_true, y_pred)  # type: ignore[arg-type]
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
