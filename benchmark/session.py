"""A session: one results folder, one data folder, one device; what commands ask of the store, the data and the plan.

Beside it, a cell of a paper's table as one uses it in Python: its estimator, and its samples.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmark.catalogue.answers import remembered
from benchmark.catalogue.filling import fill_once
from benchmark.catalogue.methods import method_facts
from benchmark.data.prepared import prepared_data
from benchmark.errors import UsageError, UserError
from benchmark.papers.protocol import Reading
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.estimate import RunTimes
from benchmark.plan.lineage import parent_of
from benchmark.plan.request import Request
from benchmark.plan.runs import Plan, plan_runs
from benchmark.provenance.code import run_code_digest
from benchmark.provenance.environment import device_name
from benchmark.record import COUNTED, RunRecord
from benchmark.registry import DATASETS, METHODS, LoadedData, load_plugins
from benchmark.spec import RunSpec
from benchmark.store.observed import recorded
from benchmark.store.renewals import Renewals
from benchmark.store.rows import Kind, kind_of
from benchmark.store.store import Store
from benchmark.store.tracked import stored_folders
from benchmark.streams import Streams


class Session:
    """Answers questions about a results folder.

    `shipped` is the folder of tracked records beside its own, by default those that come with the suite.
    `device` is the device that runs are made on; None means the CPU, and that a record from any device counts as done.
    With `fresh`, tracked rows are not looked at: only runs made here count. With `rerun_stale`, a record made by other
    code does not count as done.
    """

    def __init__(
        self,
        results: Path,
        *,
        shipped: Path | None = None,
        data_dir: Path | None = None,
        device: str | None = None,
        fresh: bool = False,
        rerun_stale: bool = False,
    ) -> None:
        # A script knows all plug-ins, as commands do: else cells had no data, and no run counted as stale.
        fill_once()
        # Absolute from the start: what a method does to the working directory moves no record.
        results = Path(results).absolute()
        self.results, self.data_dir = results, None if data_dir is None else Path(data_dir).expanduser().absolute()
        self.device = device or "cpu"
        self._wanted = device_name(device) if device else None
        self._rerun_stale = rerun_stale
        self.store = Store(results, shipped=shipped, use_stored=not fresh)
        self._ready: dict[str, str] = {}
        self._lacking: dict[str, str] = {}
        self._digests: dict[tuple[str, str, str], str] = {}
        self._stale: dict[tuple[str, str], bool] = {}

    @cached_property
    def records(self) -> dict[str, dict[Kind, RunRecord]]:
        """All records by run id and kind of machine, as they are now; of those with a device the first is first."""
        return self.store.by_kind()

    @cached_property
    def tracked(self) -> dict[str, dict[Kind, RunRecord]]:
        """The tracked records by run id and kind: those of the results folder before those of the package."""
        found: dict[str, dict[Kind, RunRecord]] = {}
        for root in self._tracked_roots():
            for folder in stored_folders(root):
                for run_id, kind in folder.held():
                    found.setdefault(run_id, {})[kind] = folder.record((run_id, kind))
        return found

    def _tracked_roots(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys((self.store.shipped.resolve(), (self.results / "stored").resolve())))

    @cached_property
    def times(self) -> RunTimes:
        """What runs on the session's device took: a GPU's seconds say nothing of a CPU's."""
        device = self._wanted or device_name(self.device)
        held = (pair for by_kind in self.records.values() for pair in by_kind.items())
        return RunTimes(record for kind, record in held if kind.device == device)

    def refresh(self) -> None:
        """Forget the records read so far."""
        for name in ("records", "times"):
            self.__dict__.pop(name, None)

    def find(self, spec: RunSpec) -> Sequence[RunRecord]:
        """Return the records of a run, one for each kind of machine, that cells may be made of.

        A stale one is not among them where another kind of machine with its device made the run with today's code.
        """
        held = self.records.get(spec.run_id, {})
        if len(held) < 2:
            return tuple(held.values())
        current = {kind.device for kind, record in held.items() if not self.stale(record)}
        return tuple(r for kind, r in held.items() if kind.device not in current or not self.stale(r))

    def parent(self, record: RunRecord) -> RunRecord | None:
        """Return the record, of the same kind of machine, of the run that a record's starts from; None without one."""
        parent = parent_of(record.spec) if record.spec.method in METHODS else None
        return self.records.get(parent.run_id, {}).get(kind_of(record)) if parent else None

    def held(self, spec: RunSpec) -> Sequence[RunRecord]:
        """Return all records of a run, one for each kind of machine."""
        return tuple(self.records.get(spec.run_id, {}).values())

    def done(self, spec: RunSpec, record: Collection[str] = ()) -> bool:
        """Whether a run needs not be made; one whose history lacks what the observers `record` leave does."""
        held = self.records.get(spec.run_id, {})
        mine = [r for kind, r in held.items() if self._wanted in (None, kind.device)]
        counted = [r for r in mine if all(recorded(r, name) for name in record)]
        return any(not (self._rerun_stale and self.stale(r)) for r in counted)

    def stale(self, record: RunRecord) -> bool:
        """Whether a record was made by other code than today's, and no renewal shows that the numbers are the same."""
        key = (record.run_id, record.code_digest)
        if key not in self._stale:  # asked often of the same by tables and pages
            self._stale[key] = self.aged(record) and not self._connected(record)
        return self._stale[key]

    def _connected(self, record: RunRecord) -> bool:
        """Whether renewals lead from the code of a record to today's."""
        return self.renewals.connects(record.spec, record.code_digest, self.code_digest(record.spec))

    def aged(self, record: RunRecord) -> bool:
        """Whether a record was made by other code than today's, renewed or not; not told without its plug-ins."""
        if record.spec.method not in METHODS or record.spec.data.name not in DATASETS:
            return False
        return record.code_digest != self.code_digest(record.spec)

    def renewed(self, record: RunRecord) -> bool:
        """Whether a record of other code counts as today's by a renewal."""
        return self.aged(record) and not self.stale(record)

    @cached_property
    def renewals(self) -> Renewals:
        """The renewals that are tracked."""
        return Renewals.read(self._tracked_roots())

    def code_digest(self, spec: RunSpec) -> str:
        """Return the digest of today's code for a run."""
        key = (spec.method, spec.data.name, str(spec.params.get("network", "")))
        if key not in self._digests:
            self._digests[key] = str(remembered(("digest", *key), lambda: run_code_digest(spec)))
        return self._digests[key]

    def ready(self, name: str) -> str:
        """Return why a data set cannot be loaded, "" where it can."""
        if name not in self._ready:
            try:
                status = DATASETS[name].status(self.data_dir)
                self._ready[name] = "" if status.state == "ready" else status.detail
            except UserError as error:
                self._ready[name] = str(error)
        return self._ready[name]

    def lacking(self, method: str) -> str:
        """Return why a method cannot be run here, "" where it can: a package that it needs is not installed."""
        if method not in self._lacking:
            packages = [name for name in method_facts(method).requires if find_spec(name) is None]
            extra = "pip install 'reclust[baselines]' has what methods of the suite need"
            mend = f"{method} needs {' and '.join(packages)}, not installed here: {extra}."
            self._lacking[method] = mend if packages else ""
        return self._lacking[method]

    @property
    def optional(self) -> frozenset[str]:
        """The sentences of `lacking` so far: runs that are left out for one of them need an extra that is not here."""
        return frozenset(filter(None, self._lacking.values()))

    def plan(self, cells: Sequence[PlannedCell]) -> Plan:
        """Return what is missing of `cells`."""
        needed: dict[str, set[str]] = {}
        for cell in cells:
            for spec in cell.specs if cell.record else ():
                needed.setdefault(spec.run_id, set()).update(cell.record)
        return plan_runs(
            cells,
            lambda spec: self.done(spec, needed.get(spec.run_id, ())),
            self.ready,
            self.times,
            self.has_weights,
            self.lacking,
        )

    def has_weights(self, spec: RunSpec) -> bool:
        """Whether other runs can start from a run: today's code made it here, on the device, and kept its weights."""
        device = self._wanted or "cpu"
        held = self.records.get(spec.run_id, {})
        mine = [kind for kind in held if kind.device == device and self.store.has_state(spec.run_id, kind)]
        return any(held[kind].status in COUNTED and not self.stale(held[kind]) for kind in mine)


