"""Loss terms of the DDC family against independent NumPy loops, closed forms and published values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.parts.divergence import cauchy_schwarz, companion_weights, corner_weights, orthogonality
from methods.parts.kernels import gaussian_kernel, squared_distances


def random_problem(seed: int, n: int = 9, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Return soft assignments (n, k) and a Gaussian kernel matrix (n, n), in float64."""
    rng = np.random.default_rng(seed)
    assignments = rng.dirichlet(np.full(k, 0.5), size=n)
    points = rng.normal(size=(n, 3))
    kernel = np.exp(-((points[:, None] - points[None]) ** 2).sum(2) / 2)
    return assignments, kernel


def reference_divergence(assignments: np.ndarray, kernel: np.ndarray) -> float:
    """Sum the quotients of tkuco2024 Eq. 2 term by term, without its factor."""
    n, k = assignments.shape

    def overlap(i: int, j: int) -> float:
        return sum(assignments[a, i] * assignments[b, j] * kernel[a, b] for a in range(n) for b in range(n))

    return sum(overlap(i, j) / np.sqrt(overlap(i, i) * overlap(j, j)) for i in range(k) for j in range(i + 1, k))


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("epsilon", ["clamp", "root"])
def test_divergence_is_the_printed_sum_over_pairs_of_clusters(k, epsilon):
    assignments, kernel = random_problem(0, k=k)
    total = reference_divergence(assignments, kernel)
    a, q = torch.from_numpy(assignments), torch.from_numpy(kernel)
    tolerance = 1e-12 if epsilon == "clamp" else 1e-5
    assert cauchy_schwarz(a, q, epsilon=epsilon).item() == pytest.approx(total / (k * (k - 1) / 2), rel=tolerance)
    assert cauchy_schwarz(a, q, factor="classes", epsilon=epsilon).item() == pytest.approx(total / k, rel=tolerance)


def test_root_epsilon_adds_a_millionth_under_the_root():
    assignments = torch.tensor([[0.02, 0.0], [0.0, 0.04]], dtype=torch.float64)
    kernel = torch.tensor([[1.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    expected = 0.5 * 0.02 * 0.04 / np.sqrt(0.02**2 * 0.04**2 + 1e-6)
    assert cauchy_schwarz(assignments, kernel, epsilon="root").item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("epsilon", ["clamp", "root"])
def test_an_empty_cluster_gives_finite_values_and_gradients(epsilon):
    assignments = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]], requires_grad=True)
    value = cauchy_schwarz(assignments, torch.eye(3), epsilon=epsilon)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(assignments.grad).all()


def test_clamped_quotients_of_two_empty_clusters_count_as_full_overlap():
    assignments = torch.zeros(4, 2)
    assert cauchy_schwarz(assignments, torch.eye(4)).item() == pytest.approx(1.0)


def test_divergence_gradients_match_finite_differences():
    assignments, kernel = (torch.from_numpy(a).requires_grad_() for a in random_problem(1))
    for options in ({}, {"factor": "classes", "epsilon": "root"}):
        assert torch.autograd.gradcheck(lambda a, q, o=options: cauchy_schwarz(a, q, **o), (assignments, kernel))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(2, 6))
def test_divergence_lies_between_0_and_1_and_ignores_the_order_of_clusters(seed, n, k):
    assignments, kernel = (torch.from_numpy(a) for a in random_problem(seed, n, k))
    value = cauchy_schwarz(assignments, kernel).item()
    assert 0 <= value <= 1 + 1e-9
    order = torch.from_numpy(np.random.default_rng(seed).permutation(k))
    assert cauchy_schwarz(assignments[:, order], kernel).item() == pytest.approx(value, rel=1e-9)


def test_equal_clusters_overlap_fully_and_disjoint_distant_ones_not_at_all():
    kernel = torch.eye(6)
    assert cauchy_schwarz(torch.full((6, 3), 1 / 3), kernel).item() == pytest.approx(1)
    assert cauchy_schwarz(torch.eye(3).repeat(2, 1), kernel).item() < 1e-8


@pytest.mark.parametrize("options", [{"factor": "pair"}, {"epsilon": "none"}])
def test_unknown_options_of_the_divergence_are_refused(options):
    with pytest.raises(ValueError, match="must be one of"):
        cauchy_schwarz(torch.full((4, 2), 0.5), torch.eye(4), **options)


