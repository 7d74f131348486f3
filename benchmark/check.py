"""The regression check: today's quick runs against the stored ones, cell by cell."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.executors import Event, Finished, Job, Place, processes
from benchmark.jobs import with_parents
from benchmark.plan import PlannedCell
from benchmark.record import RunRecord
from benchmark.renewals import machine
from benchmark.session import Session
from benchmark.verdict import compare_runs, run_view


@dataclass(frozen=True)
class Checked:
    """The outcome of a check: how many cells and runs were compared, and one sentence for each disagreement."""

    cells: int
    runs: int
    disagreements: tuple[str, ...]


def check(
    session: Session,
    cells: Sequence[PlannedCell],
    workers: int,
    watch: Callable[[Event], None] = lambda event: None,
) -> Checked:
    """Make the tracked runs of `cells` again, in a temporary folder, and compare them with the tracked ones.

    Runs made here and not merged do not count: today's code would be compared with itself. A cell without tracked runs
    is a disagreement: there is nothing to hold today's code to.
    """
    wanted = {spec.run_id: Job(spec, cell.context) for cell in cells for spec in cell.specs}
    stored = {run_id: found for run_id, job in wanted.items() if (found := _tracked(session, run_id))}
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
        disagreements += [f"{_name(cell)}: {text}" for text in _compare(cell, stored, today)]
    return Checked(len(cells), len(today), tuple(disagreements))


def _compare(cell: PlannedCell, stored: dict[str, Sequence[RunRecord]], today: dict[str, RunRecord]) -> list[str]:
    ids = [spec.run_id for spec in cell.specs]
    new = [today[run_id] for run_id in ids if run_id in today]
    if not any(run_id in stored for run_id in ids):
        return ["no stored run: make and store it with `run` and `results merge`."]
    if not new:
        return []
    old = [_nearest(stored[run_id], new[0]) for run_id in ids if run_id in stored]
    same = all(machine(record) == machine(new[0]) for record in old)
    return compare_runs([run_view(r) for r in old], [run_view(r) for r in new], same)


def _tracked(session: Session, run_id: str) -> Sequence[RunRecord]:
    return tuple(session.tracked.get(run_id, {}).values())


def _nearest(records: Sequence[RunRecord], like: RunRecord) -> RunRecord:
    """Return the record made on the same device where there is one."""
    device = like.environment.get("device")
    return next((r for r in records if r.environment.get("device") == device), records[0])


def _name(cell: PlannedCell) -> str:
    return " ".join(part for part in (cell.paper, cell.table, cell.row, cell.column, cell.setting) if part)
