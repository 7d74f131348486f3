"""Data and results: what is found where, what is damaged, stale or contradicts itself, and who is at which run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmark.diagnosis.finding import Finding
from benchmark.errors import UserError
from benchmark.execution.checkpoints import damaged_checkpoints
from benchmark.files.locks import CLAIMS, Claims
from benchmark.files.owners import alive
from benchmark.files.quarantine import quarantined
from benchmark.registry import DATASETS
from benchmark.session import Session
from benchmark.store.merge import contradiction
from benchmark.store.sums import changes
from benchmark.store.tracked import stored_folders

MERGE = "python -m benchmark results merge names both and says which can stay"


def data(data_dir: Path | None) -> Iterator[Finding]:
    """Yield where data sets are looked for, and how each is; what is damaged blocks its runs."""
    named = os.environ.get("RECLUST_DATA")
    if named and not Path(named).expanduser().is_dir():
        what = f"RECLUST_DATA names {named}, where no folder is"
        yield Finding("data", "RECLUST_DATA", "blocks", what, "make the folder, or unset the variable")
    elif data_dir is None and not named:
        mend = "export RECLUST_DATA=DIR, or download: python -m benchmark data fetch NAME"
        yield Finding("data", "RECLUST_DATA", "note", "not set: only downloads and embedded data are found", mend)
    for name in DATASETS:
        try:
            found = DATASETS[name].status(data_dir)
        except UserError as error:
            yield Finding("data", name, "blocks", str(error))
            continue
        if found.state == "ready":
            yield Finding("data", name, "fine", found.detail)
        elif found.state == "missing":
            yield Finding("data", name, "note", found.detail)
        else:
            mend = f"python -m benchmark data verify {name} says more; replace the files"
            yield Finding("data", name, "blocks", found.detail, mend)


def results(session: Session) -> Iterator[Finding]:
    """Yield how a results folder is: damage, edits, contradictions, stale records, claims, what is set aside."""
    store = session.store
    tracked = [folder for root in _tracked(session) for folder in stored_folders(root)]
    unreadable = [problem for folder in tracked for problem in folder.problems()]
    yield from (Finding("results", "tracked rows", "blocks", problem) for problem in unreadable)
    for root in _tracked(session):
        yield from (Finding("results", "tracked rows", "note", change) for change in changes(root))
    for problem in set(store.problems()) - set(unreadable):
        yield Finding("results", "run", "note", problem, "the next `run` sets it aside and makes it again")
    for path, reason in damaged_checkpoints(session.results):
        yield Finding("results", "checkpoint", "note", f"{path}: {reason}", "the next `run` does without it")
    if not unreadable:
        yield from _records(session)
    yield from claims(session.results)
    if aside := quarantined(session.results):
        what = f"{len(aside)} things were damaged and set aside in {session.results / 'quarantine'}"
        yield Finding("results", "quarantine", "note", what, "look, then python -m benchmark results prune")


def _tracked(session: Session) -> tuple[Path, ...]:
    return tuple(dict.fromkeys((session.store.shipped.resolve(), (session.results / "stored").resolve())))


def _records(session: Session) -> Iterator[Finding]:
    """Yield how many records there are, how many of them are stale, and those that contradict tracked ones."""
    held = [record for by_kind in session.records.values() for record in by_kind.values()]
    states = Counter(record.status for record in held)
    shown = ", ".join(f"{count} {status}" for status, count in sorted(states.items())) or "none yet"
    yield Finding("results", "records", "fine", shown)
    if wrong := sum(states[status] for status in ("failed", "diverged")):
        yield Finding("results", "went wrong", "note", f"{wrong} runs", "python -m benchmark status lists them")
    if stale := sum(map(session.stale, held)):
        mend = "python -m benchmark results renew proves equal numbers; run --stale rerun makes them again"
        yield Finding("results", "stale", "note", f"{stale} records were made by other code than today's", mend)
    for run_id, kind in session.store.local():
        mine, rows = session.store.get(run_id, kind), session.tracked.get(run_id, {}).get(kind)
        where = session.store.origin(run_id, kind)
        if mine is None or rows is None:
            continue
        if text := contradiction((rows, session.store.shipped), (mine, where)):
            yield Finding("results", "conflict", "note", text, MERGE)


def claims(folder: Path) -> Iterator[Finding]:
    """Yield the claims on runs of a results folder: whose each is, and whether its owner still lives."""
    known = Claims(folder)
    for path in sorted((folder / CLAIMS).glob("*")):
        if path.name.startswith("."):
            continue
        holder = known.holder(path.name) or "nobody that can be read"
        try:
            living = alive(path.read_text(encoding="utf-8", errors="replace").partition(" ")[0])
        except OSError:
            living = None
        if living:
            yield Finding("results", "claim", "fine", f"{holder} is at run {path.name}")
        elif living is None:
            mend = "none while it runs; a minute after it is gone the next `run` takes the run over"
            yield Finding("results", "claim", "note", f"{holder} has claimed run {path.name}", mend)
        else:
            mend = "none: the next `run` takes it over"
            yield Finding("results", "claim", "note", f"{holder}, which is gone, had claimed run {path.name}", mend)
