"""Squared distances between samples, and the Gaussian kernels built on them.

The naive kernel compares flattened tensors (tkuco2024 Eq. 9-10), the tensor kernel compares the subspaces spanned by
their matricisations (Eq. 12-17). All functions are pure and differentiable, run on any device without synchronising
with the host, and return the dtype of their input.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from methods.parts.projectors import eigh32_factors, exact_factors, matricisations, projector_distances

Gradient = Literal["exact", "authors"]
Form = Literal["projector", "trace"]
Solver = Literal["exact", "eigh32"]
WidthRule = Literal["paper", "tkuco", "dtkc"]
Average = Literal["median", "mean"]
Bandwidth = Literal["sigma", "sqrt2sigma"]

SMALLEST_SCALE = 1e-12
"""Floor of 2 sigma^2, for batches whose samples are all the same."""


def squared_distances(x: Tensor, *, gradient: Gradient = "exact") -> Tensor:
    """Return the squared Euclidean distances between all samples.

    Parameters
    ----------
    x : Tensor, shape (n, ...)
        Samples; all but the first dimension are flattened.
    gradient : {"exact", "authors"}
        How they are differentiated (ledger K15). "authors" is what the code of dtkc2019 and tkuco2024 has in place of
        the derivative: 4 (x_i sum_j g_ij - sum_j g_ij x_j) for an incoming gradient g, right only for symmetric g.

    Returns
    -------
    Tensor, shape (n, n)
        Non-negative, exactly symmetric, with an exactly zero diagonal.

    Raises
    ------
    ValueError
        For an unknown gradient.
    """
    flat = x.flatten(1)
    # Distances do not see a shift, but rounding grows with the distance to the origin.
    flat = flat - flat.detach().mean(dim=0)
    if gradient == "authors":
        authors: Tensor = _AuthorsDistances.apply(flat)
        return authors
    if gradient != "exact":
        raise ValueError(f"gradient must be one of exact, authors, not {gradient!r}.")
    return _distances_of_rows(flat)


def _distances_of_rows(flat: Tensor) -> Tensor:
    inner = flat @ flat.T
    squares = inner.diagonal()
    return (squares[:, None] + squares[None, :] - (inner + inner.T)).clamp_min(0)


class _AuthorsDistances(torch.autograd.Function):
    """Squared distances (n, n) between rows (n, d), with the gradient of the authors' code (ledger K15)."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor) -> Tensor:
        ctx.save_for_backward(flat)
        return _distances_of_rows(flat)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (flat,) = ctx.saved_tensors
        result: Tensor = 4 * (flat * g.sum(dim=1, keepdim=True) - g @ flat)
        return result


