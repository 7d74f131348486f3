"""Spectral clustering of the graph of nearest neighbours."""

from __future__ import annotations

import numpy as np
from pydantic import Field
from scipy.sparse import csr_array
from sklearn.neighbors import kneighbors_graph

from benchmark.registry import register_method
from benchmark.training import Clusterer, ClusterParams, RunContext
from methods.parts.flat import Found, flattened, found
from methods.parts.subspaces.affinity import spectral_clusters


class SpectralNeighboursParams(ClusterParams):
    """Nearest neighbours of a sample, itself among them, and starts of k-means: those of scikit-learn."""

    neighbours: int = Field(10, ge=2)
    starts: int = Field(10, ge=1)


@register_method("spectral-neighbours")
class SpectralNeighbours(Clusterer[SpectralNeighboursParams]):
    """Spectral clustering by normalised cuts (Shi and Malik, 2000) of the graph of nearest neighbours.

    dynae2022 says no affinity; a dense one of 70 000 samples fits no memory, yet its table has a number. So this is
    scikit-learn's graph: weight 1 between samples that are among each other's neighbours, .5 where only one is so.
    The embedding are the generalised eigenvectors, the loss the inertia of k-means on them.
    """

    Params = SpectralNeighboursParams
    home = ("dynae2022/table2", "mnist-full")

    @staticmethod
    def needed_bytes(n: int, d: int) -> int:
        """Return the bytes for `n` samples of `d` values: the samples, the sparse graph, and Lanczos' vectors."""
        return 8 * n * (d + 60) + 4 * 12 * 10 * n

    def cluster(self, x: np.ndarray, params: SpectralNeighboursParams, context: RunContext) -> Found:
        """Cluster the flattened samples."""
        neighbours = min(params.neighbours, len(x))
        graph = csr_array(
            kneighbors_graph(flattened(x, self.needed_bytes), neighbours, include_self=True), dtype=np.float64
        )
        affinity = csr_array((graph + graph.T) / 2)
        labels, embedding, inertia = spectral_clusters(
            affinity, params.n_clusters, params.starts, context.streams, "degree"
        )
        return found(labels, embedding, "inertia", inertia)
