"""Companions by classification: a softmax layer on a tapped layer, compared with the assignments (dtkc2019 17.8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

SMALLEST = 1e-7
"""Probabilities are kept so far from 0 and 1, as Keras does."""


def bernoulli_divergence(assignments: Tensor, companions: Tensor, reduction: Literal["sum", "mean"] = "sum") -> Tensor:
    """Return the Kullback-Leibler divergences of Bernoulli variables, one for each membership (dtkc2019 17.8).

    - sum_i sum_j [ u_ij ln(v_ij / u_ij) + (1 - u_ij) ln((1 - v_ij) / (1 - u_ij)) ]: non-negative, 0 where u = v.

    Parameters
    ----------
    assignments : Tensor, shape (n, k)
        The soft assignments u, in [0, 1].
    companions : Tensor, shape (n, k)
        Those of the companion v, in [0, 1].
    reduction : {"sum", "mean"}
        Over the n samples; the thesis prints the sum.

    Returns
    -------
    Tensor, a scalar

    Raises
    ------
    ValueError
        For an unknown reduction.
    """
    u, v = (p.clamp(SMALLEST, 1 - SMALLEST) for p in (assignments, companions))
    total = -(u * (v / u).log() + (1 - u) * ((1 - v) / (1 - u)).log()).sum()
    if reduction == "sum":
        return total
    if reduction == "mean":
        return total / len(assignments)
    raise ValueError(f"reduction must be one of sum, mean, not {reduction!r}.")


class Classifier(nn.Module):
    """A softmax layer on flattened outputs of a layer: v = softmax(W y + b)."""

    def __init__(self, features: int, n_clusters: int) -> None:
        super().__init__()
        self.output = nn.Linear(features, n_clusters)

    def forward(self, tap: Tensor) -> Tensor:
        """Map outputs (b, ...) to soft assignments (b, k)."""
        return torch.softmax(self.output(tap.flatten(1)), dim=1)


def classifiers(features: Sequence[int], n_clusters: int) -> nn.ModuleList:
    """Return a classifier for each tapped layer, of so many values."""
    return nn.ModuleList(Classifier(width, n_clusters) for width in features)
