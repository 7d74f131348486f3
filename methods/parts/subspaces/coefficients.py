"""Clusters from a matrix of self-expression: the post-processing of deep subspace clustering networks."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.sparse.linalg import svds
from sklearn.cluster import SpectralClustering


def thresholded(coefficients: np.ndarray, share: float) -> np.ndarray:
    """Return the matrix (n, n) with the largest entries of each column, as many as exceed `share` of its modulus.

    Columns, though rows are the representations: the authors' code has it so (ledger Q5). The entry with which the sum
    exceeds the share is kept.

    >>> thresholded(np.array([[3.0, 0.0], [-6.0, 1.0], [1.0, 1.0]]), 0.5)
    array([[ 0.,  0.],
           [-6.,  1.],
           [ 0.,  1.]])
    """
    moduli = np.abs(coefficients)
    order = np.argsort(-moduli, axis=0, kind="stable")
    sums = np.cumsum(np.take_along_axis(moduli, order, axis=0), axis=0)
    before = np.vstack([np.zeros(coefficients.shape[1]), sums[:-1]])
    kept = np.zeros(coefficients.shape, dtype=bool)
    np.put_along_axis(kept, order, before <= share * sums[-1], axis=0)
    return np.where(kept, coefficients, 0.0)


def subspace_affinity(coefficients: np.ndarray, n_clusters: int, dimension: int, power: float) -> np.ndarray:
    """Return the affinity (n, n), between 0 and 1, from a matrix whose clusters are subspaces of `dimension`.

    Rows of the leading singular vectors, weighted by the roots of the singular values, are brought to unit length; of
    their inner products the negative ones are 0, the others taken to the `power`, and all divided by the largest.
    """
    symmetric = (coefficients + coefficients.T) / 2
    rank = min(dimension * n_clusters + 1, len(symmetric) - 1)
    vectors, values, _ = svds(symmetric, rank, v0=np.ones(len(symmetric)))
    rows = vectors * np.sqrt(np.maximum(values, 0))
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    affinity = np.maximum(rows @ rows.T, 0) ** power
    affinity /= max(float(affinity.max()), np.finfo(np.float64).tiny)
    return np.asarray((affinity + affinity.T) / 2)


def clusters_of(affinity: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    """Return the labels (n,) of spectral clustering with discretised eigenvectors."""
    model = SpectralClustering(n_clusters, affinity="precomputed", assign_labels="discretize", random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Graph is not fully connected")  # the better separated, the more so
        labels: np.ndarray = model.fit_predict(affinity)
    return labels.astype(np.int64)
