"""Jobs and events: what executors are given, how one run is made, and what executors tell of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from benchmark.checkpoints import Frequency, RunCheckpoints, discard
from benchmark.execute import RunResult, execute
from benchmark.faults import sentence
from benchmark.lineage import parent_of
from benchmark.observers import OBSERVERS
from benchmark.provenance.code import run_code_digest
from benchmark.provenance.environment import device_name
from benchmark.record import COUNTED, Context, RunRecord
from benchmark.registry import UserError
from benchmark.resume import Stopped
from benchmark.run_files import read_state
from benchmark.run_folders import RunFolders, run_names
from benchmark.shared_data import shared_data
from benchmark.spec import RunSpec
from benchmark.store import Store


@dataclass(frozen=True)
class Job:
    """A run to make, how its record is labelled, the observers that record beside it, and the runs needed before.

    `parents` are the ids of runs that must be stored first; the run starts from the weights of the first. With
    `replace`, a record that is there gives way.
    """

    spec: RunSpec
    context: Context
    record: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    replace: bool = False

    @cached_property
    def run_id(self) -> str:
        """The id of the run; a hash, which is asked for again and again."""
        return self.spec.run_id


@dataclass(frozen=True)
class Place:
    """Where and how runs are made; nothing of it decides a number.

    `replace` renews records that are there. `shared` is a folder of this machine in which workers share prepared data,
    None where each run loads its own. `checkpoints` says how often they are saved, None for never.
    """

    results: Path
    data_dir: Path | None = None
    device: str = "cpu"
    replace: bool = False
    shared: Path | None = None
    checkpoints: Frequency | None = field(default_factory=Frequency)

    def run_name(self, run_id: str) -> str:
        """Return the name under which a run is claimed and its checkpoints are kept: one for each device."""
        device = device_name(self.device)
        return run_names(run_id, device)[device != "cpu"]


@dataclass(frozen=True)
class Started:
    """A run began."""

    run_id: str


@dataclass(frozen=True)
class Progress:
    """A run reached `step` of `total` in a phase."""

    run_id: str
    phase: str
    step: int
    total: int


@dataclass(frozen=True)
class Noted:
    """Something to be told in one sentence, which costs no result."""

    text: str


@dataclass(frozen=True)
class Paused:
    """A run was asked to stop and did, at a checkpoint where its method has any."""

    job: Job


@dataclass(frozen=True)
class Finished:
    """A run ended: with a record, or with the one sentence why there is none.

    `elsewhere` says that another command on the same results folder made it.
    """

    job: Job
    record: RunRecord | None
    error: str = ""
    elsewhere: bool = False


Event = Started | Progress | Noted | Paused | Finished


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


def never() -> bool:
    """Return False: nobody asks to stop."""
    return False


def make_run(
    job: Job, place: Place, report: Callable[[Event], None], asked: Callable[[], bool] = never
) -> Finished | Paused:
    """Execute one job with one thread, store its record, and return how it ended."""
    try:
        fallen = inherited(job, place)
        result = RunResult(fallen) if fallen else train(job, place, report, asked, starting_weights(job, place))
        save(result, job, place)
    except Stopped:
        return Paused(job)
    except UserError as error:
        return Finished(job, None, str(error))
    except OSError as error:
        return Finished(job, None, sentence(error))
    return Finished(job, result.record)


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
        error=f"run {parent.run_id}, which it starts from, {parent.status}: {parent.error}",
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


def _parent_folder(job: Job, place: Place) -> tuple[RunFolders, tuple[str, str]] | None:
    """Return the run folders that hold the parent of a job, and its key there; None where there is none."""
    if not job.parents:
        return None
    parent, device = job.parents[0], device_name(place.device)
    folders = RunFolders(place.results / "runs")
    return (folders, (parent, device)) if device in folders.devices(parent, device) else None


def train(
    job: Job,
    place: Place,
    report: Callable[[Event], None],
    asked: Callable[[], bool] = never,
    weights: Mapping[str, torch.Tensor] | None = None,
) -> RunResult:
    """Execute one job with one thread, from the `weights` of its parent.

    Raises UserError, OSError, or Stopped where it was `asked` to stop.
    """
    run_id = job.run_id
    report(Started(run_id))

    def progress(phase: str, step: int, total: int) -> None:
        report(Progress(run_id, phase, step, total))

    def note(text: str) -> None:
        report(Noted(f"run {run_id}: {text}"))

    every = place.checkpoints
    opened = partial(RunCheckpoints, place.results, place.run_name(job.run_id), every=every, asked=asked, note=note)
    with one_thread():
        data = shared_data(job.spec, place.data_dir, place.shared) if place.shared else None
        return execute(
            job.spec,
            context=job.context,
            data_dir=place.data_dir,
            device=place.device,
            progress=progress,
            measures=[OBSERVERS[name] for name in job.record],
            data=data,
            checkpoints=opened,
            parent=weights,
        )


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread, as all runs do: with another number sums are rounded otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def save(result: RunResult, job: Job, place: Place) -> None:
    """Store the record of a run, then remove its checkpoints."""
    Store(place.results).save(result.record, result.labels, result.weights, replace=place.replace or job.replace)
    discard(place.results, place.run_name(result.record.run_id))
