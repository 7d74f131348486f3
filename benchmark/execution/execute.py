"""One RunSpec to one RunRecord: the only place that holds labels.

Training never sees `y`: an observer here compares the assignments of each snapshot with it, and nothing flows back.
A method that fails, diverges or collapses gives a record that says so; missing or damaged data are the caller's errors.
"""

from __future__ import annotations

import math
import resource
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.data.prepared import prepared_data
from benchmark.errors import UserError
from benchmark.measure.metrics import evaluate_clustering
from benchmark.provenance.code import run_code_digest
from benchmark.provenance.environment import environment, machine_kind
from benchmark.record import COUNTED, Context, Evaluation, RunRecord
from benchmark.registry import METHODS, LoadedData
from benchmark.spec import RunSpec
from benchmark.streams import Streams
from benchmark.training.arguments import device_named
from benchmark.training.phases import Diverged, RunContext, Snapshot
from benchmark.training.resume import Checkpoints

Measure = Callable[[Snapshot, Any, LoadedData], Mapping[str, float]]
"""Called with a snapshot, the estimator and the data; training never sees what it returns."""


@dataclass(frozen=True)
class RunResult:
    """A record, with the assignments (n,) of its samples where the run gave any.

    `weights` by name are those of a run from which others start.
    """

    record: RunRecord
    labels: np.ndarray | None = None
    weights: Mapping[str, torch.Tensor] | None = None


class _History:
    """The observer that compares each snapshot with the labels, and records what `measures` say of it."""

    def __init__(self, data: LoadedData, estimator: Any, measures: Sequence[Measure]) -> None:
        self._data, self._estimator, self._measures = data, estimator, measures
        self.rows: list[Evaluation] = []

    def __call__(self, snapshot: Snapshot) -> None:
        found: dict[str, float] = {}
        for measure in self._measures:
            found |= measure(snapshot, self._estimator, self._data)
        self.rows.append(_evaluation(snapshot, self._data.y, found))

    def memory(self) -> Any:
        return [row.model_dump() for row in self.rows]

    def recall(self, memory: Any) -> None:
        self.rows = [Evaluation.model_validate(row) for row in memory]


def execute(
    spec: RunSpec,
    *,
    context: Context | None = None,
    data_dir: Path | None = None,
    device: str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
    measures: Sequence[Measure] = (),
    data: LoadedData | None = None,
    checkpoints: Callable[[Mapping[str, str]], Checkpoints] | None = None,
    parent: Mapping[str, torch.Tensor] | None = None,
) -> RunResult:
    """Train and evaluate one run; what `measures` return of each snapshot goes into the history.

    `data` are the prepared data, where somebody else holds them already. `checkpoints` opens the checkpoints of a run
    by what must be equal for it to be resumed to the last bit. `parent` are the weights of the run that this one starts
    from; without them it makes its pre-training itself, and gives the same numbers.

    Raises
    ------
    DataError
        When the data are missing, damaged, or have another digest than the spec asks for.
    UsageError
        When the method, the data set or a preprocessing step is unknown, or the protocol does not fit the method.
    UserError
        When the machine's memory is too small: that says nothing about the method.
    """
    digest = run_code_digest(spec)  # now: later the files may no longer be those that Python has read
    estimator = METHODS[spec.method](**spec.params)
    data = prepared_data(spec, data_dir) if data is None else data
    history = _History(data, estimator, measures)
    streams = Streams(spec.data.name, spec.replicate)
    kept = checkpoints(_identity(spec, digest, device, measures)) if checkpoints else None
    run = RunContext(streams, spec.protocol, device_named(device), (history,), progress, kept, parent)
    started = time.perf_counter()
    found, labels = _fitted(estimator, data, run)
    record = RunRecord(
        run_id=spec.run_id,
        spec=spec,
        context=context or Context(),
        history=tuple(history.rows),
        n_samples=len(data.x),
        seconds=time.perf_counter() - started + (kept.seconds if kept else 0.0),
        peak_mib=_peak_mib(device),
        code_digest=digest,
        environment={**environment(device, torch.get_num_threads()), "streams": sorted(streams.used), **_resumed(kept)},
        **found,
    )
    return RunResult(record, labels, _weights(estimator) if record.status in COUNTED else None)


