"""Assignments, targets and divergence of DEC against the formulas in NumPy's float64, and known values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from methods.parts.refinement import clustering_divergence, student_t, target_distribution


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=scale, size=shape)


def numpy_student_t(z: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return idec2017 Eq. 3 entry by entry."""
    q = np.empty((len(z), len(centres)))
    for i, point in enumerate(z):
        for j, centre in enumerate(centres):
            q[i, j] = 1 / (1 + np.sum((point - centre) ** 2))
        q[i] /= q[i].sum()
    return q


def numpy_target(q: np.ndarray) -> np.ndarray:
    """Return idec2017 Eq. 4 entry by entry."""
    frequency = [sum(row[j] for row in q) for j in range(q.shape[1])]
    p = np.array([[row[j] ** 2 / frequency[j] for j in range(q.shape[1])] for row in q])
    return np.array([row / row.sum() for row in p])


def floored_divergence(p: np.ndarray, q: np.ndarray) -> float:
    """Return Keras' divergence: both sides are at least 1e-7, its constant epsilon."""
    low_p, low_q = np.maximum(p, 1e-7), np.maximum(q, 1e-7)
    return float((low_p * np.log(low_p / low_q)).sum() / len(p))


def numpy_gradients(p: np.ndarray, z: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return idec2017 Eq. 9 and 10: the gradients of the sum of all samples' divergences, with p held."""
    q = numpy_student_t(z, centres)
    by_point, by_centre = np.zeros_like(z), np.zeros_like(centres)
    for i in range(len(z)):
        for j in range(len(centres)):
            pull = 2 * (p[i, j] - q[i, j]) * (z[i] - centres[j]) / (1 + np.sum((z[i] - centres[j]) ** 2))
            by_point[i] += pull
            by_centre[j] -= pull
    return by_point, by_centre


def torch64(x: np.ndarray) -> Tensor:
    return torch.from_numpy(x).requires_grad_()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_assignments_are_those_of_the_formula(dtype, tolerance, scale):
    z, centres = normal(40, 10, scale=scale), normal(7, 10, seed=1, scale=scale)
    soft = student_t(torch.from_numpy(z).to(dtype), torch.from_numpy(centres).to(dtype))
    assert soft.dtype == dtype
    np.testing.assert_allclose(soft.numpy(), numpy_student_t(z, centres), rtol=20 * tolerance, atol=tolerance)


def test_assignments_at_known_distances():
    soft = student_t(torch.tensor([[0.0, 0.0], [3.0, 0.0]]), torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]]))
    # Kernels 1/(1 + d^2): 1, 1/2, 1/5 and 1/10, 1/5, 1/14.
    expected = torch.tensor([[10.0, 5.0, 2.0], [7.0, 14.0, 5.0]])
    torch.testing.assert_close(soft, expected / expected.sum(dim=1, keepdim=True))


def test_far_from_the_origin_close_points_keep_their_distances():
    # |z|^2 + |m|^2 - 2 z'm would lose them in float32.
    z, centres = normal(20, 10, scale=0.1), normal(4, 10, seed=1, scale=0.1)
    far = student_t(torch.from_numpy(z).float() + 100, torch.from_numpy(centres).float() + 100)
    np.testing.assert_allclose(far.numpy(), numpy_student_t(z, centres), atol=1e-4)


def test_targets_are_those_of_the_formula():
    q = numpy_student_t(normal(50, 4), normal(6, 4, seed=1))
    np.testing.assert_allclose(target_distribution(torch.from_numpy(q)).numpy(), numpy_target(q), rtol=1e-12)
    soft = target_distribution(torch.from_numpy(q).float())
    np.testing.assert_allclose(soft.numpy(), numpy_target(q), rtol=1e-5)


def test_targets_of_known_assignments():
    soft = torch.tensor([[0.5, 0.5], [0.25, 0.75]])
    # Frequencies 3/4 and 5/4: weights 1/3, 1/5 and 1/12, 9/20.
    expected = torch.tensor([[5.0, 3.0], [5.0, 27.0]])
    torch.testing.assert_close(target_distribution(soft), expected / expected.sum(dim=1, keepdim=True))


@pytest.mark.parametrize("distance", [1e3, 1e6, 1e12])
def test_a_cluster_far_from_all_samples_keeps_everything_finite(distance):
    centres = torch.from_numpy(normal(3, 4)).float()
    centres[2] += distance
    points, middles = torch.from_numpy(normal(8, 4, seed=1)).float().requires_grad_(), centres.requires_grad_()
    soft = student_t(points, middles)
    target = target_distribution(soft.detach())
    assert (soft.argmax(dim=1) != 2).all()
    loss = clustering_divergence(target, soft)
    for tensor in (target, loss, *torch.autograd.grad(loss, (points, middles))):
        assert torch.isfinite(tensor).all()
    near = target_distribution(student_t(points, middles[:2]).detach())
    torch.testing.assert_close(target[:, :2], near, atol=1e-2, rtol=0)


