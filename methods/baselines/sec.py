"""Spectral embedded clustering: spectral clustering with an indicator that is close to linear in the samples."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn.cluster import KMeans as LloydKMeans
from sklearn.metrics import pairwise_distances_argmin
from sklearn.neighbors import kneighbors_graph

from benchmark.registry import register_method
from benchmark.training import Clusterer, ClusterParams, Outcome, RunContext

ROWS = 4096
"""How many samples are held in float64 at a time."""


class SECParams(ClusterParams):
    """Parameters of the graph, the regression and the last step; the values are ours.

    idec2017 takes the defaults of the authors' code, which could not be had. `neighbours` and `width_rule` make the
    graph: the weight of two neighbours is exp(-d^2 / (s_i s_j)), where s is the distance of a sample to its farthest
    neighbour ("self-tuning", Zelnik-Manor and Perona 2004) or the median distance between neighbours, for all samples
    ("median"). `mu` is the weight of the regression, and `gamma` its ridge, in squared units of the samples. `starts`
    and `iterations` are those of k-means on the relaxed indicator.
    """

    neighbours: int = Field(5, ge=1)
    width_rule: Literal["self-tuning", "median"] = "self-tuning"
    mu: float = Field(1.0, ge=0)
    gamma: float = Field(1.0, gt=0)
    starts: int = Field(20, ge=1)
    iterations: int = Field(300, ge=1)


@register_method("sec")
class SEC(Clusterer[SECParams]):
    """Spectral embedded clustering (Nie, Zeng, Tsang, Xu and Zhang 2011), by an eigenproblem and k-means.

    Minimises tr(F' L F) + mu (||X W + 1 b' - F||^2 + gamma ||W||^2) over F (n, k) with F' F = I, the indicator, over W
    (d, k) and b (k,); L is the normalised Laplacian of the graph of nearest neighbours. The regression has a closed
    form, so that F holds the eigenvectors of the k smallest eigenvalues of L + mu (H - X_c (X_c' X_c + gamma I)^-1
    X_c'), where H centres and X_c = H X. Labels are those of k-means on the rows of F, which are the embedding.

    The loss is the minimum, `cut` + mu `regression`: the sum of the k eigenvalues.

    >>> x = np.random.default_rng(0).normal(size=(60, 2)) + np.repeat([[0, 0], [9, 9]], 30, axis=0)
    >>> sorted(np.bincount(SEC(n_clusters=2).fit_predict(x)))
    [np.int64(30), np.int64(30)]
    """

    Params = SECParams
    home = ("idec2017/table2", "mnist-full")

    def cluster(self, x: np.ndarray, params: SECParams, context: RunContext) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Cluster the flattened samples; ValueError where there are too few for the graph or the eigenproblem."""
        if len(x) <= max(params.neighbours, params.n_clusters):
            raise ValueError(
                f"{len(x)} samples are too few for {params.neighbours} neighbours of each and {params.n_clusters} "
                "clusters: there must be more samples than either."
            )
        flat = x.reshape(len(x), -1)
        similarity = normalised(neighbour_graph(flat, params.neighbours, params.width_rule))
        regression = Regression(flat, params.gamma)

        def kept(vector: np.ndarray) -> np.ndarray:
            """Apply I - L - mu (H - X_c (...)^-1 X_c'): its largest eigenvalues, which Lanczos finds, are wanted."""
            image: np.ndarray = similarity @ vector.ravel() - params.mu * regression.residual(vector.ravel())
            return image

        operator = LinearOperator((len(x), len(x)), matvec=kept, dtype=np.float64)
        start = context.streams.numpy("eigenvectors").normal(size=len(x))
        indicator = eigsh(operator, params.n_clusters, which="LA", v0=start)[1]
        cut = params.n_clusters - float(np.sum(indicator * (similarity @ indicator)))
        misfit = float(sum(column @ regression.residual(column) for column in indicator.T))
        seed = context.streams.integer("kmeans")
        model = LloydKMeans(params.n_clusters, n_init=params.starts, max_iter=params.iterations, random_state=seed)
        labels = model.fit_predict(indicator).astype(np.int64)
        self.cluster_centers_ = model.cluster_centers_
        self.coef_, self.intercept_ = regression.fitted(indicator)
        total = cut + params.mu * misfit
        return labels, indicator.astype(np.float32), Outcome(total, total, {"cut": cut, "regression": misfit})

    def predict(self, X: Any) -> np.ndarray:
        """Return the clusters (n,) of new samples (n, ...): of x W + b, the nearest of `cluster_centers_` (k, k).

        The graph of the fit has no place for new samples, so that they get their indicator by the regression alone. Of
        the samples of the fit it may be another cluster than in `labels_`, where the clusters are not linear.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            For samples of another shape than those of the fit.
        """
        x = self._new_samples(X)
        indicator = x.reshape(len(x), -1) @ self.coef_ + self.intercept_
        nearest: np.ndarray = pairwise_distances_argmin(indicator, self.cluster_centers_)
        return nearest.astype(np.int64)


class Regression:
    """The linear regression of a vector on the samples, as a quadratic form that needs only matrices of (d, d)."""

    def __init__(self, x: np.ndarray, ridge: float) -> None:
        self._x = x
        self._mean = np.mean(x, axis=0, dtype=np.float64)
        scatter = np.zeros((x.shape[1], x.shape[1]))
        for start in range(0, len(x), ROWS):
            rows = self._rows(start)
            scatter += rows.T @ rows
        scatter[np.diag_indices_from(scatter)] += ridge
        self._factor = cho_factor(scatter, lower=True)

    def residual(self, vector: np.ndarray) -> np.ndarray:
        """Return (H - X_c (X_c' X_c + ridge I)^-1 X_c') v, in float64, for a vector v (n,)."""
        weights = self._weights(vector)
        starts = range(0, len(self._x), ROWS)
        fitted = np.concatenate([self._rows(start) @ weights for start in starts])
        centred: np.ndarray = vector - vector.mean() - fitted
        return centred

    def fitted(self, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the minimising weights W (d, k) and offsets b (k,) of targets (n, k), such that x W + b meets them."""
        weights = self._weights(targets)
        return weights, targets.mean(axis=0) - self._mean @ weights

    def _weights(self, targets: np.ndarray) -> np.ndarray:
        starts = range(0, len(self._x), ROWS)
        covariance = sum(self._rows(start).T @ targets[start : start + ROWS] for start in starts)
        weights: np.ndarray = cho_solve(self._factor, covariance)
        return weights

    def _rows(self, start: int) -> np.ndarray:
        rows: np.ndarray = self._x[start : start + ROWS] - self._mean
        return rows


def neighbour_graph(x: np.ndarray, neighbours: int, width_rule: str = "self-tuning") -> csr_array:
    """Return the symmetric weights (n, n) of a graph that joins each sample of `x` (n, d) to its nearest others.

    An edge that only one of its two ends asked for counts like any other.
    """
    graph = csr_array(kneighbors_graph(x, neighbours, mode="distance", include_self=False), dtype=np.float64)
    farthest = graph.data.reshape(len(x), neighbours).max(axis=1)
    width = farthest if width_rule == "self-tuning" else np.full(len(x), np.median(graph.data))
    rows, columns = np.repeat(np.arange(len(x)), neighbours), graph.indices
    # Copies of a sample have the weight 1, whatever the width, which may be zero.
    scale = np.maximum(width[rows] * width[columns], np.finfo(np.float32).tiny)
    weights = csr_array((np.exp(-(graph.data**2) / scale), (rows, columns)), shape=graph.shape)
    return csr_array(weights.maximum(weights.T))


def normalised(weights: csr_array) -> csr_array:
    """Return D^-1/2 A D^-1/2 for the weights A (n, n) and their row sums D; a row without weights stays zero."""
    degrees = weights.sum(axis=1)
    roots = np.divide(1.0, np.sqrt(degrees), out=np.zeros_like(degrees), where=degrees > 0)
    return csr_array(weights.multiply(roots[:, None]).multiply(roots[None, :]))
