"""Orthogonal projectors of matricisations, and the distances between them (tkuco2024 Eq. 14-17).

A matrix X with D rows and M columns has the row-space projector P = X^T (X X^T + r I)^-1 X. The ridge r makes it
defined and smooth for every X: directions whose squared singular value is far above r count fully, those far below not
at all, so that a rank-deficient matrix gets the projector of its pseudo-inverse, and the zero matrix gets P = 0 with
zero gradient.

P needs no eigendecomposition. A factor W with W^T W = P comes from a float64 Cholesky factor of the small Gram matrix,
and tr(P_i P_j) = ||W_i W_j^T||_F^2. Flat image backgrounds make feature columns equal and Gram matrices singular;
float32 eigenvectors are then noise and give wrong gradients (ledger K13).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

RELATIVE_RIDGE = 1e-13
"""Ridge as a fraction of the trace of the Gram matrix: well above the float64 rounding of its entries, so that the
Cholesky factorisation succeeds at any scale; below the absolute ridge unless the trace exceeds 1e7."""

EIGENVALUE_GAP = 1e-8
"""Pairs of eigenvalues closer than this give no gradient to eigenvectors (ledger K8)."""

PANEL_ROWS = 240
"""Rows of one panel of block products: large enough for a fast product, small enough to leave half of the work out."""

STRIPE_COLUMNS = 50
"""Columns of one stripe of flattened projectors."""

FEW_PAIRS = 0.15
"""Share of pairs with a gradient below which the backward, on a CPU, goes through these pairs alone."""

PAIR_CHUNK = 64
"""Pairs that are gathered at a time: their factors stay in the cache."""


def matricisations(x: Tensor, transpose: bool) -> Iterator[Tensor]:
    """Yield the matricisation of every mode of `x`, each of shape (n, D, M), columns in an arbitrary fixed order.

    `x` has shape (n, D_1, ..., D_r). With `transpose`, a matrix with more rows than columns is transposed (dtkc2019
    section 12.1.2, ledger K3). Modes come in memory order, so that all but the inner ones are views of channels-last
    and channels-first tensors alike.
    """
    order = sorted(range(1, x.ndim), key=lambda mode: -x.stride()[mode])
    x = x.permute(0, *order)
    for mode in range(1, x.ndim):
        matrices = x.movedim(mode, 1).flatten(2) if x.ndim > 2 else x.unsqueeze(2)
        yield matrices.mT if transpose and matrices.shape[1] > matrices.shape[2] else matrices


Traces = Callable[[], Tensor]
"""Gives tr(P^2) of shape (n,), where it is asked for."""


def exact_factors(matrices: Tensor, ridge: float) -> tuple[Tensor, Traces]:
    """Return factors of the row-space projectors P of `matrices` (n, D, M), and what gives tr(P^2).

    The factors W satisfy W^T W = P, shape (n, D, M), or W^T W = I - P, shape (n, M, M), where D > M: the rows then
    nearly always span the whole space and the complement is small. Distances are the same either way.
    """
    rows, columns = matrices.shape[1:]
    if rows <= columns:
        factors = _RowSpace.apply(matrices, ridge)
        return factors, lambda: _squared_norms(factors)
    factors = _Complement.apply(matrices, ridge)
    return factors, lambda: columns - 2 * factors.square().sum(dim=(1, 2)) + _squared_norms(factors)


def eigh32_factors(matrices: Tensor, ridge: float) -> tuple[Tensor, Traces]:
    """Return the factors and traces of `exact_factors` as the code of tkuco2024 has them (ledger K8, K13), in float32.

    W = (max(L, 0) + ridge)^-1/2 U^T X, with the float32 eigendecomposition U L U^T of the Gram matrix X X^T, whose size
    is the number of rows of X. The gradient goes through the eigenvectors and is wrong for rank-deficient matrices.
    """
    x = matrices.float()
    values, vectors = _MaskedEigh.apply(x @ x.mT)
    factors = (values.clamp_min(0) + ridge).rsqrt()[:, :, None] * (vectors.mT @ x)
    return factors, lambda: _squared_norms(factors)


def projector_distances(factors: Tensor) -> Tensor:
    """Return ||P_i - P_j||_F^2, shape (n, n), for P = W^T W and `factors` W of shape (n, D, M).

    Exactly symmetric with a zero diagonal. Two ways, the cheaper by operation count: block products W_i W_j^T, as
    tr(P_i P_j) = ||W_i W_j^T||_F^2, or inner products of the flattened projectors.
    """
    n, rows, columns = factors.shape
    stripes = math.ceil(columns / STRIPE_COLUMNS)
    flattened = 2 * columns**2 * (1 + 1 / stripes) * (1 + 2 * rows / n)
    blocks = 3 * rows**2 * columns
    # Flattened products read and write more for each operation: about half the speed, measured on a CPU.
    way = _FlattenedDistances if 2 * flattened < blocks else _BlockDistances
    return way.apply(factors)  # type: ignore[no-any-return]


def _squared_norms(factors: Tensor) -> Tensor:
    return (factors @ factors.mT).square().sum(dim=(1, 2))


def _regularised_factor(gram: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Return the inverse Cholesky factor of `gram` + r I, which is overwritten, and r of shape (n, 1, 1)."""
    diagonal = gram.diagonal(dim1=1, dim2=2)
    amount = (RELATIVE_RIDGE * diagonal.sum(dim=1, keepdim=True)).clamp_min(ridge)
    diagonal.add_(amount)
    lower = torch.linalg.cholesky_ex(gram, check_errors=False).L
    identity = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    return torch.linalg.solve_triangular(lower, identity, upper=False), amount[:, :, None]


