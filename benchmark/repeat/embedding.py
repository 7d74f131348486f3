"""Embeddings of best runs for figures: train the run again, take a layer's outputs, project them to the plane, store.

Weights are not tracked, but runs repeat: the run with the lowest loss of a cell is made again from its specification,
as far as needed, and its losses must come out as stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.analysis.assemble import cell_records
from benchmark.errors import UsageError, UserError, did_you_mean
from benchmark.execution.events import Job, Place
from benchmark.execution.execute import execute
from benchmark.execution.jobs import one_thread, starting_weights
from benchmark.figures.declared import embedding_name
from benchmark.files.writing import write_changed
from benchmark.plan.cells import PlannedCell
from benchmark.plan.lineage import parent_of
from benchmark.record import COUNTED, Context, RunRecord
from benchmark.registry import LoadedData
from benchmark.repeat.beginning import shortened
from benchmark.session import Session
from benchmark.spec import RunSpec
from benchmark.store.rows import csv_bytes
from benchmark.training.phases import Snapshot

SAMPLES = 2000
"""How many samples a figure shows at most, drawn without labels."""

EMBEDDING = "embedding"
"""In the place of a layer: the representation that the method itself assigns by."""

COMPONENTS = 50
"""To how many principal components a layer's outputs are reduced before they are projected."""

TOLERANCE = 1e-6


@dataclass(frozen=True)
class _Held:
    """What a run showed at one evaluation of its last phase: the network, and the cluster of each sample (n,)."""

    epoch: int
    model: nn.Module
    clusters: np.ndarray


class _Holder:
    """Keeps the first evaluation at or after each of the epochs of a phase, the last evaluation otherwise."""

    def __init__(self, phase: str, epochs: Sequence[int]) -> None:
        self.phase, self.wanted = phase, sorted(set(epochs))
        self.held: dict[int, _Held] = {}
        self.last: _Held | None = None
        self.seen: tuple[Any, LoadedData] | None = None

    def __call__(self, snapshot: Snapshot, estimator: Any, data: LoadedData) -> dict[str, float]:
        self.seen = (estimator, data)
        clusters, model = snapshot.assignments, snapshot.model
        if self.wanted and snapshot.phase == self.phase and clusters is not None and model is not None:
            self.last = _Held(snapshot.epoch, model().eval(), clusters)
            due = [epoch for epoch in self.wanted if epoch <= snapshot.epoch and epoch not in self.held]
            self.held |= dict.fromkeys(due, self.last)
        return {}

    def at(self, epoch: int) -> _Held:
        """Return what is held of an epoch; of the end of the run, where it stopped before."""
        if self.last is None:
            raise UserError("the run has no evaluation of its last phase that shows a network.")
        return self.held.get(epoch, self.last)


@one_thread()
def embed_best(
    session: Session,
    cell: PlannedCell,
    tap: str,
    projection: str,
    epochs: Sequence[int] = (),
    samples: int = SAMPLES,
) -> list[Path]:
    """Store embeddings of the best run of `cell` at the layer `tap`, and return their files.

    Without `epochs`, one of the end of the run; with them, one at the first evaluation at or after each of these epochs
    of its last phase, which is trained no further than the last of them. At most `samples` samples are shown, the same
    in all.

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
    clusters, holder = _made_again(session, best, epochs)
    if holder.seen is None:
        raise UserError(f"{cell.row} trains no network, so it has no layer to show.")
    estimator, data = holder.seen
    chosen = np.random.default_rng(0).permutation(len(data.x))[:samples]
    shown = [(e, holder.at(e)) for e in epochs] if epochs else [(None, _Held(0, estimator.model_, clusters))]
    folder, files = session.results / "stored" / cell.paper / "embeddings", []
    for epoch, held in shown:
        outputs = layer_outputs(estimator, np.asarray(data.x)[chosen], tap, held.model)
        columns = {"class": np.asarray(data.y)[chosen], "cluster": held.clusters[chosen]}
        columns |= {} if epoch is None else {"epoch": np.full(len(chosen), held.epoch)}
        file = folder / embedding_name(best.run_id, tap, projection, epoch)
        write_changed({file: _as_csv(PROJECTIONS[projection](outputs), columns)})
        files.append(file)
    return files


def _made_again(session: Session, best: RunRecord, epochs: Sequence[int]) -> tuple[np.ndarray, _Holder]:
    """Train a stored run again, as far as the last of `epochs` or to its end; return its clusters (n,) and the holder.

    UserError where it does not give the stored numbers.
    """
    # Stored specifications name their phases in alphabetical order; the history has them as they were.
    phase = best.history[-1].phase if best.history else ""
    weights = _starting_weights(session, best.spec)
    beginning = _as_far_as(best, phase, epochs)
    again: float | None = None
    for spec in (beginning, best.spec) if beginning != best.spec else (best.spec,):
        holder = _Holder(phase, epochs)
        result = execute(spec, data_dir=session.data_dir, device=session.device, measures=(holder,), parent=weights)
        again = result.record.loss
        same = _begins_as(best, result.record, phase) if spec != best.spec else _close(again, best.loss)
        if same and result.labels is not None:
            return result.labels, holder
    raise UserError(
        f"run {best.run_id} now gives the loss {again}, but {best.loss} is stored: renew it (`run --stale rerun`)."
    )


def _as_far_as(record: RunRecord, phase: str, epochs: Sequence[int]) -> RunSpec:
    """Return the specification of a run that ends at its first evaluation of `phase` at or after the last of `epochs`.

    At least one step is made. The whole run's where there are no epochs, or it stopped before.
    """
    trained = [e for e in record.history if e.phase == phase and e.step > 0]
    reached = [e for e in trained if epochs and e.epoch >= max(epochs)]
    if not reached:
        return record.spec
    budget = record.spec.protocol.phases[phase].budget
    end = reached[0].step if budget.unit == "steps" else reached[0].epoch
    return shortened(record.spec, {phase: min(end, budget.amount)})


def _begins_as(stored: RunRecord, today: RunRecord, phase: str) -> bool:
    """Whether every evaluation of `phase` that `today` has gives the loss that is stored of it."""
    before, now = ([(e.step, e.total) for e in record.history if e.phase == phase] for record in (stored, today))
    pairs = zip(now, before, strict=False)
    return 1 < len(now) <= len(before) and all(a == b and _close(loss, was) for (a, loss), (b, was) in pairs)


def _close(loss: float | None, stored: float | None) -> bool:
    return loss is not None and stored is not None and math.isclose(loss, stored, rel_tol=TOLERANCE)


def _starting_weights(session: Session, spec: RunSpec) -> Mapping[str, Tensor] | None:
    """Return the weights that a run starts from, where they are kept; without them it trains them again."""
    parent = parent_of(spec)
    if parent is None or not session.has_weights(parent):
        return None
    return starting_weights(
        Job(spec, Context(), parents=(parent.run_id,)), Place(session.results, device=session.device)
    )


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
