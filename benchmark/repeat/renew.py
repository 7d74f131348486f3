"""Renewing: the beginning of a stored run made again with today's code, and compared to the bit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.execution.events import Event, Finished, Job, Place
from benchmark.execution.executors import processes
from benchmark.provenance.code import run_code_digest
from benchmark.provenance.environment import machine_kind
from benchmark.record import RunRecord
from benchmark.repeat.beginning import beginning
from benchmark.spec import Budget, RunSpec
from benchmark.store.observed import observed
from benchmark.store.renewals import Renewal, cell_id, machine_of


@dataclass(frozen=True)
class Renewed:
    """What a renewal found: entries to keep, and one sentence for each cell that stays stale."""

    entries: tuple[Renewal, ...]
    left: tuple[str, ...]


def renew(
    stale: Sequence[RunRecord],
    place: Place,
    workers: int,
    watch: Callable[[Event], None] = lambda event: None,
) -> Renewed:
    """Begin one of the `stale` runs of each cell and digest again with today's code, and compare.

    What observers recorded beside a run is compared too. `place` names data and device; records are made in a temporary
    folder. A run made on another kind of machine or number of threads cannot be compared bitwise: its cell stays stale.
    """
    chosen = one_of_each_cell(stale, machine_kind(place.device))
    jobs = {
        spec.run_id: Job(spec, record.context, observed(record))
        for record in chosen.values()
        for spec in (beginning(record.spec),)
    }
    today: dict[str, Finished] = {}
    with tempfile.TemporaryDirectory() as folder:
        for event in processes(list(jobs.values()), Place(Path(folder), place.data_dir, place.device), workers):
            watch(event)
            if isinstance(event, Finished):
                today[event.job.spec.run_id] = event
    entries, left = [], []
    for (cell, old), record in chosen.items():
        end = today.get(beginning(record.spec).run_id)
        reason = _difference(record, end)
        if reason:
            left.append(f"{run_name(record)} (code {old}): {reason}")
        else:
            entries.append(_entry(cell, record, end.record))  # type: ignore[union-attr, arg-type]
    return Renewed(tuple(entries), tuple(left))


def one_of_each_cell(records: Iterable[RunRecord], machine: str = "") -> dict[tuple[str, str], RunRecord]:
    """Return by cell and code digest the record that stands for the others: the one of which most can be compared.

    One of the kind `machine` comes before those of others.
    """
    chosen: dict[tuple[str, str], RunRecord] = {}

    def order(run: RunRecord) -> tuple[bool, bool, int, int]:
        elsewhere = machine_of(run)[0] != machine
        return elsewhere, run.status != "ok", -len(observed(run)), run.spec.replicate

    for record in sorted(records, key=order):
        chosen.setdefault((cell_id(record.spec), record.code_digest), record)
    return chosen


def _difference(stored: RunRecord, end: Finished | None) -> str:
    """Return why the stored run does not count as that of today's code, "" where it does."""
    if end is None:
        return "it was not begun."
    today = end.record
    if today is None:
        return end.error
    if machine_of(stored) != machine_of(today):
        return "it was made on another kind of machine, or with another torch or number of threads: run it again."
    if today.status == "failed" and stored.status != "failed":
        return f"today's run failed: {today.error}"
    if not stored.spec.protocol.phases:
        same = (stored.status, stored.loss, stored.metrics) == (today.status, today.loss, today.metrics)
        return "" if same else "today's code gives other numbers."
    phase = next((evaluation.phase for evaluation in stored.history), "")
    before, now = ([e for e in record.history if e.phase == phase] for record in (stored, today))
    if len(now) < 2 or not today.first_losses:
        return f"today's run left too little to compare (status {today.status})."
    first = stored.first_losses[: len(today.first_losses)]
    same = before[: len(now)] == now and first == today.first_losses
    return "" if same else "today's code gives other losses or metrics."


def _entry(cell: str, stored: RunRecord, today: RunRecord) -> Renewal:
    spec = stored.spec
    whole = "the whole run"
    cut = [(name, wanted, made) for name, wanted, made in _cut(spec) if wanted != made]
    if cut:
        name, wanted, made = cut[0]
        whole = f"{made.amount} of {wanted.amount} {wanted.unit} of phase {name}"
    return Renewal(
        cell=cell,
        method=spec.method,
        dataset=spec.data.name,
        old=stored.code_digest,
        new=run_code_digest(spec),
        run_id=stored.run_id,
        compared=whole,
        machine=", ".join(machine_of(today)),
    )


def _cut(spec: RunSpec) -> Iterator[tuple[str, Budget, Budget]]:
    """Yield by phase its budget, and that of the beginning."""
    begun = beginning(spec).protocol.phases
    for name, phase in spec.protocol.phases.items():
        yield name, phase.budget, begun[name].budget


def run_name(record: RunRecord) -> str:
    """Return by which paper, method, data set and reading a run is told to a user."""
    context: Mapping[str, str] = record.context.model_dump()
    spec = record.spec
    return " ".join(part for part in (context["paper"], spec.method, spec.data.name, context["reading"]) if part)
