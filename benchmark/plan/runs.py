"""The runs that planned cells need and nobody has made, in order of urgency."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from benchmark.plan.cells import PlannedCell
from benchmark.plan.estimate import RunTimes
from benchmark.plan.lineage import parent_of
from benchmark.record import Context
from benchmark.spec import RunSpec


@dataclass(frozen=True)
class PlannedRun:
    """One run to make: its specification, the most urgent cell that asks for it, and an estimate of its seconds.

    `record` are the observers that any of its cells needs, `parents` the ids of the runs that it starts from. A run
    with `replace` is made for its weights, though it may have a record.
    """

    spec: RunSpec
    cell: PlannedCell
    seconds: float | None = None
    record: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    replace: bool = False

    @property
    def context(self) -> Context:
        """How its record is labelled: by its cell, without the setting where it is made for others to start from."""
        context = self.cell.context
        return context.model_copy(update={"setting": self.cell.overrides}) if self.replace else context


@dataclass(frozen=True)
class Plan:
    """The runs to make, in order, and those that cannot be made, with the reason."""

    runs: tuple[PlannedRun, ...] = ()
    stored: int = 0
    impossible: dict[str, str] = field(default_factory=dict)


def plan_runs(
    cells: Iterable[PlannedCell],
    done: Callable[[RunSpec], bool],
    ready: Callable[[str], str],
    times: RunTimes | None = None,
    weights: Callable[[RunSpec], bool] = lambda spec: False,
    lacking: Callable[[str], str] = lambda method: "",
) -> Plan:
    """Return the runs that `cells` need and `done` does not know, each once, the most urgent first.

    `ready` maps a data set to the reason why it cannot be loaded, "" where it can, `lacking` a method to the reason why
    it cannot be run. `times` estimate the seconds of
    a run from records of earlier ones. Runs that others start from are planned too, where there are no
    `weights` of them.
    """
    missing = _Missing(done, ready, times or RunTimes(()), weights, lacking)
    with _uncollected():
        for cell in cells:
            missing.add(cell)
        return missing.plan()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let the garbage collector rest: a large plan is a million objects without a cycle, and it looks at all of them.

    It takes half of the time of a plan of 100 000 runs otherwise.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class _Missing:
    """The runs that are missing of some cells, with their places in the order."""

    def __init__(
        self,
        done: Callable[[RunSpec], bool],
        ready: Callable[[str], str],
        estimate: RunTimes,
        weights: Callable[[RunSpec], bool],
        lacking: Callable[[str], str],
    ) -> None:
        self.lacking = lacking
        self.done, self.ready, self.estimate, self.weights = done, ready, estimate, weights
        self.planned: dict[str, tuple[tuple[int, ...], PlannedRun]] = {}
        self.columns: dict[str, int] = {}
        self.impossible: dict[str, str] = {}
        self.stored: set[str] = set()
        self.record: dict[str, dict[str, None]] = {}
        self.parents: dict[tuple[str, int], tuple[str, RunSpec, float | None]] = {}

    def add(self, cell: PlannedCell) -> None:
        """Ask for the runs of a cell."""
        specs = cell.specs
        if not specs:
            return
        seconds = self.estimate.seconds(specs[0])  # equal for all replicates
        parent = parent_of(specs[0])
        first = parent.run_id if parent else ""
        for spec in specs:
            run_id = spec.run_id
            self.record.setdefault(run_id, {}).update(dict.fromkeys(cell.record))
            if self.done(spec):
                self.stored.add(run_id)
            elif reason := self.lacking(spec.method) or self.ready(spec.data.name):
                self.impossible[run_id] = reason
            else:
                column = self.columns.setdefault(cell.column, len(self.columns))
                place = (cell.priority, column, spec.replicate, 0)
                parents = (self._parent(parent, first, cell, place),) if parent else ()
                self._ask(run_id, (*place[:3], 1), PlannedRun(spec, cell, seconds, parents=parents))

    def plan(self) -> Plan:
        """Return the plan, in order."""
        ordered = sorted(self.planned.items(), key=lambda item: item[1][0])
        runs = tuple(replace(run, record=tuple(self.record.get(run_id, ()))) for run_id, (_, run) in ordered)
        return Plan(runs, len(self.stored), self.impossible)

    def _parent(self, like: RunSpec, name: str, cell: PlannedCell, place: tuple[int, ...]) -> str:
        """Ask for the run that another starts from, where its weights are missing, and return its id.

        It is `like`, whose id is `name`, in the replicate that `place` says. Cells share it, and ids take time.
        """
        key = name, place[2]
        if key not in self.parents:
            parent = like.model_copy(update={"replicate": place[2]})
            self.parents[key] = parent.run_id, parent, self.estimate.seconds(parent)
        run_id, parent, seconds = self.parents[key]
        if not self.weights(parent):
            self._ask(run_id, place, PlannedRun(parent, cell, seconds, replace=True))
        return run_id

    def _ask(self, run_id: str, place: tuple[int, ...], run: PlannedRun) -> None:
        if run_id not in self.planned or place < self.planned[run_id][0]:
            self.planned[run_id] = (place, run)
