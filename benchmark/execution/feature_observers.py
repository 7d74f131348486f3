"""Observers of dynamic methods: gradients towards true and pseudo labels, and the parts of the data they tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.execution.observers import matched
from benchmark.measure.metrics import evaluate_clustering
from benchmark.measure.mismatch import cosine
from benchmark.registry import LoadedData
from benchmark.training.gradients import flat_gradient
from benchmark.training.phases import Snapshot

SAMPLES, ROWS = 4096, 1024
"""On at most how many samples gradients are taken, and how many are assigned at once."""


def record_features(snapshot: Snapshot, estimator: Any, data: LoadedData) -> dict[str, float]:
    """Return feature randomness `fr` and drift `fd` (dynae2022 Eq. 1, 3) of a method that has `mismatch_terms`.

    ``mismatch_terms(model, x, clusters)`` gives losses by name: `pseudo`, `whole`, `true`, and `auxiliary` where there
    is one; `clusters` (n,) are those that the true classes are matched to. As in the authors' code, `fr` compares
    `true` with `whole`, and both are about the weights of the encoder (ledger Y9). Every inner product of gradients, by
    the encoder's weights and by all, is recorded, from which the other variants follow.
    """
    clusters = snapshot.assignments
    if snapshot.model is None or clusters is None or not hasattr(estimator, "mismatch_terms"):
        return {}
    model = snapshot.model().eval()
    index = np.random.default_rng(0).permutation(len(data.x))[:SAMPLES]
    true = matched(np.asarray(data.y), clusters, estimator.n_clusters)[index]
    x = torch.from_numpy(np.array(data.x[index], dtype=np.float32)).to(_device(model))
    with torch.enable_grad():
        terms = estimator.mismatch_terms(model, x, torch.from_numpy(true.astype(np.int64)).to(x.device))
        of_encoder = _gradients(terms, _encoder(model))
        of_all = _gradients(terms, [p for p in model.parameters() if p.requires_grad])
    found = {"fr": cosine(of_encoder["true"], of_encoder["whole"])}
    if "auxiliary" in terms:
        found["fd"] = cosine(of_encoder["auxiliary"], of_encoder["pseudo"])
    for part, gradients in (("encoder", of_encoder), ("all", of_all)):
        for a, b in combinations_with_replacement(sorted(gradients), 2):
            found[f"features:{part}:{a}*{b}"] = float(gradients[a] @ gradients[b])
    return {name: value for name, value in found.items() if np.isfinite(value)}


def record_subsets(snapshot: Snapshot, estimator: Any, data: LoadedData) -> dict[str, float]:
    """Return size, accuracy and NMI of each part of the data that ``estimator.subsets(model, x)`` tells apart.

    The size is a share of the samples of this data set (ledger Y24). A part of fewer than two samples has no scores;
    each part is matched to the classes by itself.
    """
    clusters = snapshot.assignments
    if snapshot.model is None or clusters is None or not hasattr(estimator, "subsets"):
        return {}
    model = snapshot.model().eval()
    x, y = torch.from_numpy(np.array(data.x, dtype=np.float32)).to(_device(model)), np.asarray(data.y)
    with torch.no_grad():
        parts = [estimator.subsets(model, part) for part in torch.split(x, ROWS)]
    found: dict[str, float] = {}
    for name in parts[0]:
        mask = torch.cat([part[name] for part in parts]).cpu().numpy()
        found[f"share:{name}"] = float(mask.mean())
        if mask.sum() > 1:
            scores = evaluate_clustering(y[mask], clusters[mask])
            found |= {f"{metric}:{name}": float(scores[metric]) for metric in ("acc", "nmi")}
    return found


def _encoder(model: nn.Module) -> list[nn.Parameter]:
    """Return the weights from samples to embeddings: of the submodules `backbone` and `embed`, or of all."""
    parts = [part for name in ("backbone", "embed") if isinstance(part := getattr(model, name, None), nn.Module)]
    return [p for part in parts or [model] for p in part.parameters() if p.requires_grad]


def _gradients(terms: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]) -> dict[str, np.ndarray]:
    return {name: flat_gradient(value, parameters).numpy() for name, value in terms.items()}


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
