"""Embeddings: a layer's outputs of the best run of a cell, projected to the plane; the maker and its command."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.analysis.artefacts import EMBEDDING as ARTEFACT
from benchmark.errors import UsageError, UserError, did_you_mean
from benchmark.plan.cells import PlannedCell
from benchmark.repeat.artefacts import Shown, make_artefacts
from benchmark.session import Session
from benchmark.store.rows import csv_bytes

SAMPLES = 2000
"""How many samples a figure shows at most, drawn without labels."""

EMBEDDING = "embedding"
"""In the place of a layer: the representation that the method itself assigns by."""

COMPONENTS = 50
"""To how many principal components a layer's outputs are reduced before they are projected."""


def embed_best(
    session: Session,
    cell: PlannedCell,
    tap: str,
    projection: str,
    epochs: Sequence[int] = (),
    samples: int = SAMPLES,
) -> list[Path]:
    """Store embeddings of the best run of `cell` at the layer `tap`, and return their files (see `make_artefacts`).

    At most `samples` samples are shown, the same in all. UsageError where layer or projection are unknown.
    """
    if projection not in PROJECTIONS:
        raise UsageError(did_you_mean("projection", projection, PROJECTIONS))
    return make_artefacts(session, cell, ARTEFACT, {"tap": tap, "projection": projection, "samples": samples}, epochs)


def make_embedding(shown: Shown, options: Mapping[str, Any]) -> bytes:
    """Return points with the class and the cluster of each, and the epoch where one was asked for, as CSV."""
    chosen = np.random.default_rng(0).permutation(len(shown.data.x))[: options["samples"]]
    outputs = layer_outputs(shown.estimator, np.asarray(shown.data.x)[chosen], options["tap"], shown.model)
    columns = {"class": np.asarray(shown.data.y)[chosen], "cluster": shown.clusters[chosen]}
    columns |= {} if shown.epoch is None else {"epoch": np.full(len(chosen), shown.epoch)}
    return _as_csv(PROJECTIONS[options["projection"]](outputs), columns)


def _as_csv(points: np.ndarray, columns: Mapping[str, np.ndarray]) -> bytes:
    """Return points (n, 2) and integers (n,) by name as a CSV file."""
    places = [[f"{x:.4f}", f"{y:.4f}"] for x, y in points.tolist()]
    integers = zip(*(map(str, column.tolist()) for column in columns.values()), strict=True)
    rows = [[*place, *values] for place, values in zip(places, integers, strict=True)]
    return csv_bytes(("x", "y", *columns), rows)


def layer_outputs(estimator: Any, x: np.ndarray, tap: str, model: nn.Module) -> np.ndarray:
    """Return the flattened outputs (n, d) of the layer `tap` of an estimator's network `model`.

    Where no layer has that name, "embedding" is the embedding that the method assigns by.
    """
    modules = {name.rpartition(".")[2]: module for name, module in model.named_modules() if name}
    if tap not in (*modules, EMBEDDING):
        raise UsageError(did_you_mean("layer", tap, (*modules, EMBEDDING)))
    seen: list[Tensor] = []

    def keep(output: Tensor) -> None:
        seen.append(output.detach().flatten(1).cpu())

    handle = modules[tap].register_forward_hook(lambda _, __, output: keep(output)) if tap in modules else None
    try:
        with torch.no_grad():
            for part in torch.split(torch.from_numpy(np.array(x, dtype=np.float32)), 512):
                found = estimator.assign(model, part.to(next(model.parameters()).device))
                if handle is None:
                    keep(found[1])
    finally:
        if handle is not None:
            handle.remove()
    outputs: np.ndarray = torch.cat(seen).numpy()
    return outputs


def _principal(outputs: np.ndarray) -> np.ndarray:
    from sklearn.decomposition import PCA

    count = min(COMPONENTS, *outputs.shape)
    reduced: np.ndarray = PCA(count, svd_solver="full").fit_transform(outputs.astype(np.float64))
    return reduced


def _tsne(outputs: np.ndarray) -> np.ndarray:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(outputs) - 1) / 3)
    points: np.ndarray = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(_principal(outputs))
    return points


def _umap(outputs: np.ndarray) -> np.ndarray:
    try:
        from umap import UMAP
    except ImportError:
        raise UserError("UMAP is not installed: pip install 'reclust[viz]'.") from None
    points: np.ndarray = UMAP(n_components=2, random_state=0, n_jobs=1).fit_transform(_principal(outputs))
    return points


PROJECTIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {"pca": lambda outputs: _principal(outputs)[:, :2], "tsne": _tsne, "umap": _umap}
)
"""Ways to the plane, by name; all are fixed by their input."""
