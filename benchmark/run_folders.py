"""Records of this machine: one folder for each run, whole or not there at all.

A folder is written under another name, synced to disk and then renamed, so that a writer that dies leaves no half run.
It holds `record.json`, `history.csv`, and where they were saved `labels.npz` and `model.safetensors`.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from benchmark.record import RunRecord
from benchmark.registry import UserError
from benchmark.rows import EVALUATION_COLUMNS, Key, csv_bytes, device_of, evaluation_cells, evaluation_of, strict
from benchmark.stored import write_synced

if TYPE_CHECKING:
    import torch

RECORD, HISTORY, LABELS, MODEL = "record.json", "history.csv", "labels.npz", "model.safetensors"

_NAME = re.compile(r"[0-9a-f]{16}(\.[a-z0-9-]+)?")
_DRAFT, _BROKEN = ".writing-", ".broken-"
# A folder takes seconds to write. Age, unlike a process id, means the same on every machine that shares the disk.
_DEAD_AFTER_SECONDS = 3600


class RunFolders:
    """The run folders below `path`. A folder that cannot be read counts as absent and is listed by `problems`.

    A run has the folder of its id; where another device holds that, the name of its own device is appended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: dict[str, RunRecord] = {}
        self._places: dict[str, dict[str, str]] = {}
        self._broken: dict[str, str] = {}
        self._cleaned = False

    def scan(self) -> None:
        """Read the folders that are new since the last scan, and forget those that are gone."""
        names = {entry.name for entry in os.scandir(self.path)} if self.path.is_dir() else set()
        known = {name: record for name, record in self._read.items() if name in names}
        self._read, self._places, self._broken = {}, {}, {}
        for name in sorted(names):
            if name in known:
                self._take(name, known[name])
            elif name.startswith(_BROKEN):
                self._broken[name] = f"{self.path / name} could not be read and was set aside; delete it."
            elif _NAME.fullmatch(name):
                self._look(name)

    def _look(self, name: str) -> RunRecord | None:
        """Read the folder `name`; None where it is damaged."""
        try:
            record = read_run(self.path / name)
        except UserError as error:
            self._broken[name] = str(error)
            return None
        self._take(name, record)
        return record

    def _take(self, name: str, record: RunRecord) -> None:
        self._broken.pop(name, None)
        self._read[name] = record
        self._places.setdefault(record.run_id, {}).setdefault(device_of(record), name)

    def held(self) -> Iterator[Key]:
        """Yield the keys of all records that were read."""
        for run_id, devices in self._places.items():
            for device in devices:
                yield (run_id, device)

    def devices(self, run_id: str, device: str | None = None) -> list[str]:
        """Return the devices with a record of `run_id`, after a look for folders written since the last scan.

        A folder of yet another device than `device` is seen at the next scan.
        """
        for name in _names((run_id, device or "cpu")):
            if name not in self._read and name not in self._broken and (self.path / name).is_dir():
                self._look(name)
        return list(self._places.get(run_id, ()))

    def record(self, key: Key) -> RunRecord:
        """Return the record of `key`; KeyError where there is none."""
        return self._read[self._places[key[0]][key[1]]]

    def origin(self, key: Key) -> Path:
        """Return the folder of `key`; KeyError where there is none."""
        return self.path / self._places[key[0]][key[1]]

    def problems(self) -> list[str]:
        """Return one sentence for each folder that could not be read in the last scan."""
        return [self._broken[name] for name in sorted(self._broken)]

    def save(
        self,
        record: RunRecord,
        labels: np.ndarray | None = None,
        state: Mapping[str, torch.Tensor] | None = None,
        *,
        replace: bool = False,
    ) -> bool:
        """Write the folder of `record`; return False where a record of its run and device is there already.

        `labels` are the assignments, (n,) integers; `state` the weights by name. With `replace`, a record that is there
        gives way.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._clean()
        draft = self.path / f"{_DRAFT}{uuid.uuid4().hex}"
        try:
            write_run(draft, record, labels, state)
            for name in _names((record.run_id, device_of(record))):
                held = self._claim(draft, name)
                if held is not None and replace and device_of(held) == device_of(record):
                    self._discard(name)
                    held = self._claim(draft, name)
                if held is None or device_of(held) == device_of(record):
                    return held is None
            return False
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _claim(self, draft: Path, name: str) -> RunRecord | None:
        """Rename `draft` to `name`, or return the record that is there; one that cannot be read is set aside."""
        target = self.path / name
        while True:
            try:
                os.rename(draft, target)
            except OSError:
                if not target.exists():
                    raise
                if held := self._look(name):
                    return held
                os.rename(target, self.path / f"{_BROKEN}{name}-{uuid.uuid4().hex[:8]}")
            else:
                _sync_folder(self.path)
                self._look(name)
                return None

    def _discard(self, name: str) -> None:
        """Take the folder `name` away: renamed first, so that it never stands there in part."""
        gone = self.path / f"{_DRAFT}{uuid.uuid4().hex}"
        os.rename(self.path / name, gone)
        shutil.rmtree(gone)
        self._read.pop(name, None)

    def _clean(self) -> None:
        """Remove, once, what writers that died long ago left behind."""
        if self._cleaned:
            return
        self._cleaned = True
        for draft in self.path.glob(f"{_DRAFT}*"):
            try:
                dead = time.time() - draft.stat().st_mtime > _DEAD_AFTER_SECONDS
            except FileNotFoundError:
                continue
            if dead:
                shutil.rmtree(draft, ignore_errors=True)


def _names(key: Key) -> tuple[str, str]:
    run_id, device = key
    return run_id, f"{run_id}.{re.sub(r'[^a-z0-9]+', '-', device.lower()).strip('-') or 'other'}"


def write_run(
    folder: Path, record: RunRecord, labels: np.ndarray | None, state: Mapping[str, torch.Tensor] | None
) -> None:
    """Create `folder` with the files of a run, synced to disk."""
    if record.run_id != record.spec.run_id:
        raise ValueError(f"the record is named {record.run_id}, but its spec has the run id {record.spec.run_id}")
    folder.mkdir()
    plain = record.model_dump(exclude={"history", "spec"})
    plain |= {"spec": record.spec.canonical(), "evaluations": len(record.history)}
    write_synced(folder / RECORD, json.dumps(strict(plain), indent=1, allow_nan=False).encode())
    write_synced(folder / HISTORY, csv_bytes(EVALUATION_COLUMNS, map(evaluation_cells, record.history)))
    if labels is not None:
        whole = np.asarray(labels)
        if whole.dtype.kind not in "iu" or whole.ndim != 1:
            raise ValueError(f"labels are (n,) integers, not {whole.shape} {whole.dtype}")
        packed = io.BytesIO()
        np.savez_compressed(packed, labels=whole)
        write_synced(folder / LABELS, packed.getvalue())
    if state is not None:
        from safetensors.torch import save

        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        write_synced(folder / MODEL, save(contiguous))
    _sync_folder(folder)


def read_run(folder: Path) -> RunRecord:
    """Return the record in `folder`; UserError where it is not whole or is not the run that the folder names."""
    try:
        plain = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        with (folder / HISTORY).open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        if tuple(header) != EVALUATION_COLUMNS or len(rows) != plain.pop("evaluations"):
            raise ValueError(f"{HISTORY} is not whole")
        record = RunRecord.model_validate({**plain, "history": tuple(map(evaluation_of, rows))})
        if not folder.name[:16] == record.run_id == record.spec.run_id:
            raise ValueError(f"it holds the record {record.run_id} of a spec with the run id {record.spec.run_id}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise UserError(f"{folder} cannot be read ({' '.join(str(error).split())[:200]}); delete it.") from None
    return record


def read_labels(folder: Path) -> np.ndarray | None:
    """Return the assignments saved in `folder`, (n,) integers, or None."""
    file = folder / LABELS
    if not file.exists():
        return None
    try:
        with file.open("rb") as packed, np.load(packed, allow_pickle=False) as arrays:
            return np.asarray(arrays["labels"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise UserError(f"{file} cannot be read ({error}); delete its folder.") from None


def read_state(folder: Path) -> dict[str, torch.Tensor] | None:
    """Return the weights saved in `folder`, by name, on the CPU, or None."""
    # torch takes seconds to import, and tables need no weights.
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = folder / MODEL
    if not file.exists():
        return None
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file} cannot be read ({error}); delete its folder.") from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
