"""One RunSpec to one RunRecord: the side that trains (`fitting`) and the one that has the labels (`scoring`) meet here.

Training never sees `y`: the scorer compares the assignments of each snapshot with it, and nothing flows back. Whatever
a method does gives a record that says so; missing or damaged data are the caller's errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from benchmark.data.prepared import forget_prepared, prepared_data
from benchmark.errors import UserError, error_text, traceback_text
from benchmark.execution.fits.apart import Apart, MeasuredApart, fitted_apart, modules_of, samples_file
from benchmark.execution.fits.fitting import Ending, Measure, Samples, failed, fitted, needs_labels
from benchmark.execution.fits.scoring import Scorer, Scores, labelled_measure
from benchmark.execution.fits.trainer import Task
from benchmark.execution.fits.turns import Turn, fitted_in_turns
from benchmark.provenance.code import run_code_digest
from benchmark.provenance.environment import environment, machine_kind
from benchmark.record import COUNTED, NUMERIC_MODE, Context, RunRecord
from benchmark.registry import OBSERVERS, LoadedData
from benchmark.spec import RunSpec
from benchmark.training.engines.lanes import Turns, alone
from benchmark.training.resume import Checkpoints

__all__ = ["Apart", "Measure", "RunResult", "execute", "executing"]


@dataclass(frozen=True)
class RunResult:
    """A record, with the assignments (n,) of its samples where the run gave any.

    `weights` by name are those of a run from which others start. `spoilt` says that the run changed what others in this
    process share; it was put back, but the process is better replaced.
    """

    record: RunRecord
    labels: np.ndarray | None = None
    weights: Mapping[str, torch.Tensor] | None = None
    spoilt: bool = False


def execute(spec: RunSpec, **options: Any) -> RunResult:
    """Train and evaluate one run by itself; arguments and errors are those of `executing`, without `turn`."""
    return alone(executing(spec, **options))


def executing(
    spec: RunSpec,
    *,
    context: Context | None = None,
    data_dir: Path | None = None,
    device: str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
    measures: Sequence[Measure] = (),
    load: Callable[[], LoadedData] | None = None,
    checkpoints: Callable[[Mapping[str, str]], Checkpoints] | None = None,
    parent: Mapping[str, torch.Tensor] | None = None,
    apart: Apart | None = None,
    turn: Turn | None = None,
) -> Turns[RunResult]:
    """Train and evaluate one run; what `measures` return of each snapshot goes into the history.

    `load` gives the prepared data, where somebody else holds them already: it is called by the scorer, which keeps the
    labels to itself. `checkpoints` opens the checkpoints of a run by what must be equal for it to be resumed to the
    last bit. `parent` are the weights of the run that this one starts from; without them it makes its pre-training
    itself, and gives the same numbers. `apart` has the fit made in a process of its own, which opens its checkpoints.

    With a `turn` the run is one of several in this process, and stops before each of its steps; without, it stops
    nowhere.

    Raises
    ------
    DataError
        When the data are missing, damaged, or have another digest than the spec asks for.
    UsageError
        When the method, the data set or a preprocessing step is unknown, or the protocol does not fit the method.
    UserError
        When the machine's memory is too small: that says nothing about the method. It is a `Lost` of
        `benchmark.execution.fits.apart` where the process of a fit ends without a word.
    Spoilt
        When a fit changed what those share that take turns.
    """
    digest = run_code_digest(spec)  # now: later the files may no longer be those that Python has read
    how = _How(device, measures, progress, checkpoints, parent, apart, _identity(spec, digest, device, measures), turn)
    made = yield from _made(spec, load or partial(prepared_data, spec, data_dir), how)
    if made.ending.written:
        forget_prepared()
    known = {
        "run_id": spec.run_id,
        "spec": spec,
        "context": context or Context(),
        "n_samples": made.n_samples,
        "seconds": made.ending.seconds,
        "peak_mib": made.ending.peak_mib,
        "code_digest": digest,
        "environment": {
            **environment(device, torch.get_num_threads()),
            "streams": list(made.ending.streams),
            **({"resumed": made.ending.resumed} if made.ending.resumed else {}),
            **({NUMERIC_MODE: dict(made.ending.numeric)} if made.ending.numeric else {}),
            **({"stack": turn.company.size} if turn else {}),
        },
        "history": made.scores.history,
        "metrics": dict(made.scores.metrics),
    }
    ending = made.ending
    try:
        record = RunRecord(**known, **ending.values)
    except (TypeError, ValueError) as error:
        ending = failed(f"what the method left cannot be recorded: {error_text(error)}")
        record = RunRecord(**{**known, "metrics": {}}, **ending.values)
    return RunResult(record, ending.labels, ending.weights, ending.spoilt)


@dataclass(frozen=True)
class _How:
    """What a run is made with, beside its specification."""

    device: str
    measures: Sequence[Measure]
    progress: Callable[[str, int, int], None] | None
    checkpoints: Callable[[Mapping[str, str]], Checkpoints] | None
    parent: Mapping[str, torch.Tensor] | None
    apart: Apart | None
    identity: Mapping[str, str]
    turn: Turn | None = None

    @property
    def labelled(self) -> list[Any]:
        """The measures that need labels."""
        return [measure for measure in self.measures if needs_labels(measure)]


@dataclass(frozen=True)
class _Made:
    """How a fit ended, and what the scorer says of it."""

    ending: Ending
    scores: Scores = field(default_factory=lambda: Scores((), {}))
    n_samples: int = 0


def _made(spec: RunSpec, load: Callable[[], LoadedData], how: _How) -> Turns[_Made]:
    with ExitStack() as stack:
        beside = stack.enter_context(MeasuredApart(how.apart.seconds)) if how.apart and how.labelled else None
        measure = beside or (labelled_measure(spec, how.labelled) if how.labelled else None)
        try:
            scorer = stack.enter_context(Scorer(load, measure))
        except (UserError, OSError, MemoryError):
            raise
        except Exception as error:
            text = f"the data set {spec.data.name} could not be loaded: {error_text(error)}"
            return _Made(failed(text, traceback_text(error)))
        if how.apart is None:
            ending = yield from _fitted_here(spec, scorer, how)
        else:
            task = _task(spec, scorer, how, how.apart, stack.enter_context(samples_file(scorer.x)))
            if beside is not None:
                beside.task = task
            ending = fitted_apart(task, scorer, how.apart, how.progress)
        ending, scores = _scored(ending, scorer)
        return _Made(ending, scores, len(scorer.x))


def _fitted_here(spec: RunSpec, scorer: Scorer, how: _How) -> Turns[Ending]:
    samples = Samples(scorer.x, scorer.name, scorer.n_clusters, scorer.digest, scorer.lengths)
    options: Any = {"device": how.device, "measures": how.measures, "progress": how.progress, "parent": how.parent}
    options["checkpoints"] = how.checkpoints(how.identity) if how.checkpoints else None
    if how.turn is not None:
        return (yield from fitted_in_turns(spec, samples, scorer, how.turn, **options))
    return fitted(spec, samples, scorer, **options)


def _task(spec: RunSpec, scorer: Scorer, how: _How, apart: Apart, samples: Path) -> Task:
    """Return what a process is told of a run."""
    observers = tuple(measure.name for measure in how.measures)  # type: ignore[attr-defined]
    return Task(
        spec=spec,
        device=how.device,
        modules=(*modules_of(spec), *(OBSERVERS.origin(name).module for name in observers)),
        observers=observers,
        n_clusters=scorer.n_clusters,
        digest=scorer.digest,
        results=apart.results,
        run=apart.run,
        identity=how.identity,
        every=apart.every,
        closed=apart.closed,
        parent=None if how.parent is None else save(dict(how.parent)),
        samples=str(samples),
        lengths=None if scorer.lengths is None else np.asarray(scorer.lengths, dtype=np.int64).tobytes(),
    )


def _scored(ending: Ending, scorer: Scorer) -> tuple[Ending, Scores]:
    """Return what the scorer says of a fit; one whose assignments cannot be scored has failed."""
    try:
        return ending, scorer.scores(ending.labels if ending.status in COUNTED else None)
    except (TypeError, ValueError) as error:
        return failed(error_text(error), traceback_text(error)), scorer.scores(None)


def _identity(spec: RunSpec, digest: str, device: str, measures: Sequence[Measure]) -> dict[str, str]:
    """Return what must be equal for two processes to give the same bits, and the same columns of the history."""
    versions = {"torch": str(torch.__version__), "numpy": np.__version__, "threads": str(torch.get_num_threads())}
    names = ",".join(sorted(getattr(measure, "__name__", repr(measure)) for measure in measures))
    found = {"run_id": spec.run_id, "code": digest, "machine": machine_kind(device), "measures": names, **versions}
    return {**found, "history": "sealed"}
