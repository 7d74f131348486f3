"""The tensor kernel in the plain form that a direct port of the authors' method has."""

from __future__ import annotations

import torch
from torch import Tensor


def plain_eigh_distances(x: Tensor, ridge: float = 1e-6) -> Tensor:
    """Return the distances (n, n) of tkuco2024 Eq. 16, for matricisations with at most as many rows as columns."""
    n = len(x)
    total = x.new_zeros(n, n)
    for mode in range(1, x.ndim):
        matrices = x.movedim(mode, 1).flatten(2)
        values, vectors = torch.linalg.eigh(matrices @ matrices.mT)
        bases = (values.clamp_min(0) + ridge).rsqrt()[:, :, None] * (vectors.mT @ matrices)
        rows = bases.flatten(0, 1)
        products = (rows @ rows.T).view(n, bases.shape[1], n, bases.shape[1])
        traces = products.square().sum(dim=(1, 3))
        own = traces.diagonal()
        total = total + own[:, None] + own[None, :] - 2 * traces
    return total
