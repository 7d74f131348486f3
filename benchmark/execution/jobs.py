"""How one job is done: its data, its parent's weights, its checkpoints, and its record in the store."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch
from pooch import os_cache

from benchmark.errors import UserError, error_line, error_text
from benchmark.execution.checkpoints import RunCheckpoints, discard, distrust
from benchmark.execution.events import Died, Event, Finished, Job, Noted, Paused, Place, Progress, Started, never
from benchmark.execution.execute import RunResult, executing
from benchmark.execution.fits.apart import Apart, Lost, is_foreign
from benchmark.execution.fits.device import DeviceLost
from benchmark.execution.fits.threads import one_thread
from benchmark.execution.fits.turns import Spoilt, Turn
from benchmark.execution.shared_data import shared_data
from benchmark.files.faults import sentence
from benchmark.plan.lineage import parent_of
from benchmark.provenance.code import run_code_digest
from benchmark.record import COUNTED, RunRecord
from benchmark.store.observed import OBSERVERS
from benchmark.store.rows import Key, kind_here
from benchmark.store.run_files import read_state
from benchmark.store.run_folders import RunFolders
from benchmark.store.store import Store
from benchmark.training.engines.lanes import Turns, alone
from benchmark.training.resume import Stopped


def with_parents(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs, each after that of the run it starts from, which is added where it is not among them."""
    found: dict[str, Job] = {}
    for job in jobs:
        if parent := parent_of(job.spec):
            context = job.context.model_copy(update={"setting": ""})
            found.setdefault(parent.run_id, Job(parent, context))
            job = replace(job, parents=(parent.run_id,))
        found[job.run_id] = job
    return list(found.values())


End = Finished | Paused | Died


def make_run(job: Job, place: Place, report: Callable[[Event], None], asked: Callable[[], bool] = never) -> End:
    """Execute one job with one thread, store its record, and return how it ended."""
    with one_thread():
        return alone(making(job, place, report, asked))


def making(
    job: Job,
    place: Place,
    report: Callable[[Event], None],
    asked: Callable[[], bool] = never,
    turn: Turn | None = None,
) -> Turns[End]:
    """Execute one job, store its record, and return how it ended; with a `turn`, stop before each of its steps."""
    try:
        fallen = inherited(job, place)
        if fallen:
            result = RunResult(fallen)
        else:
            result = yield from training(job, place, report, asked, starting_weights(job, place), turn)
        save(result, job, place)
    except Stopped:
        return Paused(job)
    except Lost as error:
        return Died(job, error.how)
    except (Spoilt, DeviceLost):
        raise
    except UserError as error:
        return Finished(job, None, error_line(str(error)))
    except OSError as error:
        return Finished(job, None, error_line(sentence(error)))
    except Exception as error:  # the harness's own fault, which costs this run and no other
        return Finished(job, None, f"run {job.run_id} was not made: {error_text(error)}")
    return Finished(job, result.record, spoilt=result.spoilt)


def _distrusted(record: RunRecord, job: Job, place: Place) -> str:
    """Set the checkpoints of a run aside that went wrong after it went on from one; say so, or return "".

    A checkpoint that was damaged in a way that nothing shows would otherwise be told as a fault of the method. A run
    that went over its time says nothing of its checkpoints.
    """
    wrong = record.status not in COUNTED and not record.error.startswith("time")
    if not (wrong and record.environment.get("resumed")):
        return ""
    why = f"run {job.run_id} {record.status} after it went on from a checkpoint ({record.error})"
    distrust(place.results, place.run_name(job.run_id), why)
    return f"{why}: its checkpoints were set aside, and it is made anew."


def inherited(job: Job, place: Place) -> RunRecord | None:
    """Return the record of a run whose parent diverged or failed, None of any other.

    The run would go the same way in its own pre-training, which has the same data, streams and phases.
    """
    held = _parent_folder(job, place)
    parent = held[0].record(held[1]) if held else None
    if parent is None or parent.status in COUNTED:
        return None
    return RunRecord(
        run_id=job.run_id,
        spec=job.spec,
        context=job.context,
        status=parent.status,
        error=error_line(f"run {parent.run_id}, which it starts from, {parent.status}: {parent.error}"),
        n_samples=parent.n_samples,
        code_digest=run_code_digest(job.spec),
        environment={**parent.environment, "streams": []},
    )


