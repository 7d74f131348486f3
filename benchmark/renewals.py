"""Renewals: proof that rows made by earlier code are what today's code gives, without training them all again.

A stored run is stale when the project code that decides its numbers has another digest than today. Most changes of code
change no number. A renewal makes the beginning of one stored run again with today's code, on the same kind of machine,
and where every loss and metric up to there is bitwise equal, it says so in `results/stored/renewals.jsonl`: for runs
that differ in nothing but the replicate index, the earlier digest then stands for today's. Rows themselves keep the
digest of the code that made them.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from benchmark.claims import alone
from benchmark.executors import Event, Finished, Job, Place, processes
from benchmark.lineage import parent_of
from benchmark.observers import observed
from benchmark.provenance.code import run_code_digest
from benchmark.record import RunRecord
from benchmark.registry import UserError
from benchmark.spec import Budget, Frozen, RunSpec, canonical_json
from benchmark.stored import write_changed

FILE = "renewals.jsonl"


class Renewal(Frozen):
    """One renewal: for the runs of `cell`, code of the digest `old` gives the numbers of `new`.

    `run_id` is the stored run that was begun again, `compared` how far, and `machine` where.
    """

    cell: str
    method: str
    dataset: str
    old: str
    new: str
    run_id: str
    compared: str
    machine: str


def cell_id(spec: RunSpec) -> str:
    """Return 16 hex digits that runs share which differ in nothing but the replicate index."""
    rest = {name: value for name, value in spec.canonical().items() if name != "replicate"}
    return hashlib.sha256(canonical_json(rest).encode()).hexdigest()[:16]


class Renewals:
    """The renewals that are stored in some folders of tracked records."""

    def __init__(self, entries: Iterable[Renewal]) -> None:
        self.entries = tuple(dict.fromkeys(entries))
        self._next: dict[tuple[str, str], set[str]] = {}
        for entry in self.entries:
            self._next.setdefault((entry.cell, entry.old), set()).add(entry.new)

    @classmethod
    def read(cls, folders: Iterable[Path]) -> Renewals:
        """Return the renewals of `folders`; UserError where a line cannot be read."""
        return cls(entry for folder in folders for entry in _entries(Path(folder) / FILE))

    def connects(self, spec: RunSpec, old: str, new: str) -> bool:
        """Whether renewals, one after another, lead from the digest `old` to `new` for the runs of this cell."""
        cell, seen, wanted = cell_id(spec), {old}, [old]
        while wanted:
            following = self._next.get((cell, wanted.pop()), set()) - seen
            seen |= following
            wanted += following
        return new in seen


def _entries(file: Path) -> Iterator[Renewal]:
    if not file.is_file():
        return
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            yield Renewal(**json.loads(line))
        except (ValueError, TypeError, ValidationError):
            raise UserError(f"{file}, line {number} is no renewal: restore the file (git checkout).") from None


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
    chosen: dict[tuple[str, str], RunRecord] = {}
    for record in sorted(stale, key=lambda run: (run.status != "ok", -len(observed(run)), run.spec.replicate)):
        chosen.setdefault((cell_id(record.spec), record.code_digest), record)
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
            left.append(f"{_name(record)} (code {old}): {reason}")
        else:
            entries.append(_entry(cell, record, end.record))  # type: ignore[union-attr, arg-type]
    return Renewed(tuple(entries), tuple(left))


def beginning(spec: RunSpec) -> RunSpec:
    """Return the spec of the run as far as its first evaluation after training began; whole without phases.

    The phases of a parent stay whole, as the run starts where they end.
    """
    parent = parent_of(spec)
    whole = parent.protocol.phases if parent else {}
    cut = {name: phase for name, phase in spec.protocol.phases.items() if name not in whole}
    return shortened(spec, {name: min(phase.budget.amount, phase.evaluate_every) for name, phase in cut.items()})


def shortened(spec: RunSpec, amounts: Mapping[str, int]) -> RunSpec:
    """Return the spec of the run whose phases in `amounts` end after so many steps or epochs of their budget."""
    phases = dict(spec.protocol.phases)
    for name, amount in amounts.items():
        budget = phases[name].budget.model_copy(update={"amount": amount})
        phases[name] = phases[name].model_copy(update={"budget": budget})
    return spec.model_copy(update={"protocol": spec.protocol.model_copy(update={"phases": phases})})


def keep(entries: Iterable[Renewal], stored: Path) -> Path:
    """Add `entries` to the file of renewals in the folder `stored`, in a fixed order, and return its path."""
    file = stored / FILE
    with alone(stored.parent, "renewal"):
        lines = {canonical_json(entry) for entry in (*_entries(file), *entries)}
        ordered = sorted(lines, key=lambda line: (json.loads(line)["method"], json.loads(line)["dataset"], line))
        write_changed({file: "".join(f"{line}\n" for line in ordered).encode()})
    return file


def _difference(stored: RunRecord, end: Finished | None) -> str:
    """Return why the stored run does not count as that of today's code, "" where it does."""
    if end is None:
        return "it was not begun."
    today = end.record
    if today is None:
        return end.error
    if machine(stored) != machine(today):
        return "it was made on another kind of machine, or with another torch or number of threads: run it again."
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
        machine=", ".join(machine(today)),
    )


def _cut(spec: RunSpec) -> Iterator[tuple[str, Budget, Budget]]:
    """Yield by phase its budget, and that of the beginning."""
    begun = beginning(spec).protocol.phases
    for name, phase in spec.protocol.phases.items():
        yield name, phase.budget, begun[name].budget


def machine(record: RunRecord) -> tuple[str, ...]:
    """Return what two machines must share for bitwise equal numbers: the kind of machine, torch, and the threads."""
    return tuple(str(record.environment.get(key)) for key in ("machine", "torch", "threads"))


def _name(record: RunRecord) -> str:
    context: Mapping[str, str] = record.context.model_dump()
    spec = record.spec
    return " ".join(part for part in (context["paper"], spec.method, spec.data.name, context["reading"]) if part)
