"""The plan: tables to cells, cells to run specifications, and which of these are missing, in order of urgency."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property

from benchmark.catalogue.methods import method_facts
from benchmark.errors import UsageError, did_you_mean
from benchmark.measure.verdict import NO_DATA, NOT_IMPLEMENTED, QUOTED
from benchmark.papers.paper import Paper, load_paper, paper_ids
from benchmark.papers.protocol import PROFILES, READINGS, ColumnRule, MethodRule, ProfileRule, Reading
from benchmark.papers.tables import Setting, TableRule, settings
from benchmark.plan.guests import Guest
from benchmark.plan.request import Request
from benchmark.plan.resolve import Overrides, Resolved, applies, column_data, parse_overrides, resolve
from benchmark.record import Context
from benchmark.registry import DATASETS, METHODS
from benchmark.spec import RunSpec


@dataclass(frozen=True)
class PlannedCell:
    """A cell of a table without its metric: the runs that it needs, or the `reason` why it has none.

    `reason` is "", "not implemented" (no method of ours), "quoted" or "no data" (the data set is not registered).
    `reduced` marks a cell for which fewer runs were asked than the profile's; `record` are the observers that its runs
    need. A `guest` is in no list of the table's rows; it may keep its own protocol. A `deterministic` method draws
    nothing at random, and one run of it says all.
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
    guest: bool = False
    own_protocol: bool = False
    deterministic: bool = False

    @cached_property
    def specs(self) -> tuple[RunSpec, ...]:
        """The run specifications of the cell, in replicate order."""
        return tuple(self.resolved.replicate(r) for r in range(self.runs)) if self.resolved else ()

    @property
    def context(self) -> Context:
        """How a run made for this cell is labelled."""
        label = ";".join(part for part in (self.setting, self.overrides, "own-protocol" * self.own_protocol) if part)
        return Context(paper=self.paper, setting=label, reading=self.reading, profile=self.profile)


_KEPT: ContextVar[dict[tuple[object, ...], PlannedCell] | None] = ContextVar("kept", default=None)


@contextmanager
def cells_kept() -> Iterator[None]:
    """Within this a cell that is planned again is the one planned before, whose run ids are worked out once.

    For whatever plans the same tables many times; papers and plug-ins must not change within.
    """
    token = _KEPT.set({} if _KEPT.get() is None else _KEPT.get())
    try:
        yield
    finally:
        _KEPT.reset(token)


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
    asked = (paper.id, name, request.profile, request.runs, request.sets, request.record, request.own_protocol)
    kept: dict[tuple[object, ...], PlannedCell] = {} if (shared := _KEPT.get()) is None else shared
    for column_id, column in _columns(paper, table, request):
        for setting in _settings(table, request):
            for row_id in dict.fromkeys((*table.rows, *table.reference, *guests)):
                row = paper.method(row_id)
                if request.methods and row_id not in request.methods and row.method not in request.methods:
                    continue
                if row.columns and column_id not in row.columns:
                    continue
                guest = _guest(paper, table, row_id, request.own_protocol) if row_id in guests else None
                planned = runs if row.runs is None else min(runs, row.runs)
                for reading in readings:
                    key = (*asked, row_id, guest is None, column_id, setting.label, reading)
                    if key in kept:
                        yield kept[key]
                        continue
                    resolved, reason = _resolve(paper, row, column, reading, profile, setting, overrides, guest)
                    kept[key] = PlannedCell(
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
                        min(request.runs or planned, planned) if row.runs else request.runs or planned,
                        overrides.label,
                        (request.runs or planned) < planned,
                        tuple(dict.fromkeys((*table.record, *request.record))),
                        guest is not None,
                        guest is not None and guest.own_protocol,
                        row.runs == 1,
                    )
                    yield kept[key]


def _guests(paper: Paper, table: TableRule, names: Sequence[str]) -> list[str]:
    """Return the methods asked for by name that the table lacks, but whose parameters fit what it varies."""
    own = _own(paper, table)
    fit = [name for name in names if name in METHODS and name not in own]
    return [name for name in fit if all(applies(axis.path, method_facts(name)) for axis in table.grid)]


def _guest(paper: Paper, table: TableRule, row_id: str, own_protocol: bool) -> Guest:
    """Return what of the paper's protocol concerns a guest of a table."""
    known = {row.method for row in paper.protocol.methods.values()}
    written = _own(paper, table) | ({paper.method(row_id).method} & known)
    hosts = [method_facts(name) for name in sorted(written) if name]
    return Guest(lambda path: any(applies(path, host) for host in hosts), own_protocol)


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
    guest: Guest | None,
) -> tuple[Resolved | None, str]:
    if not row.method:
        return None, QUOTED if row.quoted else NOT_IMPLEMENTED
    if column_data(column, reading, overrides).dataset not in DATASETS:
        return None, NO_DATA
    return resolve(paper, row, column, reading, profile, setting, overrides, guest), ""


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
