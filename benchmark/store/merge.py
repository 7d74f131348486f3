"""Merging: records from several results folders into one tracked form, refusing numbers that contradict each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.files.locks import alone
from benchmark.files.writing import write_changed
from benchmark.record import Context, RunRecord
from benchmark.store.rows import Key, device_of, json_text
from benchmark.store.run_files import RECORD
from benchmark.store.run_folders import RunFolders
from benchmark.store.tracked import RUNS, StoredFolder, place, stored_files, stored_folders

Shelf = StoredFolder | RunFolders
"""What holds records by run id and device."""


@dataclass(frozen=True)
class MergeReport:
    """What a merge did to the tracked records.

    `total` is their number now; `added` and `replaced` are run ids with devices, `written` the files that changed, and
    `problems` the run folders that were left out because they cannot be read.
    """

    total: int
    added: tuple[Key, ...]
    replaced: tuple[Key, ...]
    written: tuple[Path, ...]
    problems: tuple[str, ...]

    def values(self) -> dict[str, Any]:
        """Return what was done as plain values for programs."""
        added, replaced = ([{"run_id": i, "device": d} for i, d in keys] for keys in (self.added, self.replaced))
        files, problems = [str(path) for path in self.written], list(self.problems)
        return {"total": self.total, "added": added, "replaced": replaced, "written": files, "problems": problems}

    def __str__(self) -> str:
        """Return what was done as lines for people."""
        counts = f"{self.total} records are stored: {len(self.added)} added, {len(self.replaced)} replaced"
        written = [f"written: {path}" for path in self.written] or ["no file changed"]
        return "\n".join((counts, *written, *(f"left out: {problem}" for problem in self.problems)))


def merge(sources: Sequence[Path], target: Path, *, replace: bool = False) -> MergeReport:
    """Write the records of all `sources` into the tracked form below `target`/stored.

    A source is a results folder, or its `runs` or `stored`. What `target` has comes first, then the sources in their
    order: a run keeps the context, and so the place, of its first record. Of two records with equal numbers the first
    stays, unless the other is newer and comes from other code.

    Raises UserError, and writes nothing, where a run has different numbers on one device; with `replace`, the newer
    takes the place of the older if they come from different code. UserError, too, where another process merges there.
    """
    with alone(Path(target), "merge"):
        return _merge(sources, target, replace)


def _merge(sources: Sequence[Path], target: Path, replace: bool) -> MergeReport:
    stored = Path(target) / "stored"
    tracked: list[Shelf] = [*stored_folders(stored)]
    before = _merged(tracked, replace)
    places = dict.fromkeys(path.resolve() for source in sources for path in _places(Path(source)))
    shelves = [shelf for path in places if path != stored.resolve() for shelf in _shelves(path)]
    after = _merged([*tracked, *shelves], replace)
    folders: dict[Path, list[RunRecord]] = {shelf.path: [] for shelf in tracked}
    for record, _ in after.values():
        folders.setdefault(stored / place(record.context), []).append(record)
    files = {folder / name: data for folder, records in folders.items() for name, data in stored_files(records).items()}
    return MergeReport(
        total=len(after),
        added=tuple(sorted(after.keys() - before.keys())),
        replaced=tuple(sorted(key for key in before if before[key][0] != after[key][0])),
        written=write_changed(files),
        problems=tuple(problem for shelf in shelves if isinstance(shelf, RunFolders) for problem in shelf.problems()),
    )


def _places(source: Path) -> list[Path]:
    """Return the folders of a source that hold records, tracked ones first; UserError where it cannot hold any."""
    tracked = [path for path in (source / "stored", source) if any(path.glob(f"*/*/{RUNS}"))]
    local = [path for path in (source / "runs", source) if any(path.glob(f"*/{RECORD}"))]
    empty = source.is_dir() and (
        source.name in ("stored", "runs") or any((source / n).is_dir() for n in ("stored", "runs"))
    )
    if not (tracked or local or empty):
        raise UserError(f"{source} holds no records: name a results folder, or its 'runs' or 'stored'.")
    return tracked + local


def _shelves(path: Path) -> list[Shelf]:
    runs = RunFolders(path)
    runs.scan()
    return [*stored_folders(path), runs]


def _merged(shelves: Iterable[Shelf], replace: bool) -> dict[Key, tuple[RunRecord, Path]]:
    kept: dict[Key, tuple[RunRecord, Path]] = {}
    contexts: dict[str, Context] = {}
    for shelf in shelves:
        for key in sorted(shelf.held()):
            record, origin = shelf.record(key), shelf.origin(key)
            context = contexts.setdefault(record.run_id, record.context)
            offered = (record.model_copy(update={"context": context}), origin)
            kept[key] = _chosen(kept[key], offered, replace) if key in kept else offered
    return kept


def _chosen(held: tuple[RunRecord, Path], offered: tuple[RunRecord, Path], replace: bool) -> tuple[RunRecord, Path]:
    """Return the one of two records of one run and device that stays; UserError where they contradict each other."""
    old, new = held[0], offered[0]
    other_code = old.code_digest != new.code_digest
    difference = _difference(old, new)
    if difference and not (replace and other_code):
        what, was, is_now = difference
        mend = "merge with --replace to keep the newer" if other_code else "delete the one that is wrong"
        raise UserError(
            f"run {old.run_id} on {device_of(old)} has {what} {was} in {held[1]} but {is_now} in {offered[1]}; {mend}."
        )
    return offered if _preferred(new, old) else held


def covers(tracked: RunRecord, record: RunRecord) -> bool:
    """Say whether a merge of a record of the same run and device would change nothing, and refuse nothing."""
    return _difference(tracked, record) is None and not _preferred(record, tracked)


def _preferred(new: RunRecord, old: RunRecord) -> bool:
    """Whether a record takes the place of one with the same numbers: from other code the newer, else the richer."""
    if old.code_digest != new.code_digest:
        return _date(new) > _date(old)
    return _measured(new) > _measured(old)


def _difference(old: RunRecord, new: RunRecord) -> tuple[str, str, str] | None:
    """Return name and both values of the first number that differs, or None; nan equals nan."""
    before, after = _numbers(old), _numbers(new)
    for name in {**before, **after}:
        was, is_now = json_text(before.get(name)), json_text(after.get(name))
        if was != is_now:
            return name, was, is_now
    return None


def _numbers(record: RunRecord) -> dict[str, Any]:
    return {"status": record.status, "loss": record.loss, **record.metrics, "first losses": record.first_losses}


def _measured(record: RunRecord) -> int:
    """Return how many numbers the history holds: a record made with observers has more than one without."""
    return sum(len(evaluation.metrics) for evaluation in record.history)


def _date(record: RunRecord) -> str:
    return str(record.environment.get("date", ""))
