"""Hierarchical clustering of the raw samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmark.registry import register_method
from benchmark.training import Clusterer, ClusterParams, Outcome, RunContext, require_memory

ROWS = 512
"""How many rows of distances are computed at once."""

Floats = npt.NDArray[np.float64]


@register_method("hierarchical")
class Hierarchical(Clusterer[ClusterParams]):
    """Agglomerative clustering with average linkage on Euclidean distances (dtkc2019 sections 8.3, 15.1.1).

    Nothing is random, so one run says all. It minimises nothing: the loss is the height of the last merge made, which
    selects nothing. All n (n - 1) / 2 distances are held in float64, twice while they are merged; where that memory is
    not free, NeedsMemory is raised before any of it is taken. The embedding is the flattened samples.

    >>> x = np.concatenate([np.zeros((10, 2)), np.ones((10, 2))])
    >>> sorted(np.bincount(Hierarchical(n_clusters=2).fit_predict(x)))
    [np.int64(10), np.int64(10)]
    """

    home = ("dtkc2019/table4", "mnist")

    def cluster(
        self, x: np.ndarray, params: ClusterParams, context: RunContext
    ) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Cluster the flattened samples."""
        require_memory(needed_bytes(len(x)), len(x))
        flat = x.reshape(len(x), -1)
        merges = linkage(condensed_distances(flat), method="average")
        height = float(merges[len(x) - params.n_clusters - 1, 2]) if len(x) > params.n_clusters else 0.0
        return cut(merges, params.n_clusters), flat, Outcome(height, height, {"height": height})


def needed_bytes(n: int) -> float:
    """Return the bytes for the distances of n samples, and for the copy that is merged.

    >>> f"{needed_bytes(9298) / 1e9:.2f} GB"
    '0.69 GB'
    """
    return 2 * 8 * n * (n - 1) / 2


def condensed_distances(x: np.ndarray) -> Floats:
    """Return the Euclidean distances between the rows of `x` (n, d), in the order of scipy's condensed matrices."""
    n = len(x)
    found = np.empty(n * (n - 1) // 2)
    mean = x.mean(axis=0, dtype=np.float64)  # distances do not see a shift, but rounding grows with the norms
    norms = np.concatenate([np.square(x[s : s + ROWS] - mean).sum(axis=1) for s in range(0, n, ROWS)])
    at = 0
    for start in range(0, n, ROWS):
        rows = x[start : start + ROWS] - mean
        inner = np.concatenate([rows @ (x[s : s + ROWS] - mean).T for s in range(start, n, ROWS)], axis=1)
        squares = norms[start : start + len(rows), None] + norms[None, start:] - 2 * inner
        for row, values in enumerate(np.sqrt(np.maximum(squares, 0.0))):
            found[at : at + n - start - row - 1] = values[row + 1 :]
            at += n - start - row - 1
    return found


def cut(merges: Floats, n_clusters: int) -> npt.NDArray[np.int64]:
    """Return the labels (n,) after all merges but the last `n_clusters` - 1, given scipy's linkage (n - 1, 4)."""
    n = len(merges) + 1
    made = max(0, n - n_clusters)
    nodes = np.repeat(np.arange(n, n + made), 2)
    graph = coo_array((np.ones(2 * made), (nodes, merges[:made, :2].astype(int).ravel())), shape=(2 * n, 2 * n))
    _, parts = connected_components(graph, directed=False)
    labels: npt.NDArray[np.int64] = np.unique(parts[:n], return_inverse=True)[1].astype(np.int64)
    return labels
