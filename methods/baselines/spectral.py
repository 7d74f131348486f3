"""Spectral clustering of the raw samples."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from scipy.linalg import eigh
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh, lobpcg
from scipy.spatial.distance import pdist
from sklearn.cluster import KMeans

from benchmark.registry import register_method
from benchmark.training import Clusterer, ClusterParams, Outcome, RunContext, require_memory

DENSE = 12_000
"""Below so many samples the affinities are held, above they are computed in blocks again and again."""

ROWS = 1024
ITERATIONS = 1000
"""After so many restarts the few largest eigenvalues are no easier to tell than all of them."""

GUARD = 5
"""So many more eigenvectors are iterated than are wanted, when affinities are computed in blocks."""

PAIRED = 1000
"""Of so many samples the median distance is taken."""

Floats = npt.NDArray[np.float64]


class SpectralParams(ClusterParams):
    """Parameters of spectral clustering; the ledger entry of each is named in brackets.

    The width of the affinity is the median distance times 10^u, u uniform in [-`decades`, `decades`] [T21]. `form` says
    whether the affinities are held: "auto" holds those of less than 12 000 samples. `starts` and `iterations` are those
    of k-means on the eigenvectors.
    """

    decades: float = Field(1.0, ge=0)
    form: Literal["auto", "dense", "blocks"] = "auto"
    starts: int = Field(10, ge=1)
    iterations: int = Field(300, ge=1)


@register_method("spectral")
class Spectral(Clusterer[SpectralParams]):
    """Spectral clustering with a Gaussian affinity of random width (dtkc2019 sections 8.4.2, 15.1.1).

    As scikit-learn has it, which the thesis ran: the eigenvectors v of D^-1/2 W D^-1/2 of the k largest eigenvalues
    give the embedding D^-1/2 v, which k-means clusters. W holds exp(-||x_i - x_j||^2 / (2 sigma^2)) (squared: ledger
    T5). The thesis does not name the loss by which a run is selected: here it is the sum of squares within the clusters
    of the embedding with rows of length 1, which does not depend on the scale of W (ledger T21).
    """

    Params = SpectralParams
    home = ("dtkc2019/table4", "mnist")

    def cluster(
        self, x: np.ndarray, params: SpectralParams, context: RunContext
    ) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Cluster the flattened samples."""
        flat = x.reshape(len(x), -1)
        if len(x) <= params.n_clusters:
            raise ValueError(f"{len(x)} samples are too few for {params.n_clusters} eigenvectors: give more than that.")
        dense = params.form == "dense" or (params.form == "auto" and len(x) < DENSE)
        require_memory(needed_bytes(*flat.shape, params.n_clusters, dense), len(x))
        width = random_width(flat, params.decades, context.streams.numpy("sigma"))
        affinity = HeldAffinity(flat, width) if dense else BlockAffinity(flat, width, context.device)
        embedding, values = spectral_embedding(affinity, params.n_clusters, context.streams.numpy("eigenvectors"))
        seed = context.streams.integer("kmeans")
        model = KMeans(params.n_clusters, n_init=params.starts, max_iter=params.iterations, random_state=seed)
        labels = model.fit_predict(embedding / np.abs(embedding).max()).astype(np.int64)
        loss = spread(embedding, labels)
        found = {"spread": loss, "sigma": width, "cut": params.n_clusters - float(values.sum())}
        return labels, embedding.astype(np.float32), Outcome(loss, loss, found)


def needed_bytes(n: int, d: int, n_clusters: int, dense: bool) -> float:
    """Return the bytes that n samples of d values need in float64, twice, and their affinities or iterated vectors."""
    return 16.0 * n * d + (8.0 * n * n if dense else 8.0 * n * (12 * (n_clusters + GUARD) + 2 * ROWS))


def random_width(x: np.ndarray, decades: float, generator: np.random.Generator) -> float:
    """Return sigma: the median distance between (at most 1000) samples of `x` (n, d), times 10^u."""
    chosen = generator.permutation(len(x))[:PAIRED]
    median = float(np.median(pdist(x[chosen].astype(np.float64))))
    return float(max(median, 1e-12) * 10.0 ** generator.uniform(-decades, decades))