def test_divergence_is_the_mean_over_samples_of_sums_over_clusters():
    q = numpy_student_t(normal(30, 4), normal(5, 4, seed=1))
    p = numpy_target(q)
    found = clustering_divergence(torch.from_numpy(p), torch.from_numpy(q))
    assert found.ndim == 0
    assert float(found) == pytest.approx((p * np.log(p / q)).sum() / 30, rel=1e-9)
    assert float(clustering_divergence(torch.from_numpy(p), torch.from_numpy(p))) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("small", [0.0, 1e-9, 1e-7, 3e-7, 1e-6])
@pytest.mark.parametrize("side", ["targets", "assignments"])
def test_probabilities_below_1e_7_count_as_1e_7_and_no_others_are_raised(side, small):
    even, sharp = np.array([[0.5, 0.5]]), np.array([[1 - small, small]])
    p, q = (sharp, even) if side == "targets" else (even, sharp)
    found = float(clustering_divergence(torch.from_numpy(p), torch.from_numpy(q)))
    assert found == pytest.approx(floored_divergence(p, q), rel=1e-12, abs=0)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 12), k=st.integers(2, 6), scale=st.sampled_from([0.01, 1.0, 50.0]), seed=st.integers(0, 99))
def test_assignments_and_targets_are_distributions_and_the_divergence_is_no_less_than_zero(n, k, scale, seed):
    soft = student_t(
        torch.from_numpy(normal(n, 3, seed=seed, scale=scale)), torch.from_numpy(normal(k, 3, seed=seed + 1))
    )
    target = target_distribution(soft)
    for rows in (soft, target):
        assert (rows >= 0).all()
        torch.testing.assert_close(rows.sum(dim=1), torch.ones(n, dtype=torch.float64))
    assert float(clustering_divergence(target, soft)) >= -1e-12


def test_targets_are_sharper_than_assignments_of_balanced_clusters():
    centres = np.eye(4) * 3
    soft = student_t(
        torch.from_numpy(np.repeat(centres, 5, axis=0) + normal(20, 4, scale=0.5)), torch.from_numpy(centres)
    )
    target = target_distribution(soft)
    assert (target.max(dim=1).values > soft.max(dim=1).values).all()
    assert torch.equal(target.argmax(dim=1), soft.argmax(dim=1))


def test_targets_favour_the_smaller_of_two_clusters():
    # The frequency divides: a point between a large and a small cluster goes to the small one.
    soft = torch.tensor([[0.9, 0.1]] * 8 + [[0.1, 0.9]] * 2 + [[0.5, 0.5]])
    assert float(target_distribution(soft)[-1, 1]) > 0.5


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_gradients_are_those_of_equations_9_and_10(scale):
    z, centres = normal(25, 10, scale=scale), normal(6, 10, seed=1, scale=scale)
    p = numpy_target(numpy_student_t(normal(25, 10, seed=2), centres))  # of other weights, as between two updates
    points, middles = torch64(z), torch64(centres)
    loss = clustering_divergence(torch.from_numpy(p), student_t(points, middles))
    found = torch.autograd.grad(loss, (points, middles))
    for ours, truth in zip(found, numpy_gradients(p, z, centres), strict=True):
        np.testing.assert_allclose(ours.numpy(), truth / len(z), rtol=1e-7, atol=1e-12)  # ours is a mean (ledger I9)


def test_gradients_in_float32_are_close_to_those_in_float64():
    z, centres = normal(256, 10, scale=3.0), normal(10, 10, seed=1, scale=3.0)
    p = numpy_target(numpy_student_t(z, centres))
    points, middles = (torch.from_numpy(x).float().requires_grad_() for x in (z, centres))
    loss = clustering_divergence(torch.from_numpy(p).float(), student_t(points, middles))
    for ours, truth in zip(torch.autograd.grad(loss, (points, middles)), numpy_gradients(p, z, centres), strict=True):
        error = np.linalg.norm(ours.numpy() - truth / len(z)) / np.linalg.norm(truth / len(z))
        assert error < 1e-4


def test_a_point_on_a_centre_has_finite_gradients():
    centres = torch64(normal(3, 4))
    points = torch64(centres.detach().numpy().copy())
    soft = student_t(points, centres)
    loss = clustering_divergence(target_distribution(soft).detach(), soft)
    for gradient in torch.autograd.grad(loss, (points, centres)):
        assert torch.isfinite(gradient).all()
