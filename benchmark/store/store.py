"""The store: all records there are, of this machine and tracked ones, and the way from the first to the second.

Below a results folder lie `runs/<run id>/`, written on this machine (`run_folders`), and `stored/<profile>/<paper>/`,
tracked (`tracked`). Tracked records also come with the package. A run id may have a record for each kind of machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from benchmark.errors import UserError
from benchmark.record import RunRecord
from benchmark.store.merge import Shelf, covers
from benchmark.store.possible import contradictions
from benchmark.store.rows import Key, Kind, device_order
from benchmark.store.run_files import MODEL, read_labels, read_state
from benchmark.store.run_folders import RunFolders
from benchmark.store.sums import changes
from benchmark.store.tracked import StoredFolder, stored_folders

if TYPE_CHECKING:
    import torch

_S = TypeVar("_S", bound=Shelf)


def shipped_rows() -> Path:
    """Return the folder of the tracked records that come with the suite."""
    return Path(__file__).resolve().parents[2] / "results" / "stored"


class Records(Mapping[str, RunRecord]):
    """Records by run id, each read when it is asked for."""

    def __init__(self, shelves: Mapping[str, tuple[Kind, Shelf]]) -> None:
        self._shelves = shelves

    def __getitem__(self, run_id: str) -> RunRecord:
        """Read the record of a run; KeyError where there is none."""
        kind, shelf = self._shelves[run_id]
        return shelf.record((run_id, kind))

    def __contains__(self, run_id: object) -> bool:
        """Return whether a run has a record, without reading it."""
        return run_id in self._shelves

    def __iter__(self) -> Iterator[str]:
        """Iterate over the run ids."""
        return iter(self._shelves)

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self._shelves)


class Store:
    """The records of the folder `results` and the tracked ones in `shipped`, by default those that come with the suite.

    Where a run id and kind of machine are held twice, the run folder comes before the tracked records of `results`, and
    these before the shipped. With `use_stored=False` there are the run folders only. A method that takes `device` may
    be given a whole `Kind`. None means the CPU where it has a record, else the first other device by name; of several
    kinds with a device the one that was there first, tracked ones before those of run folders.
    """

    def __init__(self, results: Path, *, shipped: Path | None = None, use_stored: bool = True) -> None:
        self.results = Path(results)
        self.shipped = shipped_rows() if shipped is None else Path(shipped)
        self._runs = RunFolders(self.results / "runs")
        self._roots = (self.results / "stored", self.shipped) if use_stored else ()

    @cached_property
    def _scanned(self) -> RunFolders:
        # Not in the constructor: a worker that only saves reads no folder.
        self._runs.scan()
        return self._runs

    @cached_property
    def _folders(self) -> list[StoredFolder]:
        return [folder for root in self._tracked_roots for folder in stored_folders(root)]

    @property
    def _tracked_roots(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(map(Path.resolve, self._roots)))

    @cached_property
    def _stored(self) -> dict[str, dict[Kind, Shelf]]:
        return _by_run(self._folders)

    def _shelves(self) -> dict[str, dict[Kind, Shelf]]:
        """Return where each run id and kind is, after a look for run folders that others have written."""
        self._runs.scan()
        local = _by_run([self._runs])
        return {run_id: self._stored.get(run_id, {}) | local.get(run_id, {}) for run_id in {**self._stored, **local}}

    def _find(self, run_id: str, device: Kind | str | None) -> tuple[Kind, Shelf] | None:
        local: dict[Kind, Shelf] = dict.fromkeys(self._scanned.kinds(run_id, device), self._runs)
        return _choose(self._stored.get(run_id, {}) | local, device)

    def ids(self) -> list[str]:
        """Return the ids of all runs with a record, sorted."""
        return sorted(self._shelves())

    def records(self, device: str | None = None) -> Mapping[str, RunRecord]:
        """Return the records of all runs, or those made on `device`, by run id in sorted order.

        Each is read when it is asked for; a damaged tracked file is then a UserError. A run folder that cannot be
        read counts as absent and is listed by `problems`.
        """
        chosen = {run_id: _choose(kinds, device) for run_id, kinds in sorted(self._shelves().items())}
        return Records({run_id: found for run_id, found in chosen.items() if found})

    def by_kind(self) -> dict[str, dict[Kind, RunRecord]]:
        """Return all records by run id and kind of machine, as they are now, kinds in the order of `kinds`."""
        return {
            run_id: {kind: shelves[kind].record((run_id, kind)) for kind in _ordered(shelves)}
            for run_id, shelves in sorted(self._shelves().items())
        }

    def get(self, run_id: str, device: Kind | str | None = None) -> RunRecord | None:
        """Return the record of a run, or None."""
        found = self._find(run_id, device)
        return found[1].record((run_id, found[0])) if found else None

    def devices(self, run_id: str) -> tuple[str, ...]:
        """Return the devices with a record of a run, the CPU first."""
        return tuple(dict.fromkeys(kind.device for kind in self.kinds(run_id)))

    def kinds(self, run_id: str) -> tuple[Kind, ...]:
        """Return the kinds of machines with a record of a run: the CPU's first, and of those with a device the first.

        Tracked ones were there before those of run folders.
        """
        return tuple(_ordered(dict.fromkeys((*self._stored.get(run_id, ()), *self._scanned.kinds(run_id)))))

    def local(self) -> list[Key]:
        """Return run id and kind of all records in run folders of this machine, as they are now."""
        self._runs.scan()
        return sorted(self._runs.held())

    def is_local(self, run_id: str, device: Kind | str | None = None) -> bool:
        """Return whether a record of a run is in a run folder of this machine."""
        return self._local(run_id, device) is not None

    def origin(self, run_id: str, device: Kind | str | None = None) -> Path:
        """Return the run folder or the runs.csv that holds the record of a run; UserError where there is none."""
        found = self._find(run_id, device)
        if found is None:
            raise UserError(f"there is no record of the run {run_id} in {self.results}: run it first.")
        return found[1].origin((run_id, found[0]))

    def _local(self, run_id: str, device: Kind | str | None) -> Path | None:
        found = _choose(dict.fromkeys(self._scanned.kinds(run_id, device), self._runs), device)
        return self._runs.origin((run_id, found[0])) if found else None

    def labels(self, run_id: str, device: Kind | str | None = None) -> np.ndarray | None:
        """Return the assignments of a run, (n,) integers; None where they are not on this machine."""
        folder = self._local(run_id, device)
        return read_labels(folder) if folder else None

    def state(self, run_id: str, device: Kind | str | None = None) -> dict[str, torch.Tensor] | None:
        """Return the weights of a run by name, on the CPU; None where they are not on this machine."""
        folder = self._local(run_id, device)
        return read_state(folder) if folder else None

    def has_state(self, run_id: str, device: Kind | str | None = None) -> bool:
        """Whether the weights of a run are on this machine, beside its record."""
        folder = self._local(run_id, device)
        return folder is not None and (folder / MODEL).exists()

    def save(
        self,
        record: RunRecord,
        labels: np.ndarray | None = None,
        state: Mapping[str, torch.Tensor] | None = None,
        *,
        replace: bool = False,
    ) -> bool:
        """Save a record in a run folder, with its assignments, (n,) integers, and its weights by name.

        The folder appears whole or not at all. Where the run has one of this kind, return False and change nothing,
        or with `replace` put the new one in its place.
        """
        return self._runs.save(record, labels, state, replace=replace)

    def merged(self) -> list[Path]:
        """Return the run folders of which a merge would take nothing: their numbers are all tracked."""
        self._runs.scan()
        return [
            self._runs.origin((run_id, kind))
            for run_id, kind in self._runs.held()
            if (shelf := self._stored.get(run_id, {}).get(kind)) is not None
            and covers(shelf.record((run_id, kind)), self._runs.record((run_id, kind)))
        ]

    def quarantine(self) -> list[str]:
        """Read every file of the run folders, set damaged folders aside, and return one sentence for each."""
        said = self._runs.quarantine(everything=True)
        self.__dict__.pop("_scanned", None)
        return said

    def verify(self) -> list[str]:
        """Return one sentence, with the mend, for each thing on disk that is damaged, after reading all of it."""
        tracked = [problem for folder in self._folders for problem in folder.problems(everything=True)]
        edited = [problem for root in self._tracked_roots for problem in changes(root)]
        local = [
            f"{self._runs.origin(key)} contradicts itself ({text}); delete it, and make the run again."
            for key in self.local()
            for text in contradictions(self._runs.record(key))
        ]
        return self._runs.damaged(everything=True) + local + tracked + edited

    def problems(self) -> list[str]:
        """Return one sentence, with the mend, for each thing on disk that should hold records and cannot be read."""
        self._runs.scan()
        return self._runs.problems() + [problem for folder in self._folders for problem in folder.problems()]


def _by_run(shelves: Iterable[Shelf]) -> dict[str, dict[Kind, Shelf]]:
    """Return by run id and kind the first shelf that holds it."""
    held: dict[str, dict[Kind, Shelf]] = {}
    for shelf in shelves:
        for run_id, kind in shelf.held():
            held.setdefault(run_id, {}).setdefault(kind, shelf)
    return held


def _choose(kinds: Mapping[Kind, _S], device: Kind | str | None) -> tuple[Kind, _S] | None:
    """Return the first kind that is asked for, or of the device asked for, with the shelf of its record."""
    for kind in _ordered(kinds):
        if device in (None, kind, kind.device):
            return kind, kinds[kind]
    return None


def _ordered(kinds: Iterable[Kind]) -> list[Kind]:
    """Return kinds, the CPU's first, then by the names of their devices; of equal ones in the order given."""
    return sorted(kinds, key=lambda kind: device_order(kind.device))
