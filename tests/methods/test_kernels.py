"""Squared distances and Gaussian kernels against independent NumPy loops and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.parts.kernels import gaussian_kernel, squared_distances, tensor_distances


def reference_distances(x: np.ndarray) -> np.ndarray:
    n = len(x)
    return np.array([[((x[i].astype(float) - x[j].astype(float)) ** 2).sum() for j in range(n)] for i in range(n)])


@pytest.mark.parametrize("shape", [(1, 3), (7, 5), (6, 4, 3, 2)])
def test_squared_distances_flatten_and_equal_the_loop_over_pairs(shape):
    x = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_allclose(squared_distances(torch.from_numpy(x)), reference_distances(x), rtol=1e-12, atol=1e-12)
    single = squared_distances(torch.from_numpy(x).float())
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single, reference_distances(x), rtol=2e-6, atol=2e-6)


def test_squared_distances_far_from_the_origin_keep_their_digits():
    x = (1000 + np.random.default_rng(1).normal(size=(20, 50))).astype(np.float32)
    truth = reference_distances(x)
    assert np.abs(squared_distances(torch.from_numpy(x)).numpy() - truth).max() < 1e-6 * truth.max()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-3, 1e3))
def test_squared_distances_are_symmetric_and_non_negative_with_zero_diagonal(seed, scale):
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(11, 8)) * scale).float()
    x[3] = x[4]
    x[5:] = x[5] * (1 + 1e-6 * torch.arange(6))[:, None]  # so close that rounding decides the sign
    d2 = squared_distances(x)
    assert torch.equal(d2, d2.T)
    assert (d2 >= 0).all()
    assert torch.equal(d2.diagonal(), torch.zeros(11))


def test_squared_distance_gradients_match_finite_differences():
    x = torch.from_numpy(np.random.default_rng(2).normal(size=(5, 2, 3))).requires_grad_()
    assert torch.autograd.gradcheck(squared_distances, (x,))


def test_the_authors_gradient_of_distances_is_their_formula_for_an_incoming_gradient():
    x = torch.randn(7, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    g = torch.randn(7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    d2 = squared_distances(x, gradient="authors")
    assert torch.equal(d2, squared_distances(x))
    (found,) = torch.autograd.grad(d2, x, g)
    rows, given = x.detach().reshape(7, 6).numpy(), g.numpy()
    expected = np.zeros_like(rows)
    for i in range(7):
        for j in range(7):
            expected[i] += 4 * given[i, j] * (rows[i] - rows[j])
    np.testing.assert_allclose(found.reshape(7, 6), expected, rtol=1e-10, atol=1e-10)


def test_the_authors_gradient_is_the_true_one_for_symmetric_incoming_gradients_only():
    x = torch.randn(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    g = torch.randn(9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def gradients(incoming: torch.Tensor) -> list[torch.Tensor]:
        return [
            torch.autograd.grad(squared_distances(x, gradient=rule), x, incoming)[0] for rule in ("exact", "authors")
        ]

    exact, authors = gradients(g + g.T)
    np.testing.assert_allclose(authors, exact, rtol=1e-9, atol=1e-9)
    exact, authors = gradients(g.triu(1))
    assert torch.cosine_similarity(exact.flatten(), authors.flatten(), dim=0) < 0.95


def test_an_unknown_gradient_of_distances_is_refused():
    with pytest.raises(ValueError, match="exact, authors"):
        squared_distances(torch.zeros(2, 2), gradient="symmetric")


def test_gradients_of_identical_samples_vanish():
    x = torch.full((6, 4), 0.1, requires_grad=True)
    squared_distances(x).sum().backward()
    assert x.grad.abs().max() < 1e-5


@pytest.mark.parametrize("n", [4, 5])
@pytest.mark.parametrize("average", ["median", "mean"])
def test_kernel_widths_follow_the_three_published_rules(n, average):
    x = np.random.default_rng(n).normal(size=(n, 3))
    d2 = reference_distances(x)
    middle = {"median": np.median, "mean": np.mean}[average]
    widths = {
        "paper": 2 * (0.15 * middle(np.sqrt(d2))) ** 2,
        "tkuco": 2 * 0.15 * middle(d2),
        "dtkc": 0.15 * middle(d2),
    }
    for rule, scale in widths.items():
        kernel = gaussian_kernel(torch.from_numpy(d2), rule=rule, average=average)
        np.testing.assert_allclose(kernel, np.exp(-d2 / scale), rtol=1e-10)
        wide = gaussian_kernel(torch.from_numpy(d2), rule=rule, average=average, bandwidth="sqrt2sigma")
        np.testing.assert_allclose(wide, np.exp(-d2 / (2 * scale)), rtol=1e-10)


def test_default_width_is_15_per_cent_of_the_median_distance():
    d2 = torch.tensor([[0.0, 4.0, 4.0], [4.0, 0.0, 4.0], [4.0, 4.0, 0.0]])
    assert gaussian_kernel(d2)[0, 1].item() == pytest.approx(np.exp(-4 / (2 * 0.3**2)), rel=1e-5)
    assert gaussian_kernel(d2, width=1.0)[0, 1].item() == pytest.approx(np.exp(-0.5), rel=1e-6)


def test_the_width_is_a_constant_for_the_gradient():
    d2 = torch.from_numpy(reference_distances(np.random.default_rng(3).normal(size=(6, 2)))).requires_grad_()
    gaussian_kernel(d2).sum().backward()
    values = d2.detach().numpy()
    scale = 2 * (0.15 * np.median(np.sqrt(values))) ** 2
    np.testing.assert_allclose(d2.grad, -np.exp(-values / scale) / scale, rtol=1e-9)


@pytest.mark.parametrize("rule", ["paper", "tkuco", "dtkc"])
def test_identical_samples_have_kernel_one_and_finite_gradients(rule):
    x = torch.full((8, 5), 0.3, requires_grad=True)
    kernel = gaussian_kernel(squared_distances(x), rule=rule)
    kernel.sum().backward()
    assert torch.equal(kernel, torch.ones(8, 8))
    assert torch.isfinite(x.grad).all()


def test_a_batch_of_mostly_identical_samples_gives_no_nan():
    x = torch.zeros(10, 4)
    x[0] = 1
    x.requires_grad_()
    kernel = gaussian_kernel(squared_distances(x))
    kernel.sum().backward()
    assert torch.isfinite(kernel).all()
    assert torch.isfinite(x.grad).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["paper", "tkuco", "dtkc"]), st.booleans())
def test_kernels_are_symmetric_and_positive_semi_definite(seed, rule, tensor):
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(10, 3, 3, 4)))
    kernel = gaussian_kernel(tensor_distances(x) if tensor else squared_distances(x), rule=rule)
    assert torch.equal(kernel, kernel.T)
    assert torch.linalg.eigvalsh(kernel).min() > -1e-10
    assert torch.equal(kernel.diagonal(), torch.ones(10, dtype=torch.float64))


@pytest.mark.parametrize("options", [{"rule": "thesis"}, {"average": "mode"}, {"bandwidth": "half"}])
def test_unknown_options_are_refused(options):
    with pytest.raises(ValueError, match="must be one of"):
        gaussian_kernel(torch.zeros(3, 3), **options)


def test_negligible_entries_keep_their_value_and_give_no_gradient():
    d2 = torch.tensor([[0.0, 1.0, 40.0], [1.0, 0.0, 9.0], [40.0, 9.0, 0.0]], dtype=torch.float64).requires_grad_()
    kernel = gaussian_kernel(d2, width=0.5, rule="dtkc", average="mean", negligible=1e-2)
    scale = 0.5 * d2.detach().mean()  # dtkc: width times the average of the squares
    expected = torch.exp(-d2.detach() / scale)
    torch.testing.assert_close(kernel.detach(), expected)
    kernel.sum().backward()
    small = expected < 1e-2
    assert small.any() and not small.all()
    torch.testing.assert_close(d2.grad, torch.where(small, 0.0, -expected / scale))