def estimator(
    table: str,
    method: str,
    dataset: str,
    *,
    reading: Reading = "paper",
    profile: str = "quick",
    setting: str = "",
    sets: Sequence[str] = (),
    replicate: int = 0,
    **arguments: Any,
) -> Any:
    """Return the unfitted estimator of a cell of a table, with the whole protocol of the cell.

    Fitted on `samples` of the same cell, it gives the bits of run `replicate` of the suite on such a machine: its
    parameters, phases, random streams and the one thread are those of the run. `arguments` replace some, such as
    ``device="cuda"``.

    Parameters
    ----------
    table
        Such as ``idec2017/table2``.
    method, dataset
        Names as `run --method` and `run --dataset` take them.
    reading, profile, setting, sets
        As the options of `run`: ``reading="code"``, ``profile="cpu"``, ``sets=["K1=code"]``.

    Raises
    ------
    UsageError
        For unknown names, where the table has no such cell, where more than one is meant, and where it has no runs.

    >>> estimator("tkuco2024/table2", "k-means", "digits", n_clusters=12)
    KMeans(n_clusters=12, random_state=Streams(dataset='digits', replicate=0),
           threads=1)
    """
    spec = cell_spec(table, method, dataset, reading=reading, profile=profile, setting=setting, sets=sets)
    common = {"random_state": Streams(spec.data.name, replicate), "threads": 1}
    protocol = {"protocol": spec.protocol} if spec.protocol.phases else {}
    return METHODS[spec.method](**{**spec.params, **protocol, **common, **arguments})