def starting_weights(job: Job, place: Place) -> Mapping[str, torch.Tensor] | None:
    """Return the weights, by name, of the run that a job starts from; None where it starts from none.

    Raises UserError where they are not in the results folder.
    """
    if not job.parents:
        return None
    held = _parent_folder(job, place)
    weights = read_state(held[0].origin(held[1])) if held else None
    if weights is None:
        raise UserError(
            f"run {job.run_id} starts from the weights of run {job.parents[0]}, which are not in "
            f"{place.results / 'runs'}: run it again."
        )
    return weights


def _parent_folder(job: Job, place: Place) -> tuple[RunFolders, Key] | None:
    """Return the run folders that hold the parent of a job, and its key there; None where there is none."""
    if not job.parents:
        return None
    folders = RunFolders(place.results / "runs")
    key = folders.of_device(job.parents[0], kind_here(place.device))
    return (folders, key) if key else None


def training(
    job: Job,
    place: Place,
    report: Callable[[Event], None],
    asked: Callable[[], bool] = never,
    weights: Mapping[str, torch.Tensor] | None = None,
    turn: Turn | None = None,
) -> Turns[RunResult]:
    """Execute one job as `train` does, but with the threads that there are; with a `turn`, stop before each step.

    Where a checkpoint may be why it went wrong, it is executed once more, from its beginning.
    """
    result = yield from _once(job, place, report, asked, weights, turn)
    if spoilt := _distrusted(result.record, job, place):
        report(Noted(spoilt))
        result = yield from _once(job, place, report, asked, weights, turn)
    return result


def _once(
    job: Job,
    place: Place,
    report: Callable[[Event], None],
    asked: Callable[[], bool],
    weights: Mapping[str, torch.Tensor] | None,
    turn: Turn | None,
) -> Turns[RunResult]:
    run_id = job.run_id
    report(Started(run_id))

    def progress(phase: str, step: int, total: int) -> None:
        report(Progress(run_id, phase, step, total))

    def note(text: str) -> None:
        report(Noted(f"run {run_id}: {text}"))

    every, name = place.checkpoints, place.run_name(job.run_id)
    opened = partial(RunCheckpoints, place.results, name, every=every, asked=asked, note=note)
    apart = None
    if trains_apart(job, place):
        apart = Apart(place.results, name, every, place.seconds, _closed(place), asked, note)
    return (
        yield from executing(
            job.spec,
            context=job.context,
            data_dir=place.data_dir,
            device=place.device,
            progress=progress,
            measures=[OBSERVERS[name] for name in job.record],
            load=partial(shared_data, job.spec, place.data_dir, place.shared) if place.shared else None,
            checkpoints=partial(opened, clock=turn.read) if turn else opened,
            parent=weights,
            apart=apart,
            turn=turn,
        )
    )


def trains_apart(job: Job, place: Place) -> bool:
    """Whether a run trains in a process of its own: a plug-in, or any where the time of a run is limited."""
    return place.seconds is not None or is_foreign(job.spec)


def _closed(place: Place) -> tuple[str, ...]:
    """Return the folders in which a fit finds no file: those of data sets, where labels lie beside the samples."""
    shipped = find_spec("sklearn.datasets")
    found = [place.data_dir, place.shared, os.environ.get("RECLUST_DATA"), os_cache("reclust")]
    found += [Path(shipped.origin).parent / "data"] if shipped and shipped.origin else []
    return tuple(str(Path(folder).expanduser().absolute()) for folder in found if folder)


def save(result: RunResult, job: Job, place: Place) -> None:
    """Store the record of a run, then remove its checkpoints."""
    Store(place.results).save(result.record, result.labels, result.weights, replace=place.replace or job.replace)
    discard(place.results, place.run_name(result.record.run_id))