def tensor_distances(
    x: Tensor,
    *,
    transpose: bool = True,
    form: Form = "projector",
    solver: Solver = "exact",
    ridge: float = 1e-6,
) -> Tensor:
    """Return the squared Grassmann distances between tensors, summed over their modes (tkuco2024 Eq. 13-17).

    Parameters
    ----------
    x : Tensor, shape (n, D_1, ..., D_r)
        Samples, batch first; the order of the modes makes no difference. Vectors, shape (n, D), have one mode: with
        `transpose` they are compared as lines through the origin, blind to sign and scale (ledger K5).
    transpose : bool
        Whether matricisations with more rows than columns are transposed, as the thesis does; the authors' code does
        not (ledger K3). Untransposed, the rows of such a matrix span nearly always everything.
    form : {"projector", "trace"}
        "projector" is Eq. 16, ||P_i - P_j||_F^2, zero on the diagonal. "trace" is Eq. 17, 2 (D_m - tr(P_i P_j)) with
        D_m the number of rows compared, which is 2 (D_m - rank) on the diagonal: the two differ for rank-deficient
        matricisations (ledger K14).
    solver : {"exact", "eigh32"}
        "exact" uses a float64 Cholesky factor and an analytic gradient. "eigh32" uses a float32 eigendecomposition, as
        the authors' code, with its wrong gradients for rank-deficient matricisations (ledger K13); it raises
        `torch.linalg.LinAlgError` for input that is not finite, where "exact" returns NaN.
    ridge : float
        Added to the Gram matrix X X^T, in its units. Absolute, as in the authors' code; "exact" raises it for Gram
        matrices of trace above 1e7, which float64 could not factorise otherwise.

    Returns
    -------
    Tensor, shape (n, n)
        Non-negative and exactly symmetric.

    Raises
    ------
    ValueError
        For samples without a dimension, or an unknown form or solver.
    """
    if x.ndim < 2:
        raise ValueError(f"tensor_distances needs samples of shape (n, D_1, ..., D_r), not {tuple(x.shape)}.")
    _check("form", form, ("projector", "trace"))
    _check("solver", solver, ("exact", "eigh32"))
    solve = exact_factors if solver == "exact" else eigh32_factors
    total = x.new_zeros(())
    for matrices in matricisations(x, transpose):
        factors, traces = solve(matrices, ridge)
        # Before the distances: autograd adds gradients in the order in which their nodes were made.
        deficit = matrices.shape[1] - traces() if form == "trace" else None
        distances = projector_distances(factors)
        if deficit is not None:
            # 2 (D - tr(P_i P_j)) = ||P_i - P_j||^2 + (D - tr(P_i^2)) + (D - tr(P_j^2))
            distances = (distances + (deficit[:, None] + deficit[None, :])).clamp_min(0)
        total = total + distances.to(x.dtype)
    return total


def gaussian_kernel(
    d2: Tensor,
    width: float = 0.15,
    rule: WidthRule = "paper",
    average: Average = "median",
    bandwidth: Bandwidth = "sigma",
    negligible: float = 0.0,
) -> Tensor:
    """Return the Gaussian kernel exp(-d^2 / (2 sigma^2)), with a width relative to the distances of the batch.

    Parameters
    ----------
    d2 : Tensor, shape (n, n)
        Squared distances.
    width : float
        Relative width.
    rule : {"paper", "tkuco", "dtkc"}
        What `width` multiplies (ledger K1). "paper": sigma = width * average(d), so 2 sigma^2 = 2 width^2 average(d)^2.
        "tkuco": 2 sigma^2 = 2 width * average(d^2). "dtkc": 2 sigma^2 = width * average(d^2).
    average : {"median", "mean"}
        Over all n * n entries, with the diagonal (ledger K2).
    bandwidth : {"sigma", "sqrt2sigma"}
        "sqrt2sigma" replaces sigma by sqrt(2) sigma, for which the kernel is the exact inner product of kernel density
        estimates of width sigma (ledger K12).
    negligible : float
        Entries below it give no gradient (ledger D9). `tensor_distances` then leaves out the pairs without any.

    Returns
    -------
    Tensor, shape (n, n)

    Notes
    -----
    sigma is a constant for the gradient: the papers do not say, the code of tkuco2024 does so. Where all samples are
    the same, 2 sigma^2 is kept at `SMALLEST_SCALE` and the kernel is 1.
    """
    _check("rule", rule, ("paper", "tkuco", "dtkc"))
    _check("average", average, ("median", "mean"))
    _check("bandwidth", bandwidth, ("sigma", "sqrt2sigma"))
    entries = d2.detach().flatten()
    if rule == "paper":
        scale = 2 * (width * _average(entries.sqrt(), average)) ** 2
    else:
        scale = {"tkuco": 2 * width, "dtkc": width}[rule] * _average(entries, average)
    if bandwidth == "sqrt2sigma":
        scale = 2 * scale
    kernel = torch.exp(-d2 / scale.clamp_min(SMALLEST_SCALE))
    return torch.where(kernel < negligible, kernel.detach(), kernel) if negligible > 0 else kernel


def _average(values: Tensor, average: Average) -> Tensor:
    if average == "mean":
        return values.mean()
    # torch.median gives the lower of the two middle values, so that of the negated values gives the upper.
    return (values.median() - (-values).median()) / 2


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}.")
