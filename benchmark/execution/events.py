"""Jobs and events: what executors are given, and what they tell of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from benchmark.provenance.environment import device_name
from benchmark.record import Context, RunRecord
from benchmark.spec import RunSpec
from benchmark.store.run_folders import run_names


@dataclass(frozen=True)
class Frequency:
    """How often a checkpoint is saved: after so many seconds, and after so many epochs; None means not for that."""

    seconds: float | None = 60.0
    epochs: int | None = None


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

    @cached_property
    def stack(self) -> str:
        """What runs have in common that can be made side by side: all but the replicate and those needed before."""
        alike = self.spec.model_copy(update={"replicate": 0}).run_id
        return f"{alike} {','.join(self.record)} {self.replace} {len(self.parents)}"


@dataclass(frozen=True)
class Place:
    """Where and how runs are made; nothing of it decides a number.

    `replace` renews records that are there. `shared` is a folder of this machine in which workers share prepared data,
    None where each run loads its own. `checkpoints` says how often they are saved, None for never. `seconds` is how
    long a run may take, None for any time.
    """

    results: Path
    data_dir: Path | None = None
    device: str = "cpu"
    replace: bool = False
    shared: Path | None = None
    checkpoints: Frequency | None = field(default_factory=Frequency)
    seconds: float | None = None

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

    `elsewhere` says that another command on the same results folder made it, `spoilt` that it changed what the runs of
    its process share: a worker is replaced after it.
    """

    job: Job
    record: RunRecord | None
    error: str = ""
    elsewhere: bool = False
    spoilt: bool = False


@dataclass(frozen=True)
class Died:
    """The process of a run died; `how` says by what."""

    job: Job
    how: str


Event = Started | Progress | Noted | Paused | Finished


def never() -> bool:
    """Return False: nobody asks to stop."""
    return False