def samples(table: str, method: str, dataset: str, *, data_dir: Path | None = None, **cell: Any) -> LoadedData:
    """Return the data of a cell as its runs get them, subset and preprocessed: `x` (n, ...) and `y` (n,).

    `cell` are `reading`, `profile`, `setting` and `sets`, as in `estimator`. DataError where the data are not there.
    """
    return prepared_data(cell_spec(table, method, dataset, **cell), data_dir)


def cell_spec(
    table: str,
    method: str,
    dataset: str,
    *,
    reading: Reading = "paper",
    profile: str = "quick",
    setting: str = "",
    sets: Sequence[str] = (),
) -> RunSpec:
    """Return the specification of replicate 0 of the one cell that is meant; arguments and errors as in `estimator`."""
    load_plugins()
    wanted = Request(
        profile=profile,
        tables=(table,),
        methods=(method,),
        datasets=(dataset,),
        readings=(reading,),
        sets=tuple(sets),
        settings=(setting,) if setting else (),
    )
    cells = plan_cells(wanted)
    if not cells:
        raise UsageError(f"{table} has no cell of {method} on {dataset} in the {profile} profile.")
    if reasons := [cell.reason for cell in cells if cell.reason]:
        raise UsageError(f"{table} has no runs of {method} on {dataset}: {reasons[0]}.")
    specs = {cell.specs[0].run_id: cell for cell in cells}
    if len(specs) > 1:
        meant = ", ".join(sorted({cell.setting or f"{cell.row} on {cell.column}" for cell in cells}))
        raise UsageError(
            f"{table} has {len(specs)} such cells of {method} on {dataset}: name one, setting= of {meant}."
        )
    return cells[0].specs[0]