class _RowSpace(torch.autograd.Function):
    """Map X (n, D, M) to W = L^-1 X with L L^T = X X^T + r I, in the dtype of X.

    The backward holds only for what depends on W through P = W^T W. With Q the gradient with respect to P, the incoming
    gradient is 2 W Q, and dX = 2 L^-T [W Q - (W Q) W^T W]. The difference is taken in float64: where eigenvalues come
    near the ridge, as in trained networks, L^-T amplifies its rounding.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, ridge: float) -> Tensor:
        exact = x.double()
        inverse, _ = _regularised_factor(exact @ exact.mT, ridge)
        factor = inverse @ exact
        ctx.save_for_backward(inverse, factor)
        return factor.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        inverse, factor = ctx.saved_tensors
        tangent = grad.to(torch.float64, copy=True)
        tangent.baddbmm_(tangent @ factor.mT, factor, alpha=-1)
        return inverse.to(grad.dtype).mT @ tangent.to(grad.dtype), None


class _Complement(torch.autograd.Function):
    """Map X (n, D, M) with D > M to Y = sqrt(r) L^-1, L L^T = X^T X + r I, in float64; I - P = Y^T Y.

    The backward holds only for what depends on Y through Y^T Y = r S, S = (X^T X + r I)^-1. The incoming gradient is
    2 Y Q, with Q the gradient with respect to Y^T Y, and dX = -2 r X S Q S = -X Y^T (2 Y Q) S.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, ridge: float) -> Tensor:
        exact = x.double()
        inverse, amount = _regularised_factor(exact.mT @ exact, ridge)
        factor = amount.sqrt() * inverse
        ctx.save_for_backward(x, inverse, factor)
        return factor

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        x, inverse, factor = ctx.saved_tensors
        gradient: Tensor = -(x.double() @ factor.mT) @ (grad @ inverse.mT) @ inverse
        return gradient.to(x.dtype), None


class _MaskedEigh(torch.autograd.Function):
    """Eigendecomposition of symmetric matrices whose backward leaves out eigenvalue gaps below `EIGENVALUE_GAP`."""

    @staticmethod
    def forward(ctx: Any, matrices: Tensor) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(matrices)
        ctx.save_for_backward(values, vectors)
        return values, vectors

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_values: Tensor, grad_vectors: Tensor) -> Tensor:
        values, vectors = ctx.saved_tensors
        gaps = values[:, None, :] - values[:, :, None]
        inverse_gaps = torch.where(gaps.abs() >= EIGENVALUE_GAP, 1 / gaps, torch.zeros_like(gaps))
        inner = inverse_gaps * (vectors.mT @ grad_vectors) + torch.diag_embed(grad_values)
        gradient = vectors @ inner @ vectors.mT
        symmetric: Tensor = (gradient + gradient.mT) / 2
        return symmetric


