"""Clusters of a sparse affinity between samples: leading eigenvectors of its normalised form, then k-means."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import csr_array
from scipy.sparse.linalg import eigsh
from sklearn.cluster import KMeans as LloydKMeans

from benchmark.streams import Streams

DENSE = 400
"""Up to so many samples all eigenvectors are computed: Lanczos needs more samples than vectors, with room to spare."""


def normalised(weights: csr_array) -> tuple[csr_array, np.ndarray]:
    """Return D^-1/2 A D^-1/2 for affinities A (n, n), and D^-1/2 (n,); a sample without any has zeros."""
    degrees = np.asarray(weights.sum(axis=1)).ravel()
    roots = np.divide(1.0, np.sqrt(degrees), out=np.zeros(len(degrees)), where=degrees > 0)
    return csr_array(weights.multiply(roots[:, None]).multiply(roots[None, :])), roots


def spectral_clusters(
    weights: csr_array, n_clusters: int, starts: int, streams: Streams, rows: Literal["degree", "unit"]
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return labels (n,), embedding (n, k) and the inertia of k-means for a symmetric affinity (n, n).

    The embedding is made of the eigenvectors of D^-1/2 A D^-1/2 with the largest eigenvalues. Its rows are divided by
    the root of the degree, as scikit-learn has it ("degree"), or have unit length ("unit").
    """
    similarity, roots = normalised(weights)
    n = similarity.shape[0]
    if n <= DENSE:
        vectors = eigh(similarity.toarray(), subset_by_index=[n - n_clusters, n - 1])[1]
    else:
        start = streams.numpy("eigenvectors").normal(size=n)
        vectors = eigsh(similarity, n_clusters, which="LA", v0=start)[1]
    if rows == "degree":
        embedding = vectors * roots[:, None]
    else:
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        embedding = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    model = LloydKMeans(n_clusters, n_init=starts, random_state=streams.integer("kmeans")).fit(embedding)
    return model.labels_.astype(np.int64), embedding.astype(np.float32), float(model.inertia_)
