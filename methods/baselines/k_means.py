"""k-means on the raw samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field
from sklearn.cluster import KMeans as LloydKMeans
from sklearn.metrics import pairwise_distances_argmin

from benchmark.registry import register_method
from benchmark.training import Clusterer, ClusterParams, Outcome, RunContext


class KMeansParams(ClusterParams):
    """k-means++ starts and iterations of each: 20 and 300 as in dtkc2019; idec2017 also takes 20 starts."""

    starts: int = Field(20, ge=1)
    iterations: int = Field(300, ge=1)


@register_method("k-means")
class KMeans(Clusterer[KMeansParams]):
    """Lloyd's algorithm from several k-means++ starts; the start with the lowest inertia is kept.

    The embedding is the flattened samples, the loss the inertia: the sum of squared distances to the centres.

    >>> x = np.concatenate([np.zeros((10, 2)), np.ones((10, 2))])
    >>> sorted(np.bincount(KMeans(n_clusters=2).fit_predict(x)))
    [np.int64(10), np.int64(10)]
    """

    Params = KMeansParams
    home = ("idec2017/table2", "mnist-full")

    def cluster(
        self, x: np.ndarray, params: KMeansParams, context: RunContext
    ) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Cluster the flattened samples."""
        flat = x.reshape(len(x), -1)
        model = LloydKMeans(
            params.n_clusters,
            n_init=params.starts,
            max_iter=params.iterations,
            random_state=context.streams.integer("kmeans"),
        ).fit(flat)
        self.cluster_centers_ = model.cluster_centers_
        inertia = float(model.inertia_)
        return model.labels_.astype(np.int64), flat, Outcome(inertia, inertia, {"inertia": inertia})

    def predict(self, X: Any) -> np.ndarray:
        """Return the nearest centre (n,) of each of new samples (n, ...), those of `cluster_centers_` (k, d).

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            For samples of another shape than those of the fit.
        """
        x = self._new_samples(X)
        nearest: np.ndarray = pairwise_distances_argmin(x.reshape(len(x), -1), self.cluster_centers_)
        return nearest.astype(np.int64)
