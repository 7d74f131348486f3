"""Guests whose package is not installed: cells of a table from their stored records alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmark.plan.cells import PlannedCell
from benchmark.plan.request import Request
from benchmark.plan.resolve import Resolved
from benchmark.record import RunRecord
from benchmark.registry import METHODS
from benchmark.session import Session
from benchmark.spec import RunSpec, canonical_json

INSTALL = "drawn from stored runs: install its package to run it"


def absent_methods(session: Session, request: Request) -> tuple[str, ...]:
    """Return the methods of a request that are not installed here, but have stored runs."""
    unknown = {name for name in request.methods if name not in METHODS}
    held = (
        {record.spec.method for by_device in session.records.values() for record in by_device.values()}
        if unknown
        else set()
    )
    return tuple(name for name in request.methods if name in unknown & held)


def absent_cells(session: Session, methods: Sequence[str], cells: Sequence[PlannedCell]) -> Iterator[PlannedCell]:
    """Yield a cell for each stored guest and place of a table, places as `cells` of its own rows have them.

    Without the package nobody can say what the guest's specification here would be. It is that of the stored runs on
    the same data that were made for this paper, setting, reading and profile; of several, that with most runs.
    """
    places: dict[tuple[str, ...], list[PlannedCell]] = {}
    for cell in cells:
        places.setdefault((cell.column, cell.setting, cell.reading), []).append(cell)
    for method in methods:
        for rows in places.values():
            place = rows[0]
            data = [cell.resolved.spec.data for cell in rows if cell.resolved]  # rows may preprocess it differently
            made = (r for r in _records(session, method) if r.spec.data in data and _made_for(r, place))
            found = _most(made)
            if found is not None:
                own = "own-protocol" in found.context.setting.split(";")
                yield replace(
                    place,
                    row=method,
                    reference=False,
                    guest=True,
                    own_protocol=own,
                    reason="",
                    resolved=Resolved(found.spec.model_copy(update={"replicate": 0}), ()),
                )


def _records(session: Session, method: str) -> Iterator[RunRecord]:
    for by_device in session.records.values():
        yield from (record for record in by_device.values() if record.spec.method == method)


def _made_for(record: RunRecord, place: PlannedCell) -> bool:
    """Whether a record was made for a place of a table."""
    context, here = record.context, place.context
    labels = (here.setting, ";".join(part for part in (here.setting, "own-protocol") if part))
    same = (context.paper, context.profile, context.reading) == (here.paper, here.profile, here.reading)
    return same and context.setting in labels


def _most(records: Iterator[RunRecord]) -> RunRecord | None:
    """Return one of the records of the specification that has most, replicates aside."""
    groups: dict[str, list[RunRecord]] = {}
    for record in records:
        groups.setdefault(_apart_from_replicate(record.spec), []).append(record)
    return max(groups.values(), key=len)[0] if groups else None


def _apart_from_replicate(spec: RunSpec) -> str:
    return canonical_json(dict(spec.shared_parts))