class _BlockDistances(torch.autograd.Function):
    """Distances by block products: the upper triangle of Z = W W^T in panels of rows, kept for the backward."""

    @staticmethod
    def forward(ctx: Any, factors: Tensor) -> Tensor:
        n, rows, columns = factors.shape
        flat = factors.reshape(n * rows, columns)
        traces = factors.new_zeros(n, n, dtype=torch.float64)
        panels = []
        for start, stop in _spans(n, max(1, PANEL_ROWS // rows)):
            panel = flat[start * rows : stop * rows] @ flat[start * rows :].T
            blocks = panel.view(stop - start, rows, n - start, rows)
            # One float32 norm over both dimensions would lose a digit.
            norms = torch.linalg.vector_norm(blocks, dim=3).double()
            traces[start:stop, start:] = norms.square_().sum(dim=1)
            panels.append(panel)
        ctx.save_for_backward(flat, *panels)
        ctx.shape = factors.shape
        return _distances(traces).to(factors.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        flat, *panels = ctx.saved_tensors
        n, rows, _ = ctx.shape
        if (few := _few_pairs(grad)) is not None:
            return _gradient_of_pairs(flat.view(ctx.shape), grad, few)
        weights = _pair_weights(grad)
        gradient = torch.zeros_like(flat)
        for (start, stop), panel in zip(_spans(n, max(1, PANEL_ROWS // rows)), panels, strict=True):
            blocks = panel.view(stop - start, rows, n - start, rows)
            weighted = (blocks * weights[start:stop, None, start:, None]).view_as(panel)
            here, rest = slice(start * rows, stop * rows), slice(stop * rows, None)
            gradient[here].addmm_(weighted, flat[start * rows :])
            gradient[rest].addmm_(weighted[:, (stop - start) * rows :].T, flat[here])
        return gradient.view(ctx.shape)


class _FlattenedDistances(torch.autograd.Function):
    """Distances by flattened projectors: column stripes of their upper triangle, formed again in the backward."""

    @staticmethod
    def forward(ctx: Any, factors: Tensor) -> Tensor:
        n, _, columns = factors.shape
        ctx.save_for_backward(factors)
        inner = factors.new_zeros(n, n, dtype=torch.float64)
        for start, stop in _spans(columns, STRIPE_COLUMNS):
            stripe = factors[:, :, :stop].mT @ factors[:, :, start:stop]
            stripe -= stripe.mean(dim=0)  # distances do not see a shift, rounding does
            stripe[:, :start] *= math.sqrt(2)  # entries above the diagonal block stand for two of P
            flat = stripe.view(n, -1)
            inner += flat @ flat.T
        return _distances(inner).to(factors.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (factors,) = ctx.saved_tensors
        n, _, columns = factors.shape
        if (few := _few_pairs(grad)) is not None:
            return _gradient_of_pairs(factors, grad, few)
        weights = _pair_weights(grad)
        gradient = torch.zeros_like(factors)
        for start, stop in _spans(columns, STRIPE_COLUMNS):
            stripe = factors[:, :, :stop].mT @ factors[:, :, start:stop]
            q = (weights @ stripe.view(n, -1)).view_as(stripe)
            gradient[:, :, start:stop] += factors[:, :, :stop] @ q
            gradient[:, :, :start] += factors[:, :, start:stop] @ q[:, :start].mT
        return gradient


def _distances(inner: Tensor) -> Tensor:
    """Return squared distances from the upper triangle of a matrix of inner products."""
    own = inner.diagonal()
    upper = (own[:, None] + own[None, :] - 2 * inner).clamp_min(0).triu(1)
    return upper + upper.T


def _pair_weights(grad: Tensor) -> Tensor:
    """Return C such that the gradient with respect to W_i is W_i sum_j C_ij P_j, from that of the distances."""
    pairs = 4 * (grad + grad.T)
    return torch.diag_embed(pairs.sum(dim=1)) - pairs


def _few_pairs(grad: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the pairs i < j that have a gradient, or None where they are many; asking would stall a GPU."""
    if grad.device.type != "cpu":
        return None
    first, second = (grad + grad.T).triu(1).nonzero(as_tuple=True)
    return (first, second) if len(first) < FEW_PAIRS * len(grad) * (len(grad) - 1) / 2 else None


def _gradient_of_pairs(factors: Tensor, grad: Tensor, pairs: tuple[Tensor, Tensor]) -> Tensor:
    """Return the gradient with respect to the factors W, W_i sum_j c_ij (P_i - P_j), from the `pairs` alone."""
    weights = 4 * (grad + grad.T)
    own = weights.fill_diagonal_(0).sum(dim=1)
    gradient = own[:, None, None] * ((factors @ factors.mT) @ factors)
    for first, second in zip(pairs[0].split(PAIR_CHUNK), pairs[1].split(PAIR_CHUNK), strict=True):  # type: ignore[no-untyped-call]
        left, right = factors[first], factors[second]
        products = (-weights[first, second])[:, None, None] * (left @ right.mT)
        gradient.index_add_(0, first, products @ right)
        gradient.index_add_(0, second, products.mT @ left)
    return gradient


def _spans(length: int, step: int) -> list[tuple[int, int]]:
    return [(start, min(start + step, length)) for start in range(0, length, step)]