class HeldAffinity:
    """The Gaussian affinities W (n, n) of the rows of `x` (n, d), held in float64."""

    def __init__(self, x: np.ndarray, width: float) -> None:
        n, rows = len(x), x.astype(np.float64)
        rows = rows - rows.mean(axis=0)
        norms = np.square(rows).sum(axis=1)
        self.matrix = np.empty((n, n))
        for start in range(0, n, ROWS):
            part = slice(start, start + ROWS)
            squares = norms[part, None] + norms[None, :] - 2 * rows[part] @ rows.T
            self.matrix[part] = np.exp(-np.maximum(squares, 0.0) / (2 * width**2))
        self.matrix[np.diag_indices(n)] = 1.0
        self.n = n

    def times(self, vectors: Floats) -> Floats:
        """Return W V for V (n, m)."""
        found: Floats = self.matrix @ vectors
        return found


class BlockAffinity:
    """The same affinities, computed in blocks of rows whenever they are asked for, on any device: nothing is held."""

    def __init__(self, x: np.ndarray, width: float, device: torch.device) -> None:
        rows = torch.from_numpy(np.ascontiguousarray(x)).to(device, torch.float64)
        self._rows = rows - rows.mean(dim=0)
        self._norms = self._rows.square().sum(dim=1)
        self._scale, self.n = 2 * width**2, len(x)

    def times(self, vectors: Floats) -> Floats:
        """Return W V for V (n, m)."""
        given = torch.from_numpy(np.ascontiguousarray(vectors)).to(self._rows)
        found = torch.empty_like(given)
        for start in range(0, self.n, ROWS):
            part = slice(start, start + ROWS)
            squares = self._norms[part, None] + self._norms - 2 * self._rows[part] @ self._rows.T
            weights = torch.exp(-squares.clamp_min(0) / self._scale)
            weights[torch.arange(len(weights)), torch.arange(start, start + len(weights))] = 1.0
            found[part] = weights @ given
        return found.cpu().numpy()


def spectral_embedding(
    affinity: HeldAffinity | BlockAffinity, k: int, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return D^-1/2 v (n, k) for the eigenvectors v of D^-1/2 W D^-1/2 of its k largest eigenvalues, and these (k,)."""
    n = affinity.n
    roots = 1 / np.sqrt(affinity.times(np.ones((n, 1)))[:, 0])

    def times(vectors: Floats) -> Floats:
        block = vectors.reshape(n, -1)
        return roots[:, None] * affinity.times(roots[:, None] * block)

    operator = LinearOperator((n, n), matvec=times, matmat=times, dtype=np.float64)
    found: tuple[Any, Any]
    if isinstance(affinity, HeldAffinity):
        try:
            found = eigsh(operator, k, which="LA", v0=generator.normal(size=n), maxiter=ITERATIONS)
        except ArpackNoConvergence:  # a width so small that nearly all eigenvalues are one: the whole spectrum tells
            found = eigh(roots[:, None] * affinity.matrix * roots, subset_by_index=(n - k, n - 1))
    else:
        start = generator.normal(size=(n, min(k + GUARD, n // 5 + 1)))
        found = lobpcg(operator, start, tol=1e-6, maxiter=200, largest=True)
    values, vectors = np.asarray(found[0], dtype=np.float64), np.asarray(found[1], dtype=np.float64)
    order = np.argsort(-values)[:k]
    return vectors[:, order] * roots[:, None], values[order]


def spread(embedding: Floats, labels: npt.NDArray[np.int64]) -> float:
    """Return the sum of squared distances to the means of the clusters, for rows scaled to length 1."""
    norms = np.linalg.norm(embedding, axis=1, keepdims=True)
    rows = embedding / np.where(norms > 0, norms, 1.0)
    return float(sum(np.square(rows[labels == c] - rows[labels == c].mean(axis=0)).sum() for c in np.unique(labels)))
