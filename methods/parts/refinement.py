"""Cluster refinement, as DEC introduced it: soft assignments to centres, and the targets that sharpen them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from sklearn.cluster import KMeans as LloydKMeans
from torch import Tensor

from benchmark.training import Degenerate, Diverged


def still_finite(embedding: np.ndarray) -> np.ndarray:
    """Return an embedding (n, e) as it is, before k-means looks for centres in it while a network trains.

    Raises
    ------
    Diverged
        Where it has NaN or infinite values: weights are checked at evaluations, and may break between two of them.
    """
    if not np.isfinite(embedding).all():
        raise Diverged("the embedding is not finite where centres are to be found anew")
    return embedding


def student_t(embedding: Tensor, centres: Tensor) -> Tensor:
    """Return soft assignments q, the similarity of embedded samples to centres (idec2017 Eq. 2).

    Parameters
    ----------
    embedding : Tensor, shape (n, d)
    centres : Tensor, shape (k, d)

    Returns
    -------
    Tensor, shape (n, k)
        Rows sum to one: 1 / (1 + |z - mu|^2), normalised; Student's t with one degree of freedom.

    >>> student_t(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [1.0]])).tolist()
    [[0.6666666865348816, 0.3333333432674408], [0.3333333432674408, 0.6666666865348816]]
    """
    differences = embedding.unsqueeze(1) - centres
    weights = 1 / (1 + differences.square().sum(dim=2))
    return weights / weights.sum(dim=1, keepdim=True)


def target_distribution(assignments: Tensor) -> Tensor:
    """Return the targets p of soft assignments q (n, k): q^2 over the size of its cluster, normalised (idec2017 Eq. 4).

    >>> target_distribution(torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
    tensor([[0.2500, 0.7500],
            [1.0000, 0.0000]])
    """
    weights = assignments.square() / assignments.sum(dim=0)
    return weights / weights.sum(dim=1, keepdim=True)


def clustering_divergence(targets: Tensor, assignments: Tensor) -> Tensor:
    """Return KL(P || Q), summed over clusters and averaged over samples (idec2017 Eq. 3, ledger I9), a scalar.

    Targets and assignments, (n, k), are at least 1e-7, as in Keras' divergence.
    """
    p, q = targets.clamp_min(1e-7), assignments.clamp_min(1e-7)
    return (p * (p / q).log()).sum(dim=1).mean()


def kmeans_start(
    embedding: np.ndarray, n_clusters: int, starts: int, seed: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return centres (k, d), labels (n,) and inertia of the best of several k-means++ starts on an embedding (n, d).

    Raises
    ------
    Degenerate
        Where the embedding has fewer distinct points than clusters: no centres can be told apart then.
    """
    if len(np.unique(embedding, axis=0)) < n_clusters:
        raise Degenerate(
            f"the embedding has fewer than {n_clusters} distinct points, so {n_clusters} clusters cannot start from it."
        )
    model = LloydKMeans(n_clusters, n_init=starts, random_state=seed).fit(embedding)
    return model.cluster_centers_, model.labels_.astype(np.int64), float(model.inertia_)


class Targets:
    """The targets p (n, k) of all samples, renewed now and then, and how many assignments changed at the last renewal.

    `assign` gives the soft assignments q (n, k) of all samples as they are now; `labels` (n,) are those of the start.
    Before the first renewal the targets are those of the assignments at the start; `p` is renewed in place.
    """

    def __init__(self, assign: Callable[[], Tensor], labels: Tensor, interval: int, tolerance: float) -> None:
        self.assign, self.interval, self.tolerance = assign, interval, tolerance
        self.labels = labels
        self.changed = 1.0
        q = self.assign()
        self.p = torch.empty_like(q)
        self._take(q)

    def renew(self, step: int) -> None:
        """Take the targets of today's assignments (idec2017 Algorithm 1, lines 3 to 6)."""
        self._take(self.assign())

    def _take(self, q: Tensor) -> None:
        labels = q.argmax(dim=1)
        self.changed = float((labels != self.labels).double().mean())
        self.labels = labels
        self.p.copy_(target_distribution(q))

    def settled(self, step: int) -> bool:
        """Whether less than `tolerance` of the labels changed at a renewal just before `step`; never at the start."""
        return step > 0 and step % self.interval == 0 and self.changed < self.tolerance

    def state(self) -> Mapping[str, Tensor]:
        """Return what must be known to go on."""
        return {"targets": self.p, "labels": self.labels, "changed": torch.tensor(self.changed, dtype=torch.float64)}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`."""
        self.p.copy_(state["targets"])
        self.labels = state["labels"].to(self.labels.device)
        self.changed = float(state["changed"])
