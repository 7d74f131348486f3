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
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from benchmark.errors import UserError
from benchmark.files.locks import alone
from benchmark.files.reading import plain_json
from benchmark.files.together import settle
from benchmark.record import RunRecord
from benchmark.spec import Frozen, RunSpec, canonical_json
from benchmark.store.sums import change_tracked

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
    settle(file.parent)
    if not file.is_file():
        return
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            yield Renewal(**plain_json(line))
        except (ValueError, TypeError, ValidationError):
            raise UserError(f"{file}, line {number} is no renewal: restore the file (git checkout).") from None


def keep(entries: Iterable[Renewal], stored: Path) -> Path:
    """Add `entries` to the file of renewals in the folder `stored`, in a fixed order, and return its path."""
    file = stored / FILE
    with alone(stored.parent, "renewal"):
        lines = {canonical_json(entry) for entry in (*_entries(file), *entries)}
        ordered = sorted(lines, key=lambda line: (json.loads(line)["method"], json.loads(line)["dataset"], line))
        change_tracked(stored, {file: "".join(f"{line}\n" for line in ordered).encode()})
    return file


def machine_of(record: RunRecord) -> tuple[str, ...]:
    """Return what two machines must share for bitwise equal numbers: the kind of machine, torch, and the threads."""
    return tuple(str(record.environment.get(key)) for key in ("machine", "torch", "threads"))
