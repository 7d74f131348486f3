"""The side of a run that trains: a specification and samples to how the fit ended, as plain values. It has no labels.

Whatever a method does ends here as a status with its reason; what is not the method's doing is raised.
"""

from __future__ import annotations

import math
import operator
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch

from benchmark.errors import UsageError, UserError, encodable, error_line, error_text, traceback_text
from benchmark.execution.fits.condition import kept_condition
from benchmark.execution.fits.device import refuse_lost
from benchmark.execution.fits.interrupts import interrupts
from benchmark.execution.fits.scoring import Shown
from benchmark.measure.verdict import OUT_OF_MEMORY
from benchmark.record import COUNTED, Status
from benchmark.registry import METHODS, fit_under_way
from benchmark.spec import RunSpec
from benchmark.streams import Streams
from benchmark.training.arguments import device_named
from benchmark.training.memory import NeedsMemory
from benchmark.training.numeric import numeric_mode
from benchmark.training.phases import Diverged, Outcome, RunContext, Snapshot
from benchmark.training.resume import Checkpoints, Stopped

Measure = Callable[[Snapshot, Any, Any], Mapping[str, float]]
"""Called with a snapshot, the estimator and the samples; training never sees what it returns."""


@dataclass(frozen=True)
class Ending:
    """How a fit ended: the fields of the record that it decides, and the final assignments (n,) where there are any.

    `weights` by name are those of a run from which others start. `seconds` are those of the fit, also in earlier
    processes. `numeric` is how a CUDA device computed, None of any other. `spoilt` says that it changed what other runs
    of its process share, `written` that its samples are among that.
    """

    values: Mapping[str, Any]
    labels: np.ndarray | None = None
    weights: Mapping[str, torch.Tensor] | None = None
    streams: Sequence[str] = ()
    peak_mib: float = 0.0
    seconds: float = 0.0
    resumed: int = 0
    numeric: Mapping[str, Any] | None = None
    spoilt: bool = False
    written: bool = False

    @property
    def status(self) -> Status:
        """The status of the record."""
        status: Status = self.values["status"]
        return status


@dataclass(frozen=True)
class Samples:
    """What observers see of the data: the samples `x` (n, ...). Who asks for labels has to declare it.

    `lengths` (n,) are the steps of sequences, None of other samples.
    """

    x: np.ndarray
    name: str
    n_clusters: int
    digest: str
    lengths: np.ndarray | None = None

    @property
    def y(self) -> np.ndarray:
        """There are none on the side that trains."""
        raise UserError("the side that trains has no labels: an observer that needs them says Observer(labels=True).")


class Scoring(Protocol):
    """Where snapshots are scored; nothing comes back but what is sealed."""

    def show(self, shown: Shown) -> None: ...  # noqa: D102
    def seal(self) -> str: ...  # noqa: D102
    def unseal(self, text: str) -> None: ...  # noqa: D102


class Watcher:
    """The observer that shows each snapshot to the scorer, with what the `measures` without labels say of it."""

    def __init__(self, scoring: Scoring, samples: Samples, estimator: Any, measures: Sequence[Measure]) -> None:
        self._scoring, self._samples, self._estimator = scoring, samples, estimator
        self._measures = [m for m in measures if not needs_labels(m)]
        self._shows_model = len(self._measures) < len(measures)
        self._model: Callable[[], torch.nn.Module] | None = None

    def __call__(self, snapshot: Snapshot) -> None:
        """Show a snapshot."""
        self._model = snapshot.model
        found: dict[str, float] = {}
        for measure in self._measures:
            found |= _observed(measure, snapshot, self._estimator, self._samples)
        labels = snapshot.assignments
        model = snapshot.model() if self._shows_model and snapshot.model and labels is not None else None
        self._scoring.show(
            Shown(
                str(snapshot.phase),
                operator.index(snapshot.step),
                operator.index(snapshot.epoch),
                float(snapshot.total),
                {str(name): float(value) for name, value in snapshot.terms.items()},
                None if labels is None else np.asarray(labels),
                {str(name): float(value) for name, value in found.items()},
                model,
            )
        )

    def broke(self) -> bool:
        """Whether the network that trains has weights that are not finite; it is looked at only between steps."""
        weights = self._model().parameters() if self._model else ()
        return not all(bool(torch.isfinite(weight).all()) for weight in weights)

    def memory(self) -> Any:
        """Return the history so far, sealed."""
        return self._scoring.seal()

    def recall(self, memory: Any) -> None:
        """Go on from a history."""
        self._scoring.unseal(memory)


