"""A session: one results folder, one data folder, one device; what commands ask of the store, the data and the plan."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from benchmark.catalogue.answers import remembered
from benchmark.catalogue.methods import method_facts
from benchmark.errors import UserError
from benchmark.plan.cells import PlannedCell
from benchmark.plan.estimate import RunTimes
from benchmark.plan.runs import Plan, plan_runs
from benchmark.provenance.code import run_code_digest
from benchmark.provenance.environment import device_name
from benchmark.record import COUNTED, RunRecord
from benchmark.registry import DATASETS, METHODS
from benchmark.spec import RunSpec
from benchmark.store.observed import recorded
from benchmark.store.renewals import Renewals
from benchmark.store.store import Store
from benchmark.store.tracked import stored_folders


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
        self.results, self.data_dir = results, data_dir
        self.device = device or "cpu"
        self._wanted = device_name(device) if device else None
        self._rerun_stale = rerun_stale
        self.store = Store(results, shipped=shipped, use_stored=not fresh)
        self._ready: dict[str, str] = {}
        self._lacking: dict[str, str] = {}
        self._digests: dict[tuple[str, str, str], str] = {}

    @cached_property
    def records(self) -> dict[str, dict[str, RunRecord]]:
        """All records by run id and device, as they are now."""
        found = {run_id: self.store.devices(run_id) for run_id in self.store.ids()}
        pairs = {run_id: {d: self.store.get(run_id, d) for d in devices} for run_id, devices in found.items()}
        return {run_id: {d: r for d, r in by_device.items() if r is not None} for run_id, by_device in pairs.items()}

    @cached_property
    def tracked(self) -> dict[str, dict[str, RunRecord]]:
        """The tracked records by run id and device: those of the results folder before those of the package."""
        found: dict[str, dict[str, RunRecord]] = {}
        for root in self._tracked_roots():
            for folder in stored_folders(root):
                for run_id, device in folder.held():
                    found.setdefault(run_id, {})[device] = folder.record((run_id, device))
        return found

    def _tracked_roots(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys((self.store.shipped.resolve(), (self.results / "stored").resolve())))

    @cached_property
    def times(self) -> RunTimes:
        """What runs on the session's device took: a GPU's seconds say nothing of a CPU's."""
        device = self._wanted or device_name(self.device)
        held = (by_device.get(device) for by_device in self.records.values())
        return RunTimes(record for record in held if record is not None)

    def refresh(self) -> None:
        """Forget the records read so far."""
        for name in ("records", "times"):
            self.__dict__.pop(name, None)

    def find(self, spec: RunSpec) -> Sequence[RunRecord]:
        """Return the records of a run, one for each device."""
        return tuple(self.records.get(spec.run_id, {}).values())

    def done(self, spec: RunSpec, record: Collection[str] = ()) -> bool:
        """Whether a run needs not be made; one whose history lacks what the observers `record` leave does."""
        held = self.records.get(spec.run_id, {})
        counted = [r for d, r in held.items() if self._wanted in (None, d) and all(recorded(r, n) for n in record)]
        return any(not (self._rerun_stale and self.stale(r)) for r in counted)

    def stale(self, record: RunRecord) -> bool:
        """Whether a record was made by other code than today's, and no renewal shows that the numbers are the same."""
        return self.aged(record) and not self.renewals.connects(
            record.spec, record.code_digest, self.code_digest(record.spec)
        )

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
            mend = f"{method} needs {' and '.join(packages)}, not installed here: pip install {' '.join(packages)}."
            self._lacking[method] = mend if packages else ""
        return self._lacking[method]

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
        record = self.records.get(spec.run_id, {}).get(device)
        usable = record is not None and record.status in COUNTED and not self.stale(record)
        return usable and self.store.has_state(spec.run_id, device)
