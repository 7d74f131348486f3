"""Agglomerative clustering with Ward's criterion."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import AgglomerativeClustering

from benchmark.registry import register_method
from benchmark.training import Clusterer, ClusterParams, Outcome, RunContext


@register_method("ward-linkage")
class Agglomerative(Clusterer):
    """Ward's criterion on the flattened samples; the loss is the variance that is left within the clusters."""

    Params = ClusterParams

    def cluster(
        self, x: np.ndarray, params: ClusterParams, context: RunContext
    ) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Cluster the flattened samples."""
        flat = x.reshape(len(x), -1)
        labels = AgglomerativeClustering(params.n_clusters).fit_predict(flat).astype(np.int64)
        loss = float(sum(((flat[labels == k] - flat[labels == k].mean(axis=0)) ** 2).sum() for k in np.unique(labels)))
        return labels, flat, Outcome(loss, loss, {"within": loss})
