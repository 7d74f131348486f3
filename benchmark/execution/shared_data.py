"""Prepared data, once in the memory of a machine: written to a file by the first worker, mapped by all.

The folder lives as long as the command that made it. Its owner is in its name, so that the next command on the machine
removes what a killed one left.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.data.prepared import load_prepared
from benchmark.files.owners import alive, this_process
from benchmark.registry import DATASETS, LoadedData
from benchmark.spec import RunSpec, canonical_json

_HEAD = "reclust-data-"
_UNUSED_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True)
class Mapped:
    """Prepared data whose samples `x` (n, ...) are mapped from a file; what is written into them stays private.

    `lengths` (n,) are the steps of sequences, None of other samples.
    """

    x: np.ndarray
    y: np.ndarray
    name: str
    n_clusters: int
    digest: str
    lengths: np.ndarray | None = None

    def prepare(self, preprocess: tuple[str, ...], samples: int | None) -> LoadedData:
        """Return the data themselves: they are prepared."""
        return self


@contextmanager
def shared_folder() -> Iterator[Path | None]:
    """Give a folder of this machine for the time of a command; None where there is none to be had."""
    folder = folder_of(this_process(), uuid.uuid4().hex)
    try:
        yield folder
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def folder_of(owner: str, name: str) -> Path | None:
    """Return a folder of this machine that lives with its owner, None where there is none to be had.

    `name` may end in the owner of the command that it is for, as the mark of a driver does: then it lives with both.
    """
    sweep_shared()
    folder = Path(tempfile.gettempdir()) / f"{_HEAD}{owner}.{name}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        os.utime(folder)  # it is in use
    except OSError:
        return None
    return folder


def sweep_shared() -> None:
    """Remove the folders of prepared data whose owners are gone; of owners that are not known here, those not in use.

    A machine that was started again does not know its owners of before.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_HEAD}*"):
        owners = [alive(part) for part in re.findall(r"\w+-\d+-\d+", left.name.removeprefix(_HEAD))]
        with contextlib.suppress(OSError):
            unused = time.time() - left.stat().st_mtime > _UNUSED_SECONDS
            if False in owners or (unused and not all(owners)):
                shutil.rmtree(left, ignore_errors=True)


def shared_data(spec: RunSpec, data_dir: Path | None, folder: Path) -> LoadedData:
    """Return the prepared data of a run, mapped from `folder`; loaded in memory where it cannot be written to.

    Raises DataError as `benchmark.data.prepared.prepared_data` does.
    """
    stem = folder / hashlib.sha256(canonical_json([spec.data, str(data_dir)]).encode()).hexdigest()[:16]
    x, y, steps = (stem.with_suffix(f".{part}.npy") for part in ("x", "y", "lengths"))
    try:
        with stem.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # given back by the system, however the holder ends
            if not x.exists():
                _write(load_prepared(spec.data, data_dir), x, y, steps)
        # Writable, as torch warns of arrays that are not; what is written stays in this process.
        samples, labels = np.load(x, mmap_mode="c", allow_pickle=False), np.load(y, allow_pickle=False)
        lengths = np.load(steps, allow_pickle=False) if steps.exists() else None
    except OSError:
        return load_prepared(spec.data, data_dir)
    return Mapped(samples, labels, spec.data.name, DATASETS[spec.data.name].n_clusters, spec.data.digest, lengths)


def _write(data: LoadedData, x: Path, y: Path, steps: Path) -> None:
    lengths = getattr(data, "lengths", None)
    parts = ((y, data.y), *([] if lengths is None else [(steps, lengths)]), (x, data.x))  # x last: where it is, all is
    for path, array in parts:
        draft = path.with_suffix(".draft.npy")
        np.save(draft, array, allow_pickle=False)
        os.replace(draft, path)