class ObserverFault(UserError):
    """An observer raised: that says nothing about the method."""


def _observed(measure: Measure, snapshot: Snapshot, estimator: Any, samples: Samples) -> Mapping[str, float]:
    try:
        return measure(snapshot, estimator, samples)
    except Exception as error:
        said = str(error) if isinstance(error, UserError) else error_text(error)
        raise ObserverFault(f"an observer failed: {error_line(said)}") from error


def needs_labels(measure: Any) -> bool:
    """Whether a measure is one that the scorer takes."""
    return bool(getattr(measure, "labels", False))


def fitted(
    spec: RunSpec,
    samples: Samples,
    scoring: Scoring,
    *,
    device: str = "cpu",
    measures: Sequence[Measure] = (),
    progress: Callable[[str, int, int], None] | None = None,
    checkpoints: Checkpoints | None = None,
    parent: Mapping[str, torch.Tensor] | None = None,
    shared: bool = True,
) -> Ending:
    """Fit the method of `spec` to the samples, and return how that ended.

    `shared` samples are those of later runs too: a method that writes into them has failed.

    Raises
    ------
    UsageError
        Where the protocol does not fit the method, or the precision the device.
    UserError
        Where the machine's memory is too small: that says nothing about the method.
    Stopped, KeyboardInterrupt
        Where the run was asked to stop, or the user interrupts.
    """
    streams = Streams(spec.data.name, spec.replicate)
    seed = Streams(spec.data.name, spec.replicate).seed("global")  # not noted among the streams that the fit used
    before, started = check_sum(samples.x) if shared else 0, time.perf_counter()
    computed = numeric_mode(device, str(spec.params.get("precision", "float32")))
    options: Mapping[str, Any] = {}
    with interrupts() as interrupted, computed as mode, kept_condition(seed) as changed:
        forget_peak(device)
        try:
            with fit_under_way():
                estimator, options = begun(
                    spec, samples, scoring, streams, device, measures, progress, checkpoints, parent
                )
                estimator.fit(samples.x, **options)
                ending = ended_well(estimator, len(samples.x))
        except BaseException as error:
            if is_ours(error, interrupted, checkpoints):
                raise
            if shared:  # with other runs, which may be the cause
                refuse_lost(device, error)
            ending = ended_by(error, options)
        touched = changed()
    seconds = time.perf_counter() - started
    written = shared and check_sum(samples.x) != before
    if touched or written:
        ending = Ending(_failed(_what_changed(touched, written)), spoilt=True, written=written)
    kept = checkpoints
    return replace(
        ending,
        streams=sorted(streams.used),
        peak_mib=peak_mib(device),
        seconds=seconds + (kept.seconds if kept else 0.0),
        resumed=kept.resumed if kept else 0,
        numeric=mode.plain() if mode else None,
    )


def begun(
    spec: RunSpec,
    samples: Samples,
    scoring: Scoring,
    streams: Streams,
    device: str,
    measures: Sequence[Measure],
    progress: Callable[[str, int, int], None] | None,
    checkpoints: Checkpoints | None,
    parent: Mapping[str, torch.Tensor] | None,
) -> tuple[Any, dict[str, Any]]:
    """Return the estimator of a run, and what its fit is given beside the samples."""
    estimator = METHODS[spec.method](**spec.params)
    watcher = Watcher(scoring, samples, estimator, measures)
    run = RunContext(streams, spec.protocol, device_named(device), (watcher,), progress, checkpoints, parent)
    return estimator, {"run": run, **({} if samples.lengths is None else {"lengths": samples.lengths})}


def _what_changed(touched: Sequence[str], written: bool) -> str:
    """Return the sentence about what a fit changed that other runs share."""
    names = ["its samples"] * written + list(touched)
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"the method changed {', '.join(names[:8])}{more}, which other runs share; it was put back"


def is_ours(error: BaseException, interrupted: Callable[[], bool], checkpoints: Checkpoints | None) -> bool:
    """Whether an exception is for the caller: a wrong call, the user's interrupt, or a stop that was asked for."""
    if isinstance(error, KeyboardInterrupt):
        return interrupted()
    if isinstance(error, Stopped):
        return bool(getattr(checkpoints, "asked", lambda: False)())
    return isinstance(error, UsageError | ObserverFault)


