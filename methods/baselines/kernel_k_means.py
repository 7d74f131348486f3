"""k-means in the feature space of a Gaussian kernel, whose matrix is never whole in memory."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from benchmark.registry import register_method
from benchmark.training import Clusterer, ClusterParams, RunContext
from methods.parts.flat import Found, flattened, found

ROWS = 1024
"""How many rows of the kernel matrix exist at a time."""


class KernelKMeansParams(ClusterParams):
    """Width of the kernel exp(-gamma d^2), gamma 1 / values of a sample where it is 0; and sweeps at most."""

    gamma: float = Field(0.0, ge=0)
    iterations: int = Field(50, ge=1)


@register_method("rbf-k-means")
class KernelKMeans(Clusterer[KernelKMeansParams]):
    """Kernel k-means (Dhillon, Guan and Kulis, 2004) with a Gaussian kernel, from a random partition.

    The squared distance of sample i to the mean of cluster C in feature space is 1 - 2 mean_j k(i, j) + mean_jl k(j, l)
    over j, l in C. A cluster that loses all samples stays empty. It stops when no label changes. The embedding is the
    samples; the loss, the sum of squared distances in feature space. The published table has "-" for 70 000 samples,
    whose kernel matrix fills 39 GB; here it is made block by block, and the memory is that of one block.
    """

    Params = KernelKMeansParams
    home = ("dynae2022/table2", "mnist-full")

    @staticmethod
    def needed_bytes(n: int, d: int) -> int:
        """Return the bytes for `n` samples of `d` values: the samples in float64, and some blocks of the matrix."""
        return 8 * (n * d + 3 * ROWS * n)

    def cluster(self, x: np.ndarray, params: KernelKMeansParams, context: RunContext) -> Found:
        """Cluster the flattened samples."""
        flat = flattened(x, self.needed_bytes)
        gamma = params.gamma or 1 / flat.shape[1]
        labels = context.streams.numpy("partition").integers(params.n_clusters, size=len(flat))
        loss = np.inf
        for _ in range(params.iterations):
            distances = feature_distances(flat, labels, params.n_clusters, gamma)
            changed, labels = labels, distances.argmin(axis=1)
            loss = float(distances[np.arange(len(flat)), labels].sum())
            if np.array_equal(changed, labels):
                break
        return found(labels, flat, "inertia", loss)


def feature_distances(x: np.ndarray, labels: np.ndarray, n_clusters: int, gamma: float) -> np.ndarray:
    """Return the squared distances (n, k) of samples (n, d) to the means of clusters in feature space, in float64.

    An empty cluster is infinitely far away.
    """
    x = x.astype(np.float64)
    member = np.eye(n_clusters)[labels]
    sizes, squares = member.sum(axis=0), np.square(x).sum(axis=1)
    sums = np.empty((len(x), n_clusters))
    for start in range(0, len(x), ROWS):
        part = slice(start, start + ROWS)
        apart = squares[part, None] - 2 * x[part] @ x.T + squares
        sums[part] = np.exp(-gamma * np.maximum(apart, 0)) @ member
    shares = np.divide(1.0, sizes, out=np.zeros(n_clusters), where=sizes > 0)
    within = (sums * member).sum(axis=0) * shares**2
    return np.where(sizes > 0, 1 - 2 * sums * shares + within, np.inf)
