"""Runs that went wrong: which, how, and the whole text of what they raised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmark.errors import UserError
from benchmark.plan.cells import PlannedCell
from benchmark.record import RunRecord
from benchmark.session import Session
from benchmark.store.store import Store


def went_wrong(session: Session, cells: Sequence[PlannedCell]) -> list[RunRecord]:
    """Return the records of the runs of `cells` whose status is not ok, whatever machine made them."""
    specs = {spec.run_id: spec for cell in cells for spec in cell.specs}
    return [record for spec in specs.values() for record in session.held(spec) if record.status != "ok"]


def as_line(record: RunRecord) -> str:
    """Return one line on a run that went wrong, its id first."""
    spec = record.spec
    text = f"{record.run_id}  {spec.method} {spec.data.name} r={spec.replicate}: {record.status}: {record.error}"
    return text.rstrip(": ")


def as_values(record: RunRecord) -> dict[str, Any]:
    """Return the same for programs."""
    return {"run_id": record.run_id, "status": record.status, "error": record.error}


def traceback_of(store: Store, run_id: str) -> str:
    """Return what a run raised, or in one sentence why there is nothing to show; UserError where it has no record."""
    held = [store.get(run_id, kind) for kind in store.kinds(run_id)]
    record = next((record for record in held if record and record.traceback), next(iter(held), None))
    if record is None:
        raise UserError(f"there is no record of the run {run_id} in {store.results}: `status` lists those there are.")
    if record.traceback:
        return record.traceback.rstrip()
    if record.status == "failed":
        return f"{as_line(record)}\nIts traceback stayed on the machine that made it; make the run again to see it."
    return as_line(record)
