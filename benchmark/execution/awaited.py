"""Runs whose weights are still wanted: others have to start from them, and are not stored yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmark.papers.protocol import PROFILES, READINGS
from benchmark.plan.cells import plan_cells
from benchmark.plan.lineage import parent_of
from benchmark.plan.request import Request
from benchmark.record import RunRecord
from benchmark.registry import METHODS
from benchmark.spec import RunSpec
from benchmark.store.renewals import cell_id
from benchmark.store.run_files import MODEL
from benchmark.store.store import Store


def without_waiting(store: Store, folders: Iterable[Path]) -> list[Path]:
    """Return those run `folders` without weights, or from whose weights every run that is known to need them started.

    Known are the runs of all tables, and those that started from another replicate of the same pre-training. Where no
    run has started from it yet, a folder with weights is left out.
    """
    found = list(folders)
    if not any((folder / MODEL).exists() for folder in found):
        return found
    held = {folder: store.get(folder.name[:16]) for folder in found}
    children = _children(store)
    wanted = set(_planned(store))
    return [folder for folder in found if not (folder / MODEL).exists() or _is_done(held[folder], children, wanted)]


Children = dict[str, dict[str, set[int]]]
"""By cell of the parent and cell of the child, the replicates that are stored."""


def _is_done(parent: RunRecord | None, children: Children, wanted: set[str]) -> bool:
    if parent is None or parent.run_id in wanted:
        return False
    started = children.get(cell_id(parent.spec), {})
    return bool(started) and all(parent.spec.replicate in replicates for replicates in started.values())


def _children(store: Store) -> Children:
    found: Children = {}
    for record in store.records().values():
        parent = _parent(record.spec)
        if parent is not None:
            cells = found.setdefault(cell_id(parent), {})
            cells.setdefault(cell_id(record.spec), set()).add(record.spec.replicate)
    return found


def _planned(store: Store) -> Iterator[str]:
    """Yield the ids of the runs from which a run of a table has still to start."""
    stored = set(store.ids())
    for profile in PROFILES:
        for cell in plan_cells(Request(profile, readings=READINGS)):
            parent = _parent(cell.specs[0]) if cell.specs else None
            for spec in cell.specs if parent else ():
                if parent is not None and spec.run_id not in stored:
                    yield parent.model_copy(update={"replicate": spec.replicate}).run_id


def _parent(spec: RunSpec) -> RunSpec | None:
    """Return the spec of the run that one starts from; None of a method that is not here."""
    return parent_of(spec) if spec.method in METHODS else None
