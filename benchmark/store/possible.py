"""What numbers a record can have: an impossible one was not left by a run, but by damage or an edit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from benchmark.record import COUNTED, NUMERIC_MODE, Evaluation, RunRecord

_RANGES = {"acc": (0.0, 1.0), "nmi": (0.0, 1.0), "nmi_geometric": (0.0, 1.0), "ari": (-1.0, 1.0)}
_ROUNDING = 1e-9
_IN_ONE_WAY = ("", "cpu", "mps")
"""Devices that compute in one way only, as far as the suite uses them; all others are CUDA's."""
_MODE = {"matmul", "convolutions", "recurrent", "deterministic_algorithms", "cublas_workspace", "nondeterministic"}


def refuse_impossible(record: RunRecord) -> None:
    """Raise ValueError where a number of a record, its history aside, is out of range or not finite."""
    for problem in _impossible(record):
        raise ValueError(problem)


def _impossible(record: RunRecord) -> Iterator[str]:
    yield from _metrics(record.metrics)
    counts = {"n_samples": record.n_samples, "epochs": record.epochs, "steps": record.steps}
    yield from (f"{name} is {value}, below 0" for name, value in counts.items() if value < 0)
    costs = {"seconds": record.seconds, "peak_mib": record.peak_mib}
    yield from (f"{name} is {v}, not a number from 0" for name, v in costs.items() if not 0 <= v < math.inf)
    if record.status in COUNTED and not (record.loss is not None and math.isfinite(record.loss)):
        yield f"loss is {record.loss}, and its status {record.status}"
    if unstated := unstated_mode(record):
        yield unstated


def unstated_mode(record: RunRecord) -> str:
    """Return what a record of a CUDA device lacks that says how the device computed, "" where it lacks nothing.

    Its numbers could be of TF32, or differ at every repetition, and nobody could tell.
    """
    device = record.environment.get("device")
    if not isinstance(device, str) or device in _IN_ONE_WAY or record.status == "failed":
        return ""
    mode = record.environment.get(NUMERIC_MODE)
    if not isinstance(mode, Mapping) or not mode.keys() >= _MODE:
        return f"it was made on {device}, but does not say in which numeric mode"
    tf32 = record.spec.params.get("precision") == "tf32"
    expected = {"matmul": "ieee", "convolutions": "tf32" if tf32 else "ieee", "deterministic_algorithms": True}
    for name, value in expected.items():
        if mode[name] != value:
            return f"its numeric mode has {name} {mode[name]}, not {value} as its spec asks for"
    return ""


def _metrics(metrics: Mapping[str, float]) -> Iterator[str]:
    for name, (low, high) in _RANGES.items():
        if name in metrics and not low - _ROUNDING <= metrics[name] <= high + _ROUNDING:
            yield f"{name} is {metrics[name]}, not from {low:g} to {high:g}"


def contradictions(record: RunRecord) -> Iterator[str]:
    """Yield in a few words what of a record contradicts its spec or its own history, which is read whole."""
    asked = record.spec.data.samples
    if asked is not None and record.n_samples != asked:
        yield f"it has {record.n_samples} samples, but its spec asks for {asked}"
    before = None
    for number, evaluation in enumerate(record.history, start=1):
        for problem in _of_evaluation(evaluation, before):
            yield f"evaluation {number}: {problem}"
        before = evaluation
    if record.history and record.status in COUNTED:
        yield from _of_the_end(record)


def _of_evaluation(evaluation: Evaluation, before: Evaluation | None) -> Iterator[str]:
    yield from _metrics(evaluation.metrics)
    for name, value in (("step", evaluation.step), ("epoch", evaluation.epoch), ("clusters", evaluation.clusters)):
        if value < 0:
            yield f"{name} is {value}, below 0"
    if before is not None and before.phase == evaluation.phase and evaluation.step < before.step:
        yield f"step {evaluation.step} follows step {before.step}"


def _of_the_end(record: RunRecord) -> Iterator[str]:
    """Compare what a record says of its kept weights and its end with the evaluations of the last phase."""
    last = [evaluation for evaluation in record.history if evaluation.phase == record.history[-1].phase]
    if not _same(record.final_loss, last[-1].total):
        yield f"the final loss is {record.final_loss}, but its last evaluation has {last[-1].total}"
    if record.steps < last[-1].step:
        yield f"it took {record.steps} steps, but was evaluated at step {last[-1].step}"
    kept = [evaluation for evaluation in last if _same(record.loss, evaluation.total)]
    if not kept:
        yield f"no evaluation of its last phase has its loss {record.loss}"
    # A method may add terms of its own, such as the inertia of the k-means with which it ends.
    like = [evaluation for evaluation in kept if evaluation.terms.items() <= record.losses.items()]
    if kept and not like:
        yield "the terms of its loss are not those of the evaluation with its loss"
    for name in sorted(_RANGES.keys() & record.metrics.keys()) if like else ():
        found = [evaluation.metrics[name] for evaluation in like if name in evaluation.metrics]
        if found and not any(_same(record.metrics[name], value) for value in found):
            yield f"{name} is {record.metrics[name]}, but the evaluation with its loss has {found[0]}"


def _same(a: float | None, b: float) -> bool:
    return a is not None and (a == b or (math.isnan(a) and math.isnan(b)))
