"""Of which machines the numbers of a cell are: one device always, one kind of machine where that has all of its runs.

Runs of two kinds of machines part by rounding, so that a cell is not made of them by chance. Of the records of a cell,
one for each run and kind, `cell_records` takes those of today's code before stale ones (`Session.find`), then those of
the kind with the most runs; of equals the one that was there first, tracked before made here. Runs that only another
kind with the same device made are taken in, so that a cell can be completed on another machine, and it is said: below
the table, in its CSV form and by `explain`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmark.record import COUNTED, RunRecord
from benchmark.spec import RunSpec
from benchmark.store.rows import Kind, device_order, kind_of

Find = Callable[[RunSpec], Sequence[RunRecord]]
"""Gives the stored records of a run: one for each kind of machine that made it."""

USED = (
    "of one device, today's code before stale, the kind of machine with the most runs, of equals the one stored first; "
    "what only others with the device have is taken in"
)
"""The rule by which records of several kinds of machines make a cell."""

ByKind = Mapping[str, Mapping[Kind, RunRecord]]
"""The records of a cell by run id and kind."""


def cell_records(specs: Iterable[RunSpec], find: Find, first: Kind | None = None) -> dict[str, RunRecord]:
    """Return the stored records of a cell by run id, all from the device with most of them (of two, the CPU).

    They are those of the kind `first`, by default the one with the most, and of other kinds where it has none.
    """
    found = _found(specs, find)
    if first is None and len({kind for kinds in found.values() for kind in kinds}) == 1:  # by far the most cells
        return {run_id: record for run_id, kinds in found.items() for record in kinds.values()}
    devices = Counter(device for kinds in found.values() for device in {kind.device for kind in kinds})
    if not devices:
        return {}
    device = first.device if first else min(devices, key=lambda name: (-devices[name], device_order(name)))
    own = {run_id: {k: r for k, r in kinds.items() if k.device == device} for run_id, kinds in found.items()}
    order = [first] if first else []
    order += _ordered(own)
    held = {run_id: next((kinds[k] for k in order if k in kinds), None) for run_id, kinds in own.items()}
    return {run_id: record for run_id, record in held.items() if record is not None}


def kinds_of(records: Iterable[RunRecord]) -> tuple[Kind, ...]:
    """Return the kinds of machines that made `records`, the one with the most first."""
    return tuple(kind for kind, _ in Counter(map(kind_of, records)).most_common())


def shared_kind(a: Sequence[RunSpec], b: Sequence[RunSpec], find: Find) -> Kind | None:
    """Return a kind that made, in both cells, every replicate that some kind made in both; None where none did.

    Of several it is the one of which cell `a` has the most runs.
    """
    left, right = (_replicates(_found(specs, find)) for specs in (a, b))
    both = left.keys() & right.keys()
    counts = Counter(kind for kinds in left.values() for kind in kinds)
    fit = [kind for kind in counts if both and all(kind in left[r] and kind in right[r] for r in both)]
    return max(fit, key=lambda kind: counts[kind]) if fit else None


def other_records(used: Mapping[str, RunRecord], held: Iterable[RunRecord]) -> list[dict[str, Any]]:
    """Return a line for each kind of machine whose records a cell does not use: how many, and how far they part.

    `held` are all records of the cell. Each is compared with the one of the same run that is used.
    """
    groups: dict[Kind, list[tuple[RunRecord, RunRecord | None]]] = {}
    for record in held:
        mine = used.get(record.run_id)
        if mine is None or kind_of(mine) != kind_of(record):
            groups.setdefault(kind_of(record), []).append((record, mine))
    return [{"made by": str(kind), "runs": len(pairs), **_apart(pairs)} for kind, pairs in groups.items()]


def _apart(pairs: Sequence[tuple[RunRecord, RunRecord | None]]) -> dict[str, Any]:
    """Return by how much records part from those of the same runs that are used, at most and in the mean."""
    both = [(there, here) for there, here in pairs if here is not None]
    counted = [(t, h) for t, h in both if t.status in COUNTED and h.status in COUNTED]
    first = [_relative(a, b) for t, h in both for a, b in list(zip(t.first_losses, h.first_losses, strict=False))[:1]]
    loss = [_relative(t.loss, h.loss) for t, h in counted if t.loss is not None and h.loss is not None]
    accs = [t.metrics["acc"] - h.metrics["acc"] for t, h in counted if "acc" in t.metrics and "acc" in h.metrics]
    return {
        "other status": sum(t.status != h.status for t, h in both),
        "loss of step 1 parts by at most": max(first, default=None),
        "loss parts by at most": max(loss, default=None),
        "acc minus that used, mean": sum(accs) / len(accs) if accs else None,
    }


def _relative(a: float, b: float) -> float:
    return abs(a - b) / max(abs(a), abs(b)) if a != b else 0.0


def _found(specs: Iterable[RunSpec], find: Find) -> dict[str, dict[Kind, RunRecord]]:
    return {spec.run_id: {kind_of(record): record for record in find(spec)} for spec in specs}


def _ordered(found: ByKind) -> Iterator[Kind]:
    """Yield the kinds of some records, the one with the most first; of equals the one that was there first."""
    counts, places = Counter[Kind](), Counter[Kind]()
    for kinds in found.values():
        for place, kind in enumerate(kinds):
            counts[kind] += 1
            places[kind] += place
    yield from sorted(counts, key=lambda kind: (-counts[kind], places[kind]))


def _replicates(found: ByKind) -> dict[int, set[Kind]]:
    return {r.spec.replicate: set(kinds) for kinds in found.values() for r in list(kinds.values())[:1]}
