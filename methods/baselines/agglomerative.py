"""Agglomerative clustering with Ward's linkage on the raw samples."""

from __future__ import annotations

import importlib.util

import numpy as np
from pydantic import Field
from scipy.cluster.hierarchy import fcluster, ward
from scipy.spatial.distance import pdist

from benchmark.registry import register_method
from benchmark.training import Clusterer, ClusterParams, RunContext
from methods.parts.flat import Found, flattened, found, within_scatter


class AgglomerativeParams(ClusterParams):
    """Beyond `dense_below` samples fastcluster, where it is installed, goes without all pairs of distances."""

    dense_below: int = Field(20_000, ge=2)


@register_method("agglomerative")
class Agglomerative(Clusterer[AgglomerativeParams]):
    """Ward's agglomeration (1963): always joins the two clusters whose union adds least to the scatter within clusters.

    It draws nothing at random. dynae2022 names no linkage. The embedding is the flattened samples, the loss the scatter
    within clusters: the sum of squared distances to their means.

    >>> x = np.concatenate([np.zeros((10, 2)), np.ones((10, 2))])
    >>> sorted(np.bincount(Agglomerative(n_clusters=2).fit_predict(x)))
    [np.int64(10), np.int64(10)]
    """

    Params = AgglomerativeParams
    home = ("dynae2022/table2", "mnist-full")

    @staticmethod
    def needed_bytes(n: int, d: int) -> int:
        """Return the bytes for `n` samples of `d` values: all pairs of distances, or one chain of centres."""
        if n > AgglomerativeParams.model_fields["dense_below"].default and _chained():
            return 4 * 8 * n * d
        return 2 * 8 * n * (n - 1) // 2

    def cluster(self, x: np.ndarray, params: AgglomerativeParams, context: RunContext) -> Found:
        """Cluster the flattened samples."""
        flat = flattened(x, self.needed_bytes)
        if len(flat) > params.dense_below and _chained():
            linkage = importlib.import_module("fastcluster").linkage_vector(flat.astype(np.float64), method="ward")
        else:
            linkage = ward(pdist(flat.astype(np.float64)))
        labels = fcluster(linkage, params.n_clusters, criterion="maxclust") - 1
        return found(labels, flat, "scatter", within_scatter(flat, labels))


def _chained() -> bool:
    return importlib.util.find_spec("fastcluster") is not None
