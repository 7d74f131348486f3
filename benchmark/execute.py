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
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.estimator import device_named
from benchmark.metrics import evaluate_clustering
from benchmark.provenance import code_digest, environment
from benchmark.record import Context, Evaluation, RunRecord
from benchmark.registry import DATASETS, METHODS, NETWORKS, DataError, LoadedData
from benchmark.spec import RunSpec
from benchmark.streams import Streams
from benchmark.training import Diverged, RunContext, Snapshot

Measure = Callable[[Snapshot, Any, LoadedData], Mapping[str, float]]
"""Called with a snapshot, the estimator and the data; training never sees what it returns."""


@dataclass(frozen=True)
class RunResult:
    """A record, with the assignments (n,) of its samples where the run gave any."""

    record: RunRecord
    labels: np.ndarray | None = None


def execute(
    spec: RunSpec,
    *,
    context: Context | None = None,
    data_dir: Path | None = None,
    device: str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
    measures: Sequence[Measure] = (),
) -> RunResult:
    """Train and evaluate one run; what `measures` return of each snapshot goes into the history.

    Raises
    ------
    DataError
        When the data are missing, damaged, or have another digest than the spec asks for.
    UsageError
        When the method, the data set or a preprocessing step is unknown.
    """
    digest = run_code_digest(spec)  # now: later the files may no longer be those that Python has read
    estimator = METHODS[spec.method](**spec.params)
    data = prepared_data(spec, data_dir)
    history: list[Evaluation] = []

    def observe(snapshot: Snapshot) -> None:
        found = {name: value for measure in measures for name, value in measure(snapshot, estimator, data).items()}
        history.append(_evaluation(snapshot, data.y, found))

    streams = Streams(spec.data.name, spec.replicate)
    run = RunContext(streams, spec.protocol, device_named(device), (observe,), progress)
    started = time.perf_counter()
    found: dict[str, Any]
    labels = None
    try:
        estimator.fit(data.x, run=run)
        labels = np.asarray(estimator.labels_)
        found = _success(estimator, labels, data)
    except Diverged as error:
        found = {"status": "diverged", "error": str(error)}
    except Exception as error:
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        found = {"status": "failed", "error": text, "traceback": traceback.format_exc()}
    record = RunRecord(
        run_id=spec.run_id,
        spec=spec,
        context=context or Context(),
        history=tuple(history),
        n_samples=len(data.x),
        seconds=time.perf_counter() - started,
        peak_mib=_peak_mib(device),
        code_digest=digest,
        environment={**environment(device, torch.get_num_threads()), "streams": sorted(streams.used)},
        **found,
    )
    return RunResult(record, labels)


def prepared_data(spec: RunSpec, data_dir: Path | None) -> LoadedData:
    """Return the data of a run, loaded, checked, subset and preprocessed; the last two stay in memory."""
    source = DATASETS[spec.data.name]
    if source.digest != spec.data.digest:
        raise DataError(
            f"the run asks for {source.name} with the digest {spec.data.digest}, "
            f"but this version declares {source.digest}."
        )
    return _prepared(spec.data.name, spec.data.preprocess, spec.data.samples, data_dir)


@lru_cache(maxsize=2)
def _prepared(name: str, preprocess: tuple[str, ...], samples: int | None, data_dir: Path | None) -> LoadedData:
    return DATASETS[name].load(data_dir).prepare(preprocess, samples)


def run_code_digest(spec: RunSpec) -> str:
    """Return the digest of the project code that decides the numbers of a run: its method's, data set's and ours."""
    modules = [METHODS[spec.method].__module__, type(DATASETS[spec.data.name]).__module__, __name__]
    if (network := str(spec.params.get("network", ""))) in NETWORKS:
        modules.append(type(NETWORKS[network]).__module__)
    return code_digest(modules)


def _evaluation(snapshot: Snapshot, y: np.ndarray, measured: Mapping[str, float]) -> Evaluation:
    return Evaluation(
        phase=snapshot.phase,
        step=snapshot.step,
        epoch=snapshot.epoch,
        total=snapshot.total,
        terms=dict(snapshot.terms),
        metrics={**evaluate_clustering(y, snapshot.assignments), **measured},
        clusters=len(np.unique(snapshot.assignments)),
    )


def _success(estimator: Any, labels: np.ndarray, data: LoadedData) -> dict[str, Any]:
    if labels.shape != (len(data.x),) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"the method gave labels of shape {labels.shape} and type {labels.dtype}, not ({len(data.x)},)."
        )
    outcome = estimator.outcome_
    if not math.isfinite(outcome.loss):
        raise Diverged(f"the method ended with the loss {outcome.loss}")
    return {
        "status": "ok" if len(np.unique(labels)) > 1 else "collapsed",
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
