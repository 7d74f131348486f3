"""Records of this machine: one folder for each run, whole or not there at all.

A folder is written under another name, synced to disk and then renamed, so that a writer that dies leaves no half run,
and one that replaces a record loses neither the old nor the new.
It holds `record.json`, `history.csv`, where they were saved `labels.npz` and `model.safetensors`, and `seal.json` with
size and digest of each of these (folders of before there were seals have none). What is damaged is found by them.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.errors import UserError
from benchmark.files.owners import dead_drafts, draft
from benchmark.files.quarantine import set_aside
from benchmark.files.writing import sync_folder
from benchmark.record import RunRecord
from benchmark.store.rows import Key, Kind, kind_of
from benchmark.store.run_files import SEAL, Damaged, check_seal, parsed, read_run, record_stamp, write_run

if TYPE_CHECKING:
    import torch

_NAME = re.compile(r"[0-9a-f]{16}(\.[a-z0-9-]+)?")
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY)


class RunFolders:
    """The run folders below `path`. A folder that cannot be read counts as absent and is listed by `problems`.

    A run has the folder of its id; where another kind of machine holds that, the name of its own device is appended,
    and where that is held too, the name of its kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: dict[str, RunRecord] = {}
        self._stamps: dict[str, tuple[int, int] | None] = {}
        self._places: dict[str, dict[Kind, str]] = {}
        self._broken: dict[str, UserError] = {}
        self._cleaned = False

    def scan(self) -> None:
        """Read the folders that are new or were replaced since the last scan, and forget those that are gone."""
        names = {entry.name for entry in os.scandir(self.path)} if self.path.is_dir() else set()
        known = {name: record for name, record in self._read.items() if name in names}
        self._read, self._places, self._broken = {}, {}, {}
        for name in sorted(names):
            if name in known and self._stamps.get(name) == record_stamp(self.path / name):
                self._take(name, known[name])
            elif _NAME.fullmatch(name):
                self._look(name)

    def _look(self, name: str) -> RunRecord | None:
        """Read the folder `name`; None where it is damaged or the disk does not give it."""
        stamp = record_stamp(self.path / name)
        try:
            record = read_run(self.path / name)
        except UserError as error:
            self._broken[name] = error
            return None
        self._stamps[name] = stamp
        self._take(name, record)
        return record

    def _take(self, name: str, record: RunRecord) -> None:
        self._broken.pop(name, None)
        self._read[name] = record
        self._places.setdefault(record.run_id, {}).setdefault(kind_of(record), name)

    def held(self) -> Iterator[Key]:
        """Yield the keys of all records that were read."""
        for run_id, kinds in self._places.items():
            for kind in kinds:
                yield (run_id, kind)

    def kinds(self, run_id: str, *likely: Kind | str | None) -> list[Kind]:
        """Return the kinds with a record of `run_id`, after a look for folders written since the last scan.

        A folder of yet another kind or device than the `likely` ones is seen at the next scan.
        """
        for name in dict.fromkeys(name for kind in (likely or ("cpu",)) for name in run_names(run_id, kind or "cpu")):
            if name not in self._read and name not in self._broken and (self.path / name).is_dir():
                self._look(name)
        return list(self._places.get(run_id, ()))

    def of_device(self, run_id: str, kind: Kind) -> Key | None:
        """Return the key of the record of a run of one kind, or else of any with its device; None where none is."""
        held = self.kinds(run_id, kind)
        found = [kind] if kind in held else [other for other in held if other.device == kind.device]
        return (run_id, found[0]) if found else None

    def record(self, key: Key) -> RunRecord:
        """Return the record of `key`; KeyError where there is none."""
        return self._read[self._places[key[0]][key[1]]]

    def origin(self, key: Key) -> Path:
        """Return the folder of `key`; KeyError where there is none."""
        return self.path / self._places[key[0]][key[1]]

    def problems(self) -> list[str]:
        """Return one sentence for each folder that could not be read in the last scan."""
        return [str(self._broken[name]) for name in sorted(self._broken)]

    def save(
        self,
        record: RunRecord,
        labels: np.ndarray | None = None,
        state: Mapping[str, torch.Tensor] | None = None,
        *,
        replace: bool = False,
    ) -> bool:
        """Write the folder of `record`; return False where a record of its run and kind is there already.

        `labels` are the assignments, (n,) integers; `state` the weights by name. With `replace`, a record that is there
        gives way.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._clean()
        written = draft(self.path)
        try:
            write_run(written, record, labels, state)
            return self._place(written, record, replace)
        finally:
            shutil.rmtree(written, ignore_errors=True)

    def damaged(self, *, everything: bool = False) -> list[str]:
        """Return one sentence for each folder that is damaged; with `everything`, all files of all are read."""
        self.scan()
        for name in list(self._read) if everything else ():
            try:
                check_seal(self.path / name)
            except UserError as error:
                self._broken[name] = error
        return self.problems()

    def quarantine(self, *, everything: bool = False) -> list[str]:
        """Set the `damaged` folders aside and return one sentence for each, also for what the disk does not give."""
        self.damaged(everything=everything)
        said = []
        for name, error in sorted(self._broken.items()):
            if not isinstance(error, Damaged):
                said.append(str(error))
            elif place := self._set_aside(name):
                said.append(f"{self.path / name} was damaged and is now in {place}; the run is made again.")
        self.scan()
        return said

    def _set_aside(self, name: str) -> Path | None:
        """Move a folder to quarantine, unless it is whole by now, as another command may have replaced it."""
        try:
            check_seal(self.path / name)
            read_run(self.path / name)
        except Damaged as error:
            return set_aside(self.path.parent, self.path / name, str(error))
        except UserError:
            return None
        return None

    def _place(self, written: Path, record: RunRecord, replace: bool) -> bool:
        """Rename `written`, which holds `record`, to the first of its names that is free; False where it is stored."""
        kind = kind_of(record)
        for name in run_names(record.run_id, kind):
            held = self._claim(written, name)
            if held is not None and replace and kind_of(held) == kind:
                held = self._replace(written, name)
            if held is None or kind_of(held) == kind:
                return held is None
        raise UserError(
            f"the record of run {record.run_id} on {kind} was not stored: records of other machines hold all of its "
            f"names in {self.path}; merge them, and give the command again."
        )

    def _claim(self, written: Path, name: str) -> RunRecord | None:
        """Rename `written` to `name`, or return the record that is there; one that is damaged is set aside."""
        target = self.path / name
        while True:
            try:
                os.rename(written, target)
            except OSError as error:
                if error.errno not in _TAKEN and not target.exists():
                    raise
                if held := self._look(name):
                    return held
                if isinstance(broken := self._broken.get(name), Damaged):
                    self._set_aside(name)
                elif broken and target.exists():
                    raise broken from None
            else:
                sync_folder(self.path)
                self._look(name)
                return None

    def _replace(self, written: Path, name: str) -> RunRecord | None:
        """Put `written` in the place of the folder `name`; return the record that another put there meanwhile, if any.

        The old one goes when the new one has its place, and has its own again where that fails.
        """
        target, old = self.path / name, draft(self.path)
        with contextlib.suppress(FileNotFoundError):
            os.rename(target, old)
        try:
            return self._claim(written, name)
        except BaseException:
            with contextlib.suppress(OSError):
                os.rename(old, target)
            raise
        finally:
            shutil.rmtree(old, ignore_errors=True)

    def _clean(self) -> None:
        """Put in place, once, what writers that died left whole, the newest first, and remove the rest."""
        if self._cleaned:
            return
        self._cleaned = True
        for left in sorted(dead_drafts(self.path), key=lambda left: record_stamp(left) or (0, 0), reverse=True):
            with contextlib.suppress(UserError, OSError):
                if (left / SEAL).exists():
                    check_seal(left)
                    self._place(left, parsed(left), replace=False)
            shutil.rmtree(left, ignore_errors=True)


def run_names(run_id: str, kind: Kind | str) -> tuple[str, ...]:
    """Return the names that the folder of a run of a kind, or on a device, may have, each where no other holds it."""
    named = [part for part in ((kind,) if isinstance(kind, str) else kind) if part]
    plain = [re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") or "other" for part in named]
    digest = hashlib.sha256("\n".join(named).encode()).hexdigest()[:8]
    return run_id, *(f"{run_id}.{part}" for part in (*plain, f"{plain[0]}-{digest}"))