def ended_by(error: BaseException, options: Mapping[str, Any] | None = None) -> Ending:
    """Return the ending of a fit that raised; UserError where the machine's memory is too small.

    What raises once the weights are not finite, such as k-means on an embedding between two evaluations, is no fault
    of its own: the run has diverged. `options` are what the fit was given.
    """
    if isinstance(error, Diverged):
        return Ending({"status": "diverged", "error": error_line(str(error))})
    text = error_text(error)
    if isinstance(error, NeedsMemory):
        return Ending(_failed(f"{OUT_OF_MEMORY}: {error}"))
    if _out_of_memory(error):
        raise UserError(f"the machine has too little memory left for the run ({text}); use fewer --workers.") from None
    if _weights_broke(options or {}):
        return Ending({"status": "diverged", "error": error_line(f"the weights are not finite; it ended by {text}")})
    return Ending({**_failed(text), "traceback": traceback_text(error)})


def _weights_broke(options: Mapping[str, Any]) -> bool:
    run = options.get("run")
    try:
        return run is not None and any(o.broke() for o in run.observers if isinstance(o, Watcher))
    except Exception:  # whatever is the matter with the network, the first error is what is told
        return False


def _failed(text: str) -> dict[str, Any]:
    return {"status": "failed", "error": error_line(text)}


def failed(text: str, traceback: str = "") -> Ending:
    """Return the ending of a run that failed by what the text says."""
    return Ending({**_failed(text), "traceback": traceback})


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # On the CPU, torch says it in words.
    return isinstance(error, RuntimeError) and "allocate memory" in error_text(error)


def ended_well(estimator: Any, n: int) -> Ending:
    """Return the ending of a fit of `n` samples that raised nothing; raises what its results cannot be taken for."""
    labels = np.asarray(estimator.labels_)
    if labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"the method gave labels of shape {labels.shape} and type {labels.dtype}, not ({n},).")
    outcome = _plain(estimator.outcome_)
    if not math.isfinite(outcome["loss"]):
        return Ending({"status": "diverged", "error": f"the method ended with the loss {outcome['loss']}"}, labels)
    collapsed = len(np.unique(labels)) == 1
    status: Status = "collapsed" if collapsed else "ok"
    error = "all samples are in one cluster" if collapsed else ""
    weights = starting_weights(estimator) if status in COUNTED else None
    return Ending({"status": status, "error": error, **outcome}, labels, weights)


def _plain(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as the values of a record; TypeError, ValueError where it is no outcome."""
    return {
        "loss": _real("loss", outcome.loss),
        "final_loss": _real("final_loss", outcome.final_loss),
        "losses": {encodable(str(name)): _real(f"losses[{name!r}]", v) for name, v in dict(outcome.losses).items()},
        "first_losses": tuple(_real("first_losses", value) for value in outcome.first_losses),
        "epochs": _count("epochs", outcome.epochs),
        "steps": _count("steps", outcome.steps),
    }


def _real(name: str, value: Any) -> float:
    if isinstance(value, str | bytes):
        raise TypeError(f"the outcome's {name} is {value!r}, which is no number")
    return float(value)


def _count(name: str, value: Any) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"the outcome's {name} is {value!r}, which is no whole number") from None
    if count < 0:
        raise ValueError(f"the outcome's {name} is {count}, which is below 0")
    return count


def starting_weights(estimator: Any) -> dict[str, torch.Tensor] | None:
    """Return the weights of a method that pre-trains others, by name, on the CPU; None of any other.

    Each has memory of its own, also where layers share one. Raises what a method without such weights makes of it.
    """
    # Others' plug-ins are asked here at the end of every run: one that is no `Clusterer` must not cost its record.
    if all(getattr(method, "pretrained_by", "") != estimator.method_name for method in METHODS.values()):
        return None
    from safetensors.torch import save

    if not hasattr(estimator, "model_"):
        raise TypeError(f"others start from {estimator.method_name}, but it leaves no network model_")
    state: Mapping[str, Any] = estimator.model_.state_dict()
    weights = {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
    save(weights)  # which says what it cannot hold while that is the method's failure, not the store's
    return weights


def check_sum(x: np.ndarray) -> int:
    """Return a check sum of samples; cheap beside any fit."""
    import zlib

    return zlib.crc32(np.ascontiguousarray(x).reshape(-1).view(np.uint8).data)


def forget_peak(device: str) -> None:
    """Let the peak of a GPU's memory be that of the fit that begins."""
    if device.startswith("cuda") and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats(device)


def peak_mib(device: str) -> float:
    """Return the peak memory in MiB: of the process on the CPU, of the fit alone on a GPU."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
