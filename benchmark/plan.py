"""The plan: tables to cells, cells to run specifications, and which of these are missing, in order of urgency."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from benchmark.estimate import Estimate
from benchmark.lineage import parent_of
from benchmark.paper import (
    PROFILES,
    READINGS,
    ColumnRule,
    MethodRule,
    Paper,
    ProfileRule,
    Reading,
    Setting,
    TableRule,
    load_paper,
    paper_ids,
    settings,
)
from benchmark.record import Context, RunRecord
from benchmark.registry import DATASETS, METHODS, UsageError, did_you_mean
from benchmark.resolve import Overrides, Resolved, applies, column_data, parse_overrides, resolve
from benchmark.spec import RunSpec


@dataclass(frozen=True)
class Request:
    """What the user asks for; empty filters mean everything. `runs` replaces the profile's number of runs.

    `record` are observers to record with, beside those that a table needs. `settings` are labels of a table's settings,
    which the quick profile then has, too, where it leaves them out.
    """

    profile: str = "quick"
    papers: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    readings: tuple[Reading, ...] = ()
    sets: tuple[str, ...] = ()
    runs: int | None = None
    record: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedCell:
    """A cell of a table without its metric: the runs that it needs, or the `reason` why it has none.

    `reason` is "", "not implemented" (no method of ours), "quoted" or "no data" (the data set is not registered).
    `reduced` marks a cell for which fewer runs were asked than the profile's; `record` are the observers that its runs
    need.
    """

    paper: str
    table: str
    row: str
    column: str
    setting: str
    reading: Reading
    profile: str
    reference: bool
    priority: int
    reason: str = ""
    resolved: Resolved | None = None
    runs: int = 0
    overrides: str = ""
    reduced: bool = False
    record: tuple[str, ...] = ()

    @property
    def specs(self) -> tuple[RunSpec, ...]:
        """The run specifications of the cell, in replicate order."""
        return tuple(self.resolved.replicate(r) for r in range(self.runs)) if self.resolved else ()

    @property
    def context(self) -> Context:
        """How a run made for this cell is labelled."""
        label = ";".join(part for part in (self.setting, self.overrides) if part)
        return Context(paper=self.paper, setting=label, reading=self.reading, profile=self.profile)


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


def selected_tables(request: Request) -> list[tuple[Paper, str, TableRule]]:
    """Return the tables that a request names: ``PAPER/TABLE``, or ``TABLE`` of every paper selected."""
    if request.profile not in PROFILES:
        raise UsageError(did_you_mean("profile", request.profile, PROFILES))
    for name in request.papers:
        load_paper(name)
    wanted = [_split(name) for name in request.tables]
    for paper, table in wanted:
        if paper:
            load_paper(paper).table(table)
        else:
            tables = {name for p in request.papers or paper_ids() for name in load_paper(p).tables}
            if table not in tables:
                raise UsageError(did_you_mean("table", table, tables))
    found = []
    for paper in paper_ids():
        loaded = load_paper(paper)
        if request.papers and paper not in request.papers:
            continue
        for name, rule in loaded.tables.items():
            if not wanted or any(t == name and p in ("", paper) for p, t in wanted):
                found.append((loaded, name, rule))
    return found


def plan_cells(request: Request) -> list[PlannedCell]:
    """Return every cell (without metrics) that a request covers, table by table."""
    chosen = [found for found in selected_tables(request) if found[2].kind == "results"]
    # A method at home in one table is a guest in another only where that is asked for by name.
    housed = {m for paper, _, table in chosen for m in _own(paper, table)} if not request.tables else set()
    guests = [name for name in request.methods if name not in housed]
    entries = {entry for paper, _, _ in chosen for entry in paper.ledger}
    cells = [cell for paper, name, table in chosen for cell in _cells_of(paper, name, table, request, guests, entries)]
    _check_names(request)
    return cells


def plan_runs(
    cells: Iterable[PlannedCell],
    done: Callable[[RunSpec], bool],
    ready: Callable[[str], str],
    history: Iterable[RunRecord] = (),
    weights: Callable[[RunSpec], bool] = lambda spec: False,
) -> Plan:
    """Return the runs that `cells` need and `done` does not know, each once, the most urgent first.

    `ready` maps a data set to the reason why it cannot be loaded, "" where it can. `history` are records of earlier
    runs, from which the seconds of a run are estimated. Runs that others start from are planned too, where there are no
    `weights` of them.
    """
    missing = _Missing(done, ready, Estimate(history), weights)
    for cell in cells:
        missing.add(cell)
    return missing.plan()


class _Missing:
    """The runs that are missing of some cells, with their places in the order."""

    def __init__(
        self,
        done: Callable[[RunSpec], bool],
        ready: Callable[[str], str],
        estimate: Estimate,
        weights: Callable[[RunSpec], bool],
    ) -> None:
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
            elif reason := self.ready(spec.data.name):
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


def _split(name: str) -> tuple[str, str]:
    paper, _, table = name.rpartition("/")
    return paper, table


def _cells_of(
    paper: Paper, name: str, table: TableRule, request: Request, names: Sequence[str], entries: Collection[str]
) -> Iterator[PlannedCell]:
    profile = paper.protocol.profiles[request.profile]
    readings = tuple(r for r in request.readings or ("paper",) if r in profile.readings)
    if not readings:
        offered = ", ".join(profile.readings)
        raise UsageError(f"the {request.profile} profile of {paper.id} offers only the reading: {offered}.")
    profile = profile.model_copy(update={"set": {**profile.set, **table.set.get(request.profile, {})}})
    runs = table.runs.get(request.profile, profile.runs)
    overrides = parse_overrides(request.sets, paper, entries)
    guests = _guests(paper, table, names)
    for column_id, column in _columns(paper, table, request):
        for setting in _settings(table, request):
            for row_id in dict.fromkeys((*table.rows, *table.reference, *guests)):
                row = paper.method(row_id)
                if request.methods and row_id not in request.methods and row.method not in request.methods:
                    continue
                if row.columns and column_id not in row.columns:
                    continue
                for reading in readings:
                    resolved, reason = _resolve(paper, row, column, reading, profile, setting, overrides)
                    yield PlannedCell(
                        paper.id,
                        name,
                        row_id,
                        column_id,
                        setting.label,
                        reading,
                        request.profile,
                        row_id not in table.rows,
                        table.priority,
                        reason,
                        resolved,
                        request.runs or runs,
                        overrides.label,
                        (request.runs or runs) < runs,
                        tuple(dict.fromkeys((*table.record, *request.record))),
                    )


def _guests(paper: Paper, table: TableRule, names: Sequence[str]) -> list[str]:
    """Return the methods asked for by name that the table lacks, but whose parameters fit what it varies."""
    own = _own(paper, table)
    fit = [name for name in names if name in METHODS and name not in own]
    return [name for name in fit if all(applies(axis.path, METHODS[name]) for axis in table.grid)]


def _own(paper: Paper, table: TableRule) -> set[str]:
    return {paper.method(row).method for row in (*table.rows, *table.reference)}


def _columns(paper: Paper, table: TableRule, request: Request) -> Iterator[tuple[str, ColumnRule]]:
    for name in table.columns:
        column = paper.protocol.columns[name]
        asked = bool({name, column.paper.dataset, column.code.dataset} & set(request.datasets))
        shown = (asked or not request.datasets) and request.profile in column.profiles
        if shown or (asked and request.profile in column.on_request):
            yield name, column


def _settings(table: TableRule, request: Request) -> Iterator[Setting]:
    for setting in settings(table):
        usual = request.profile != "quick" or setting.quick or not table.grid
        if setting.label in request.settings if request.settings else usual:
            yield setting


def _resolve(
    paper: Paper,
    row: MethodRule,
    column: ColumnRule,
    reading: Reading,
    profile: ProfileRule,
    setting: Setting,
    overrides: Overrides,
) -> tuple[Resolved | None, str]:
    if not row.method:
        return None, "quoted" if row.quoted else "not implemented"
    if column_data(column, reading, overrides).dataset not in DATASETS:
        return None, "no data"
    return resolve(paper, row, column, reading, profile, setting, overrides), ""


def _check_names(request: Request) -> None:
    papers = [load_paper(name) for name in request.papers or paper_ids()]
    methods = set(METHODS) | {name for paper in papers for name in paper.protocol.methods}
    datasets = set(DATASETS)
    for paper in papers:
        for name, column in paper.protocol.columns.items():
            datasets |= {name, column.paper.dataset, column.code.dataset}
    labels = {setting.label for _, _, table in selected_tables(request) for setting in settings(table)} - {""}
    for label in request.settings:
        if label not in labels:
            none = "no table asked for has settings: leave --setting out."
            raise UsageError(did_you_mean("setting", label, labels) if labels else none)
    for name in request.methods:
        if name not in methods:
            raise UsageError(did_you_mean("method", name, methods))
    for name in request.datasets:
        if name not in datasets:
            raise UsageError(did_you_mean("data set", name, datasets))
    for reading in request.readings:
        if reading not in READINGS:
            raise UsageError(did_you_mean("reading", reading, READINGS))
