"""Terms of the clustering losses of the DDC family, as functions of soft assignments and a kernel matrix.

With hidden representations h and assignments alpha, the loss of DDC (tkuco2024 Eq. 5-8) is

    cauchy_schwarz(alpha, K) + orthogonality(alpha) + cauchy_schwarz(corner_weights(alpha), K),   K the kernel on h,

and a companion objective (Eq. 2-3) is cauchy_schwarz(alpha, K^b), weighted with `companion_weights`, for the kernel K^b
on the output of block b.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Factor = Literal["pairs", "classes"]
Epsilon = Literal["clamp", "root"]
Reduction = Literal["mean", "sum"]
Omega = Literal["constant", "linear", "exponential", "exponential-printed"]


def cauchy_schwarz(
    assignments: Tensor, kernel: Tensor, *, factor: Factor = "pairs", epsilon: Epsilon = "clamp"
) -> Tensor:
    """Return the argument of the logarithm in the Cauchy-Schwarz divergence between clusters (tkuco2024 Eq. 2, 6, 8).

    Summed over pairs i < j of clusters: a_i^T K a_j / sqrt(a_i^T K a_i * a_j^T K a_j), with a_i the i-th column of the
    assignments. Small values mean separable and compact clusters.

    Parameters
    ----------
    assignments : Tensor, shape (n, k)
        Non-negative memberships of n samples in k >= 2 clusters.
    kernel : Tensor, shape (n, n)
        Symmetric positive semi-definite kernel matrix.
    factor : {"pairs", "classes"}
        Divide by the number of pairs k (k - 1) / 2, which gives a value in [0, 1], or by k (ledger K10).
    epsilon : {"clamp", "root"}
        What keeps empty clusters from dividing by zero (ledger K11). "clamp": numerators are at least 1e-9, the
        products under the root at least 1e-18, as in tkuco2024's code. "root": 1e-6 is added under the root, as in
        dtkc2019's code.

    Returns
    -------
    Tensor, a scalar

    Raises
    ------
    ValueError
        For fewer than two clusters, or an unknown option.
    """
    n_clusters = assignments.shape[1]
    if n_clusters < 2:
        raise ValueError(f"the Cauchy-Schwarz divergence compares clusters: give at least 2 of them, not {n_clusters}.")
    overlaps = assignments.T @ kernel @ assignments
    own = overlaps.diagonal()
    products = own[:, None] * own[None, :]
    if epsilon == "clamp":
        quotients = overlaps.clamp_min(1e-9) / products.clamp_min(1e-18).sqrt()
    elif epsilon == "root":
        quotients = overlaps / (products + 1e-6).sqrt()
    else:
        raise ValueError(f"epsilon must be one of clamp, root, not {epsilon!r}.")
    divisors = {"pairs": math.comb(n_clusters, 2), "classes": n_clusters}
    if factor not in divisors:
        raise ValueError(f"factor must be one of {', '.join(divisors)}, not {factor!r}.")
    return quotients.triu(1).sum() / divisors[factor]


def orthogonality(assignments: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Return the inner products of the assignments of different samples, over all pairs i < j (tkuco2024 Eq. 7).

    Parameters
    ----------
    assignments : Tensor, shape (n, k)
        Cluster memberships of n >= 2 samples.
    reduction : {"mean", "sum"}
        The equation prints the sum; the published losses fit only the mean (ledger K9).

    Returns
    -------
    Tensor, a scalar

    Raises
    ------
    ValueError
        For fewer than two samples, or an unknown reduction.
    """
    n = assignments.shape[0]
    if n < 2:
        raise ValueError(f"orthogonality compares samples: give at least 2 of them, not {n}.")
    total = (assignments.sum(dim=0).square().sum() - assignments.square().sum()) / 2
    if reduction == "sum":
        return total
    if reduction == "mean":
        return total / math.comb(n, 2)
    raise ValueError(f"reduction must be one of mean, sum, not {reduction!r}.")


def corner_weights(assignments: Tensor) -> Tensor:
    """Return eta_ij = exp(-||alpha_i - e_j||^2), the nearness to the corners of the simplex (tkuco2024 Eq. 8).

    `assignments` alpha and the result have shape (n, k); e_j is the j-th unit vector.
    """
    corners = torch.eye(assignments.shape[1], dtype=assignments.dtype, device=assignments.device)
    return torch.exp(-(assignments[:, None, :] - corners).square().sum(dim=2))


def companion_weights(taps: int, omega: Omega) -> tuple[float, ...]:
    """Return the relative weights omega(b) of companion objectives on blocks b = 1..B, B = `taps` (ledger W1).

    "constant": 1. "linear": b / B. "exponential": 10^(b - B), as in uco2021 and the code of tkuco2024.
    "exponential-printed": 10^(B - b), as tkuco2024 section 6.4 prints it, although that exceeds 1.

    >>> companion_weights(2, "exponential")
    (0.1, 1.0)
    """
    if taps < 0:
        raise ValueError(f"the number of taps must not be negative, but is {taps}.")
    rules: dict[str, Callable[[int], float]] = {
        "constant": lambda b: 1.0,
        "linear": lambda b: b / taps,
        "exponential": lambda b: 10.0 ** (b - taps),
        "exponential-printed": lambda b: 10.0 ** (taps - b),
    }
    if omega not in rules:
        raise ValueError(f"omega must be one of {', '.join(rules)}, not {omega!r}.")
    return tuple(rules[omega](b) for b in range(1, taps + 1))
