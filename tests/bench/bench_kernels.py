"""Kernels and losses on one batch, forward and backward, and the tensor kernel beside its plain form.

The plain form is what a direct port of the authors' method does: float32 eigendecompositions of Gram matrices, one
product for all pairs, and automatic differentiation through all of it.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from methods.parts.divergence import cauchy_schwarz
from methods.parts.kernels import squared_distances, tensor_distances
from tests.support.plain_kernels import plain_eigh_distances

SAMPLES = 120
PEAK_SIZE = 2000
SHAPES = ((20, 20, 32), (10, 10, 32), (12, 12, 32), (3, 3, 32))
COMPARED = SHAPES[:2]


def named(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def feature_maps(shape: tuple[int, int, int]) -> Tensor:
    """Return rectified random maps (n, channels, height, width) as the network gives them: channels_last."""
    height, width, channels = shape
    maps = torch.randn(SAMPLES, channels, height, width, generator=torch.Generator().manual_seed(0)).relu()
    return maps.contiguous(memory_format=torch.channels_last).requires_grad_()


def random_gradient() -> Tensor:
    """Return a gradient with respect to distances (n, n): symmetric, with all entries different from zero."""
    gradient = torch.rand(SAMPLES, SAMPLES, generator=torch.Generator().manual_seed(1))
    return gradient + gradient.T


def pair_operations(shape: tuple[int, int, int]) -> float:
    """Return the floating-point operations of all pair products, forward and backward, the cheaper way for each mode.

    For a mode with D rows and M columns, transposed to D <= M, using symmetry: block products of all pairs, forward and
    backward, 3 n^2 D^2 M; or products of flattened projectors, and forming these, 2 n^2 M^2 (1 + 2 D / n). The factors
    are left out: they are about a hundredth.
    """
    height, width, channels = shape
    entries = height * width * channels
    total = 0.0
    for size in shape:
        rows, columns = sorted((size, entries // size))
        flattened = 2 * columns**2 * (1 + 2 * rows / SAMPLES)
        total += SAMPLES**2 * min(3 * rows**2 * columns, flattened)
    return total


def test_matrix_product(benchmark: Any) -> None:
    square = torch.randn(PEAK_SIZE, PEAK_SIZE, generator=torch.Generator().manual_seed(0))
    benchmark.extra_info["flops"] = 2.0 * PEAK_SIZE**3
    benchmark.pedantic(torch.mm, (square, square), rounds=10, warmup_rounds=2)


@pytest.mark.parametrize("shape", SHAPES, ids=named)
def test_tensor_distances(benchmark: Any, shape: tuple[int, int, int]) -> None:
    x, gradient = feature_maps(shape), random_gradient()
    if shape != (3, 3, 32):  # too small for its products to be the work
        benchmark.extra_info["flops"] = pair_operations(shape)
    benchmark.pedantic(lambda: torch.autograd.grad(tensor_distances(x), x, gradient), rounds=10, warmup_rounds=2)


@pytest.mark.parametrize("shape", COMPARED, ids=named)
def test_plain_eigh_distances(benchmark: Any, shape: tuple[int, int, int]) -> None:
    x, gradient = feature_maps(shape), random_gradient()
    # What is timed against the exact kernel computes the same distances.
    torch.testing.assert_close(plain_eigh_distances(x), tensor_distances(x), rtol=1e-3, atol=1e-2)
    benchmark.pedantic(lambda: torch.autograd.grad(plain_eigh_distances(x), x, gradient), rounds=4, warmup_rounds=1)


@pytest.mark.parametrize("features", [100, 3200])
def test_squared_distances(benchmark: Any, features: int) -> None:
    x = torch.randn(SAMPLES, features, generator=torch.Generator().manual_seed(0)).requires_grad_()
    gradient = random_gradient()
    benchmark.pedantic(lambda: torch.autograd.grad(squared_distances(x), x, gradient), rounds=100, warmup_rounds=5)


@pytest.mark.parametrize("k", [10, 100])
def test_cauchy_schwarz(benchmark: Any, k: int) -> None:
    generator = torch.Generator().manual_seed(0)
    assignments = torch.randn(SAMPLES, k, generator=generator).softmax(dim=1).requires_grad_()
    kernel = torch.exp(-squared_distances(torch.randn(SAMPLES, 2, generator=generator))).requires_grad_()
    inputs = (assignments, kernel)
    benchmark.pedantic(lambda: torch.autograd.grad(cauchy_schwarz(*inputs), inputs), rounds=100, warmup_rounds=5)
