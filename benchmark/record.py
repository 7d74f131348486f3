"""What a run leaves: its record, as plain immutable values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, overload

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidatorFunctionWrapHandler,
    WrapSerializer,
    WrapValidator,
)

from benchmark.spec import RunSpec

Status = Literal["ok", "diverged", "collapsed", "failed"]

COUNTED: tuple[Status, ...] = ("ok", "collapsed")
"""The statuses whose runs enter n; `failed` and `diverged` runs are counted beside it."""


NUMERIC_MODE = "numeric_mode"
"""The entry of a record's environment that says how a CUDA device computed: see `benchmark.training.numeric`."""


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


class Deferred(Sequence[Evaluation]):
    """A history of `count` evaluations that `read` reads when one is asked for; equal to the tuple of them."""

    def __init__(self, count: int, read: Callable[[], tuple[Evaluation, ...]]) -> None:
        self._count, self._read = count, read

    @cached_property
    def _all(self) -> tuple[Evaluation, ...]:
        return self._read()

    @overload
    def __getitem__(self, index: int) -> Evaluation: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Evaluation, ...]: ...
    def __getitem__(self, index: int | slice) -> Evaluation | tuple[Evaluation, ...]:
        return self._all[index]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Evaluation]:
        return iter(self._all)

    def __eq__(self, other: object) -> bool:
        return self._all == (other._all if isinstance(other, Deferred) else other)

    def __hash__(self) -> int:
        return hash(self._all)

    def __repr__(self) -> str:
        return repr(self._all)

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (self._all,)


def _as_given(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    return value if isinstance(value, Deferred) else handler(value)


def _as_tuple(value: Any, handler: SerializerFunctionWrapHandler) -> Any:
    return handler(tuple(value))


History = Annotated[tuple[Evaluation, ...], WrapValidator(_as_given), WrapSerializer(_as_tuple)]
"""The evaluations of a run, in order; a `Deferred` stays one."""


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
    memory of the process, on a GPU the most that the fit allocated there. `error` is one line and `traceback` the whole
    text, both empty where nothing went wrong.
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
    history: History = ()
    n_samples: int = 0
    epochs: int = 0
    steps: int = 0
    seconds: float = 0.0
    peak_mib: float = 0.0
    code_digest: str = ""
    environment: dict[str, Any] = {}
