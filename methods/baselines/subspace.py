"""Sparse subspace clustering: samples that represent each other lie in one subspace, and so in one cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

import numpy as np
from pydantic import Field

from benchmark.registry import register_method
from benchmark.training import Clusterer, ClusterParams, RunContext
from methods.parts.flat import Found, flattened, found
from methods.parts.subspaces.affinity import spectral_clusters
from methods.parts.subspaces.self_expression import ROWS, Sparse, affinity_of, elastic_net, matching_pursuit


class SubspaceParams(ClusterParams):
    """k-means starts on the spectral embedding: those of the authors' code."""

    starts: int = Field(20, ge=1)


P = TypeVar("P", bound=SubspaceParams)


class Subspace(Clusterer[P]):
    """Represents every sample by others, block by block, and cuts the graph of who represents whom.

    The embedding are the leading eigenvectors of the normalised affinity, with rows of unit length; the loss is the
    inertia of k-means on them.
    """

    Params: ClassVar[type[SubspaceParams]] = SubspaceParams

    @staticmethod
    def needed_bytes(n: int, d: int) -> int:
        """Return the bytes for `n` samples of `d` values: samples, coherences and atoms of a block, graph."""
        return 8 * (2 * n * d + 3 * ROWS * n + 200 * ROWS * (d + 200) + 150 * n)

    def represented(self, params: P) -> Callable[[np.ndarray, np.ndarray], Sparse]:
        """Return what represents the samples at some rows (b,) of `x` (n, d) by others."""
        raise TypeError(f"{type(self).__name__} does not say how it represents samples.")

    def cluster(self, x: np.ndarray, params: P, context: RunContext) -> Found:
        """Represent and cluster the flattened samples."""
        flat, represent = flattened(x, self.needed_bytes), self.represented(params)
        blocks = [np.arange(start, min(start + ROWS, len(flat))) for start in range(0, len(flat), ROWS)]
        affinity = affinity_of(len(flat), [(rows, represent(flat, rows)) for rows in blocks])
        labels, embedding, inertia = spectral_clusters(
            affinity, params.n_clusters, params.starts, context.streams, "unit"
        )
        return found(labels, embedding, "inertia", inertia)


class SSCOMPParams(SubspaceParams):
    """How many others represent a sample, and the residual at which pursuit ends: those of the authors' class."""

    size: int = Field(10, ge=1)
    threshold: float = Field(1e-6, ge=0)


@register_method("ssc-omp")
class SSCOMP(Subspace[SSCOMPParams]):
    """Sparse subspace clustering by orthogonal matching pursuit (You, Robinson and Vidal, 2016)."""

    Params = SSCOMPParams
    home = ("dynae2022/table2", "mnist-full")

    def represented(self, params: SSCOMPParams) -> Callable[[np.ndarray, np.ndarray], Sparse]:
        """Return the pursuit."""
        return lambda x, rows: matching_pursuit(x, rows, params.size, params.threshold)


class EnSCParams(SubspaceParams):
    """Weights of the elastic net; `tau` of 1, which the authors' class has, makes it a lasso [Y22]."""

    tau: float = Field(1.0, gt=0, le=1)
    gamma: float = Field(50.0, gt=0)
    kept: int = Field(50, ge=1)


@register_method("ensc")
class EnSC(Subspace[EnSCParams]):
    """Elastic net subspace clustering (You, Li, Robinson and Vidal, 2016), solved by coordinate descent."""

    Params = EnSCParams
    home = ("dynae2022/table2", "mnist-full")

    def represented(self, params: EnSCParams) -> Callable[[np.ndarray, np.ndarray], Sparse]:
        """Return the elastic net."""
        return lambda x, rows: elastic_net(x, rows, params.tau, params.gamma, kept=params.kept)
