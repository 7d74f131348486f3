"""Embeddings of best runs for figures: train the run again, take a layer's outputs, project them to the plane, store.

Weights are not tracked, but runs repeat: the run with the lowest loss of a cell is made again from its specification,
and its loss must come out as stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.assemble import cell_records
from benchmark.execute import execute
from benchmark.plan import PlannedCell
from benchmark.record import COUNTED
from benchmark.registry import LoadedData, UsageError, UserError, did_you_mean
from benchmark.rows import csv_bytes
from benchmark.session import Session
from benchmark.stored import write_synced
from benchmark.training import Snapshot

SAMPLES = 2000
"""How many samples a figure shows at most, drawn without labels."""

COMPONENTS = 50
"""To how many principal components a layer's outputs are reduced before they are projected."""

TOLERANCE = 1e-6


def embed_best(session: Session, cell: PlannedCell, tap: str, projection: str) -> Path:
    """Store the embedding of the best run of `cell` at the layer `tap`, and return its file.

    Raises
    ------
    UserError
        Where no run is stored, the layer is unknown, or the run made again has another loss than the stored one.
    """
    if projection not in PROJECTIONS:
        raise UsageError(did_you_mean("projection", projection, PROJECTIONS))
    used = [r for r in cell_records(cell.specs, session.find).values() if r.status in COUNTED and r.loss is not None]
    if not used:
        raise UserError(f"no run of {cell.row} on {cell.column} is stored in the {cell.profile} profile: run it first.")
    best = min(used, key=lambda record: (record.loss, record.spec.replicate))
    held: list[tuple[Any, LoadedData]] = []

    def hold(snapshot: Snapshot, estimator: Any, data: LoadedData) -> Mapping[str, float]:
        held[:] = [(estimator, data)]
        return {}

    result = execute(best.spec, data_dir=session.data_dir, device=session.device, measures=(hold,))
    again = result.record.loss
    if result.labels is None or again is None or not math.isclose(again, best.loss or 0.0, rel_tol=TOLERANCE):
        raise UserError(
            f"run {best.run_id} now gives the loss {again}, but {best.loss} is stored: renew it (`run --stale rerun`)."
        )
    estimator, data = held[0]
    chosen = np.random.default_rng(0).permutation(len(data.x))[:SAMPLES]
    points = PROJECTIONS[projection](layer_outputs(estimator, np.asarray(data.x)[chosen], tap))
    rows = zip(points.tolist(), np.asarray(data.y)[chosen].tolist(), result.labels[chosen].tolist(), strict=True)
    table = [[f"{x:.4f}", f"{y:.4f}", str(kind), str(cluster)] for (x, y), kind, cluster in rows]
    file = session.results / "stored" / cell.paper / "embeddings" / f"{best.run_id}-{tap}-{projection}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_synced(file, csv_bytes(("x", "y", "class", "cluster"), table))
    return file


def layer_outputs(estimator: Any, x: np.ndarray, tap: str) -> np.ndarray:
    """Return the flattened outputs (n, d) of the layer `tap` of a fitted estimator's network."""
    model: nn.Module = estimator.model_
    modules = {name.rpartition(".")[2]: module for name, module in model.named_modules() if name}
    if tap not in modules:
        raise UsageError(did_you_mean("layer", tap, modules))
    seen: list[Tensor] = []
    handle = modules[tap].register_forward_hook(lambda _, __, output: seen.append(output.detach().flatten(1).cpu()))
    try:
        with torch.no_grad():
            for part in torch.split(torch.from_numpy(np.array(x, dtype=np.float32)), 512):
                estimator.assign(model, part.to(next(model.parameters()).device))
    finally:
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
