"""The regression check: today's quick runs against the stored ones, cell by cell."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.execution.events import Event, Finished, Job, Place
from benchmark.execution.executors import processes
from benchmark.execution.jobs import with_parents
from benchmark.plan.cells import PlannedCell
from benchmark.record import RunRecord
from benchmark.repeat.agreement import compare_runs, run_view
from benchmark.session import Session
from benchmark.store.renewals import cell_id, machine_of
from benchmark.store.rows import device_of, kind_of


@dataclass(frozen=True)
class Checked:
    """The outcome of a check: how many cells and runs were compared, and one sentence for each disagreement."""

    cells: int
    runs: int
    disagreements: tuple[str, ...]


def check_cells(
    session: Session,
    cells: Sequence[PlannedCell],
    workers: int,
    watch: Callable[[Event], None] = lambda event: None,
) -> Checked:
    """Make the tracked runs of `cells` again, in a temporary folder, and compare them with the tracked ones.

    Runs made here and not merged do not count: today's code would be compared with itself. A cell without tracked runs
    is a disagreement: there is nothing to hold today's code to. How far runs spread is told by all tracked replicates
    of a cell, planned or not.
    """
    wanted = {spec.run_id: Job(spec, cell.context) for cell in cells for spec in cell.specs}
    stored = {run_id: found for run_id, job in wanted.items() if (found := _tracked(session, run_id))}
    siblings = _replicates(session, {cell_id(job.spec) for job in wanted.values()})
    jobs = with_parents([wanted[run_id] for run_id in stored])
    today: dict[str, RunRecord] = {}
    disagreements: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), session.data_dir, session.device)
        for event in processes(jobs, place, workers):
            watch(event)
            if isinstance(event, Finished):
                if event.record is None:
                    disagreements.append(f"run {event.job.spec.run_id} was not made: {event.error}")
                elif event.job.run_id in stored:
                    today[event.record.run_id] = event.record
    for cell in {tuple(s.run_id for s in c.specs): c for c in cells if c.specs}.values():
        mine = siblings[cell_id(cell.specs[0])]
        disagreements += [f"{cell_name(cell)}: {text}" for text in _compare(cell, mine, today)]
    return Checked(len(cells), len(today), tuple(disagreements))


def _compare(cell: PlannedCell, tracked: Mapping[str, Sequence[RunRecord]], today: dict[str, RunRecord]) -> list[str]:
    """Compare the runs of a cell made today with its `tracked` ones, all its replicates by run id."""
    ids = [spec.run_id for spec in cell.specs]
    if not any(run_id in tracked for run_id in ids):
        return ["no stored run: make and store it with `run` and `results merge`."]
    new = [today[run_id] for run_id in ids if run_id in today]
    if not new:
        return []
    old = {run_id: _nearest(records, new[0]) for run_id, records in tracked.items()}
    here, elsewhere = (
        [r for r in new if (machine_of(old[r.run_id]) == machine_of(r)) is same] for same in (True, False)
    )
    stored = [run_view(record) for record in old.values()]
    compared = ((here, True), (elsewhere, False))
    return [text for part, same in compared if part for text in compare_runs(stored, [run_view(r) for r in part], same)]


def _tracked(session: Session, run_id: str) -> Sequence[RunRecord]:
    return tuple(session.tracked.get(run_id, {}).values())


def _replicates(session: Session, cells: Collection[str]) -> dict[str, dict[str, Sequence[RunRecord]]]:
    """Return the tracked records by cell id, of those in `cells`, and run id."""
    found: dict[str, dict[str, Sequence[RunRecord]]] = {cell: {} for cell in cells}
    for run_id in session.tracked:
        records = _tracked(session, run_id)
        if (cell := cell_id(records[0].spec)) in found:
            found[cell][run_id] = records
    return found


def _nearest(records: Sequence[RunRecord], like: RunRecord) -> RunRecord:
    """Return the record made on the same kind of machine, or else the same device, where there is one."""
    machine, kind = machine_of(like), kind_of(like)
    return min(records, key=lambda r: (machine_of(r) != machine, kind_of(r) != kind, device_of(r) != kind.device))


def cell_name(cell: PlannedCell) -> str:
    """Return by which paper, table, row, column and setting a cell is told."""
    return " ".join(part for part in (cell.paper, cell.table, cell.row, cell.column, cell.setting) if part)