def test_a_single_cluster_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        cauchy_schwarz(torch.ones(4, 1), torch.eye(4))


def test_orthogonality_is_the_sum_or_mean_of_inner_products_over_pairs():
    assignments, _ = random_problem(2)
    n = len(assignments)
    total = sum(float(assignments[i] @ assignments[j]) for i in range(n) for j in range(i + 1, n))
    tensor = torch.from_numpy(assignments).requires_grad_()
    assert orthogonality(tensor, reduction="sum").item() == pytest.approx(total, rel=1e-12)
    assert orthogonality(tensor).item() == pytest.approx(total / (n * (n - 1) / 2), rel=1e-12)
    assert torch.autograd.gradcheck(orthogonality, (tensor,))


def test_orthogonality_refuses_a_single_sample_and_an_unknown_reduction():
    with pytest.raises(ValueError, match="at least 2"):
        orthogonality(torch.ones(1, 3))
    with pytest.raises(ValueError, match="must be one of"):
        orthogonality(torch.ones(3, 3), reduction="none")


def test_corner_weights_are_gaussian_in_the_distance_to_each_corner():
    assignments, _ = random_problem(3)
    n, k = assignments.shape
    expected = [[np.exp(-(((assignments[i] - np.eye(k)[j]) ** 2).sum())) for j in range(k)] for i in range(n)]
    tensor = torch.from_numpy(assignments).requires_grad_()
    np.testing.assert_allclose(corner_weights(tensor).detach(), expected, rtol=1e-12)
    assert torch.autograd.gradcheck(corner_weights, (tensor,))
    assert corner_weights(tensor.float()).dtype == torch.float32


@pytest.mark.parametrize(
    ("omega", "expected"),
    [
        ("constant", (1, 1, 1, 1)),
        ("linear", (0.25, 0.5, 0.75, 1)),
        ("exponential", (0.001, 0.01, 0.1, 1)),
        ("exponential-printed", (1000, 100, 10, 1)),
    ],
)
def test_companion_weights_follow_the_named_rule(omega, expected):
    assert companion_weights(4, omega) == pytest.approx(expected)


def test_companion_weights_of_no_tap_are_empty_and_unknown_rules_are_refused():
    assert companion_weights(0, "linear") == ()
    with pytest.raises(ValueError, match="must be one of"):
        companion_weights(2, "cubic")
    with pytest.raises(ValueError, match="negative"):
        companion_weights(-1, "constant")


def perfect_loss(labels: np.ndarray, *, factor: str = "pairs", reduction: str = "mean") -> float:
    """Return the DDC loss of one-hot assignments whose hidden representations coincide within clusters, far apart."""
    assignments = torch.from_numpy(np.eye(10)[labels])
    kernel = gaussian_kernel(squared_distances(100 * assignments))
    separation = cauchy_schwarz(assignments, kernel, factor=factor)
    simplex = cauchy_schwarz(corner_weights(assignments), kernel, factor=factor)
    return (separation + orthogonality(assignments, reduction=reduction) + simplex).item()


def test_perfect_clusters_reach_the_loss_that_the_thesis_reports():
    """dtkc2019 Table 7 reports losses of 0.51 to 0.54: only the mean over pairs and C(k, 2) come near (K9, K10)."""
    rng = np.random.default_rng(0)
    batches = rng.integers(0, 10, size=(500, 120))
    losses = [perfect_loss(labels) for labels in batches]
    assert np.mean(losses) == pytest.approx(0.49, abs=0.01)
    assert np.std(losses) == pytest.approx(0.02, abs=0.01)
    assert np.mean([perfect_loss(labels, reduction="sum") for labels in batches[:100]]) == pytest.approx(716, abs=4)
    assert np.mean([perfect_loss(labels, factor="classes") for labels in batches[:100]]) == pytest.approx(
        1.87, abs=0.05
    )


def test_exactly_balanced_perfect_clusters_have_loss_0_45():
    own, other = 1.0, np.exp(-2)
    simplex = (2 * own * other + 8 * other**2) / (own**2 + 9 * other**2)
    expected = 10 * 66 / 7140 + simplex
    assert expected == pytest.approx(0.45, abs=0.005)
    assert perfect_loss(np.repeat(np.arange(10), 12)) == pytest.approx(expected, rel=1e-6)
