"""Merging: records from several results folders into one tracked form, refusing numbers that contradict each other.

A run has at most one tracked record of each kind of machine (`Kind`): two kinds part by rounding, and that is no
contradiction. Two records of one kind must be equal in every number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmark.errors import UserError
from benchmark.files.locks import alone
from benchmark.record import Context, Evaluation, RunRecord
from benchmark.store.rows import Key, json_text, kind_of
from benchmark.store.run_files import RECORD
from benchmark.store.run_folders import RunFolders
from benchmark.store.sums import change_tracked
from benchmark.store.tracked import RUNS, StoredFolder, place, stored_files, stored_folders

Shelf = StoredFolder | RunFolders
"""What holds records by run id and kind of machine."""

Side = Literal["ours", "theirs"]

Found = tuple[RunRecord, Path]
"""A record and the file or folder that it comes from."""


@dataclass(frozen=True)
class Terms:
    """What becomes of records that contradict each other; without any, they are refused.

    With `keep` the one that was there first stays, and the other is left out. `prefer` says which of two stays: `ours`
    is the tracked one (of two sources, the earlier), `theirs` the other. The runs in `skip` are not taken at all.
    """

    keep: bool = False
    prefer: Side | None = None
    skip: Collection[str] = ()


@dataclass(frozen=True)
class MergeReport:
    """What a merge did to the tracked records.

    `total` is their number now; `added` and `replaced` are run ids with kinds of machines, `written` the files that
    changed, `problems` the run folders that were left out because they cannot be read. `left` says of records that
    contradict others why they were left out, and `several` are runs that two kinds of machines have made, of those
    added.
    """

    total: int
    added: tuple[Key, ...]
    replaced: tuple[Key, ...]
    written: tuple[Path, ...]
    problems: tuple[str, ...]
    left: tuple[str, ...] = ()
    several: tuple[str, ...] = ()

    def values(self) -> dict[str, Any]:
        """Return what was done as plain values for programs."""
        added, replaced = ([{"run_id": i, **k._asdict()} for i, k in keys] for keys in (self.added, self.replaced))
        files, problems = [str(path) for path in self.written], list(self.problems)
        return {"total": self.total, "added": added, "replaced": replaced, "written": files, "problems": problems}

    def __str__(self) -> str:
        """Return what was done as lines for people."""
        counts = f"{self.total} records are stored: {len(self.added)} added, {len(self.replaced)} replaced"
        written = [f"written: {path}" for path in self.written] or ["no file changed"]
        left = [f"left out: {text}" for text in (*self.problems, *self.left)]
        kinds = f"{len(self.several)} runs have records of several kinds of machines, which `explain` tells apart"
        return "\n".join((counts, *written, *left, *([kinds] if self.several else [])))


@dataclass
class _Merged:
    """Records by run and kind, as they are taken in one after another under some `terms`."""

    terms: Terms
    kept: dict[Key, Found] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    _contexts: dict[str, Context] = field(default_factory=dict)

    def take(self, shelves: Iterable[Shelf], skip: Collection[str] = ()) -> None:
        """Take in the records of `shelves`, but for the runs `skip`."""
        for shelf in shelves:
            for key in sorted(shelf.held()) if isinstance(shelf, RunFolders) else shelf.held():
                if key[0] not in skip:
                    self._offer(key, shelf.record(key), shelf.origin(key))

    def _offer(self, key: Key, record: RunRecord, origin: Path) -> None:
        context = self._contexts.setdefault(record.run_id, record.context)
        offered = (record.model_copy(update={"context": context}), origin)
        self.kept[key] = self._chosen(self.kept[key], offered) if key in self.kept else offered

    def _chosen(self, held: Found, offered: Found) -> Found:
        """Return the one of two records of one run and kind that stays."""
        text = contradiction(held, offered)
        if not text:
            return offered if _preferred(offered[0], held[0]) else held
        if self.terms.prefer == "theirs":
            return offered
        (self.left if self.terms.prefer or self.terms.keep else self.refused).append(text)
        return held


def merge(
    sources: Sequence[Path],
    target: Path,
    *,
    keep: bool = False,
    prefer: Side | None = None,
    skip: Collection[str] = (),
) -> MergeReport:
    """Write the records of all `sources` into the tracked form below `target`/stored.

    A source is a results folder, or its `runs` or `stored`. What `target` has comes first, then the sources in their
    order: a run keeps the context, and so the place, of its first record. Of two records of one run and kind of machine
    with equal numbers the first stays, unless the other holds more or is newer and comes from other code.

    Raises UserError, and writes nothing, where two records of one run and kind have different numbers: with `keep`
    the first stays, with `prefer` the one that is "ours" (tracked) or "theirs", and the runs `skip` of the sources are
    left out. UserError, too, where another process merges there.
    """
    with alone(Path(target), "merge"):
        return _merge(sources, Path(target) / "stored", Terms(keep, prefer, skip))


def _merge(sources: Sequence[Path], stored: Path, terms: Terms) -> MergeReport:
    tracked: list[Shelf] = [*stored_folders(stored)]
    both = _Merged(terms)
    both.take(tracked)
    before = dict(both.kept)
    places = dict.fromkeys(path.resolve() for source in sources for path in _places(Path(source)))
    shelves = [shelf for path in places if path != stored.resolve() for shelf in _shelves(path)]
    if unknown := sorted(set(terms.skip) - {key[0] for shelf in shelves for key in shelf.held()}):
        raise UserError(f"no source has the run {unknown[0]}, so that it cannot be skipped.")
    both.take(shelves, terms.skip)
    _refuse(both.refused)
    folders: dict[Path, list[RunRecord]] = {shelf.path: [] for shelf in tracked}
    for record, _ in both.kept.values():
        folders.setdefault(stored / place(record.context), []).append(record)
    files = {folder / name: data for folder, records in folders.items() for name, data in stored_files(records).items()}
    added = both.kept.keys() - before.keys()
    return MergeReport(
        total=len(both.kept),
        added=tuple(sorted(added)),
        replaced=tuple(sorted(key for key in before if before[key][0] != both.kept[key][0])),
        written=change_tracked(stored, files),
        problems=tuple(problem for shelf in shelves if isinstance(shelf, RunFolders) for problem in shelf.problems()),
        left=tuple(both.left),
        several=tuple(sorted(_several(both.kept) & {run_id for run_id, _ in added})),
    )


def _several(keys: Iterable[Key]) -> set[str]:
    """Return the runs that several kinds of machines with one device have made."""
    counts = Counter((run_id, kind.device) for run_id, kind in keys)
    return {run_id for (run_id, _), count in counts.items() if count > 1}


def _refuse(contradictions: Sequence[str]) -> None:
    if contradictions:
        first, *others = contradictions
        more = f" {len(others)} other runs contradict too." if others else ""
        raise UserError(
            f"{first}.{more} Nothing was written: --keep leaves what is stored, --skip RUN leaves a run out, "
            "--replace --prefer ours|theirs says which stays."
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


def contradiction(held: Found, offered: Found) -> str:
    """Return in which number two records of one run and kind differ, naming both; "" where they agree."""
    (old, here), (new, there) = held, offered
    difference = _difference(old, new)
    if difference is None:
        return ""
    what, was, is_now = difference
    return (
        f"run {old.run_id} on {kind_of(old)} has {what} {was} in {here} ({_made(old)}) but {is_now} in {there} "
        f"({_made(new)})"
    )


def _made(record: RunRecord) -> str:
    """Return of which code and date a record is."""
    return f"code {record.code_digest or 'unknown'}, {_date(record) or 'no date'}"


def covers(tracked: RunRecord, record: RunRecord) -> bool:
    """Say whether a merge of a record of the same run and kind would change nothing, and refuse nothing."""
    return _difference(tracked, record) is None and not _preferred(record, tracked)


def _preferred(new: RunRecord, old: RunRecord) -> bool:
    """Whether a record takes the place of one with the same numbers: the richer does, else the newer of other code."""
    if _measured(old) != _measured(new):
        return _measured(new) > _measured(old)
    return old.code_digest != new.code_digest and _date(new) > _date(old)


def _difference(old: RunRecord, new: RunRecord) -> tuple[str, str, str] | None:
    """Return name and both values of the first number that differs, or None; nan equals nan."""
    for (name, was), (_, is_now) in zip(_numbers(old, new), _numbers(new, old), strict=True):
        texts = json_text(was), json_text(is_now)
        if texts[0] != texts[1]:
            return name, *texts
    return None


def _numbers(record: RunRecord, other: RunRecord) -> Iterator[tuple[str, Any]]:
    """Yield name and value of every number of a record, in the order of those of the `other` in its turn.

    Seconds, memory and who made it are none. What only one of the two histories has of observers is no contradiction.
    """
    yield "status", record.status
    yield "loss", record.loss
    for name in sorted({*record.metrics, *other.metrics}):
        yield name, record.metrics.get(name)
    yield "first losses", record.first_losses
    yield "final loss", record.final_loss
    for name in sorted({*record.losses, *other.losses}):
        yield f"loss term {name}", record.losses.get(name)
    yield "epochs", record.epochs
    yield "steps", record.steps
    yield "samples", record.n_samples
    yield "evaluations", len(record.history)
    if len(record.history) == len(other.history):
        for number, (mine, its) in enumerate(zip(record.history, other.history, strict=True), start=1):
            yield f"evaluation {number}", _evaluated(mine, its)


def _evaluated(evaluation: Evaluation, other: Evaluation) -> dict[str, Any]:
    both = evaluation.metrics.keys() & other.metrics.keys()
    return evaluation.model_dump() | {"metrics": {name: evaluation.metrics[name] for name in both}}


def _measured(record: RunRecord) -> int:
    """Return how many numbers the history holds: a record made with observers has more than one without."""
    return sum(len(evaluation.metrics) for evaluation in record.history)


def _date(record: RunRecord) -> str:
    return str(record.environment.get("date", ""))
