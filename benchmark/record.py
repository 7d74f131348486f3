"""What a run leaves: its record, as plain immutable values."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from benchmark.spec import RunSpec

Status = Literal["ok", "diverged", "collapsed", "failed"]

COUNTED: tuple[Status, ...] = ("ok", "collapsed")
"""The statuses whose runs enter n; `failed` and `diverged` runs are counted beside it."""


class Evaluation(BaseModel):
    """One row of a history: where training was, each unweighted loss term, their weighted total, and the metrics.

    `step` and `epoch` count within the phase. `clusters` is the number of clusters in use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    phase: str
    step: int
    epoch: int
    total: float
    terms: dict[str, float]
    metrics: dict[str, float]
    clusters: int


class Context(BaseModel):
    """For which paper, setting, reading and profile a run was first made. Not part of its identity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paper: str = ""
    setting: str = ""
    reading: str = ""
    profile: str = ""


class RunRecord(BaseModel):
    """The record of one run.

    `loss` is the total of the kept weights, by which runs are selected; `final_loss` that of the last evaluation.
    `losses` are the unweighted terms at the kept weights, `first_losses` the totals of the first training steps.
    `metrics` holds acc, nmi, nmi_geometric and ari as fractions. `seconds` is wall time; `peak_mib` the peak resident
    memory of the process. `error` is one line and `traceback` the whole text, both empty where nothing went wrong.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    spec: RunSpec
    context: Context = Context()
    status: Status
    error: str = ""
    traceback: str = ""
    loss: float | None = None
    final_loss: float | None = None
    losses: dict[str, float] = {}
    metrics: dict[str, float] = {}
    first_losses: tuple[float, ...] = ()
    history: tuple[Evaluation, ...] = ()
    n_samples: int = 0
    epochs: int = 0
    steps: int = 0
    seconds: float = 0.0
    peak_mib: float = 0.0
    code_digest: str = ""
    environment: dict[str, Any] = {}
