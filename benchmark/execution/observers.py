"""What the suite's observers record at every evaluation; `benchmark.store.observed` declares them.

What they return goes into the history under its own names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from benchmark.measure.mismatch import calinski_harabasz, cosine, davies_bouldin, gram_entries
from benchmark.registry import LoadedData
from benchmark.training.gradients import BATCHES, flat_gradient, measured_parameters
from benchmark.training.phases import Snapshot

SAMPLES = 480
"""On how many samples feature randomness is taken: four batches of the papers' 120."""


def record_drift(snapshot: Snapshot, estimator: Any, data: LoadedData) -> dict[str, float]:
    """Return the inner products of the gradients of all loss terms, from which every drift and OFM follows."""
    if snapshot.gradients is None:
        return {}
    found = snapshot.gradients(BATCHES)
    return gram_entries({name: value.numpy() for name, value in found.gradients.items()}, found.weights)


def record_validity(snapshot: Snapshot, estimator: Any, data: LoadedData) -> dict[str, float]:
    """Return internal validity indices of the assignments in the embedding: performance without labels."""
    labels = snapshot.assignments
    if snapshot.model is None or labels is None or not hasattr(estimator, "assign"):
        return {}
    model = snapshot.model().eval()
    x = _samples(data.x, model)
    with torch.no_grad():
        embedding = torch.cat([estimator.assign(model, part)[1] for part in torch.split(x, 512)]).cpu().numpy()
    found = {
        "ch": calinski_harabasz(embedding, labels),
        "ch_unsquared": calinski_harabasz(embedding, labels, squared=False),
        "db": davies_bouldin(embedding, labels),
    }
    return {name: value for name, value in found.items() if np.isfinite(value)}


def record_randomness(snapshot: Snapshot, estimator: Any, data: LoadedData) -> dict[str, float]:
    """Return feature randomness, dynae2022 Eq. 1, of a method that has a `supervised_term(model, batch, target)`.

    The term is taken once with the true classes, each mapped to the cluster that shares most samples with it, and once
    with the clusters themselves; both as one-hot targets (b, k).
    """
    clusters = snapshot.assignments
    if snapshot.model is None or clusters is None or not hasattr(estimator, "supervised_term"):
        return {}
    model = snapshot.model()
    index = np.random.default_rng(0).permutation(len(data.x))[:SAMPLES]
    batch = _samples(data.x[index], model)
    true = matched(np.asarray(data.y), clusters, estimator.n_clusters)
    parameters = measured_parameters(model)
    with torch.enable_grad():
        model.train()
        gradients = [
            flat_gradient(
                estimator.supervised_term(model, batch, _one_hot(labels[index], estimator, model)), parameters
            )
            for labels in (true, clusters)
        ]
    return {"randomness": cosine(gradients[0].numpy(), gradients[1].numpy())}


def matched(y: np.ndarray, clusters: np.ndarray, n_clusters: int) -> np.ndarray:
    """Return for each sample (n,) the cluster that its class is mapped to, one to one, with the most in common."""
    names, classes = np.unique(y, return_inverse=True)
    counts = np.zeros((max(len(names), n_clusters), max(len(names), n_clusters)), dtype=np.int64)
    np.add.at(counts, (classes, clusters), 1)
    rows, columns = linear_sum_assignment(-counts)
    mapping: np.ndarray = columns[np.argsort(rows)]
    return mapping[classes] % n_clusters


def _samples(x: np.ndarray, model: nn.Module) -> Tensor:
    device = next(model.parameters()).device
    return torch.from_numpy(np.array(x, dtype=np.float32)).to(device)


def _one_hot(labels: np.ndarray, estimator: Any, model: nn.Module) -> Tensor:
    device = next(model.parameters()).device
    return (
        torch.nn.functional.one_hot(torch.from_numpy(labels.astype(np.int64)), estimator.n_clusters).float().to(device)
    )