def _weights(estimator: Any) -> dict[str, torch.Tensor] | None:
    """Return the weights of a method that pre-trains others, by name, on the CPU; None of any other."""
    # Others' plug-ins are asked here at the end of every run: one that is no `Clusterer` must not cost its record.
    if all(getattr(method, "pretrained_by", "") != estimator.method_name for method in METHODS.values()):
        return None
    state: Mapping[str, torch.Tensor] = estimator.model_.state_dict()
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def _fitted(estimator: Any, data: LoadedData, run: RunContext) -> tuple[dict[str, Any], np.ndarray | None]:
    """Fit, and return what the record says of it, with the labels (n,) where there are any."""
    labels = None
    try:
        estimator.fit(data.x, run=run)
        labels = np.asarray(estimator.labels_)
        return _success(estimator, labels, data), labels
    except Diverged as error:
        return {"status": "diverged", "error": str(error)}, labels
    except UserError:
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        if _out_of_memory(error):
            raise UserError(
                f"the machine has too little memory left for the run ({text}); use fewer --workers."
            ) from None
        return {"status": "failed", "error": text, "traceback": traceback.format_exc()}, None


def _identity(spec: RunSpec, digest: str, device: str, measures: Sequence[Measure]) -> dict[str, str]:
    """Return what must be equal for two processes to give the same bits, and the same columns of the history."""
    versions = {"torch": str(torch.__version__), "numpy": np.__version__, "threads": str(torch.get_num_threads())}
    names = ",".join(sorted(getattr(measure, "__name__", repr(measure)) for measure in measures))
    return {"run_id": spec.run_id, "code": digest, "machine": machine_kind(device), "measures": names, **versions}


def _resumed(kept: Checkpoints | None) -> dict[str, int]:
    return {"resumed": kept.resumed} if kept and kept.resumed else {}


def _out_of_memory(error: Exception) -> bool:
    # On the CPU, torch says it in words.
    words = isinstance(error, RuntimeError) and "allocate memory" in str(error)
    return words or isinstance(error, MemoryError | torch.OutOfMemoryError)


def _evaluation(snapshot: Snapshot, y: np.ndarray, measured: Mapping[str, float]) -> Evaluation:
    labels = snapshot.assignments
    return Evaluation(
        phase=snapshot.phase,
        step=snapshot.step,
        epoch=snapshot.epoch,
        total=snapshot.total,
        terms=dict(snapshot.terms),
        metrics={**({} if labels is None else evaluate_clustering(y, labels)), **measured},
        clusters=0 if labels is None else len(np.unique(labels)),
    )


def _success(estimator: Any, labels: np.ndarray, data: LoadedData) -> dict[str, Any]:
    if labels.shape != (len(data.x),) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"the method gave labels of shape {labels.shape} and type {labels.dtype}, not ({len(data.x)},)."
        )
    outcome = estimator.outcome_
    if not math.isfinite(outcome.loss):
        raise Diverged(f"the method ended with the loss {outcome.loss}")
    collapsed = len(np.unique(labels)) == 1
    return {
        "status": "collapsed" if collapsed else "ok",
        "error": "all samples are in one cluster" if collapsed else "",
        "loss": outcome.loss,
        "final_loss": outcome.final_loss,
        "losses": dict(outcome.losses),
        "first_losses": outcome.first_losses,
        "epochs": outcome.epochs,
        "steps": outcome.steps,
        "metrics": evaluate_clustering(data.y, labels),
    }


def _peak_mib(device: str) -> float:
    """Return the peak memory in MiB: of the process on the CPU, of the allocator on a GPU."""
    if device != "cpu" and torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
