"""Data sets as memory maps: what was parsed once is loaded again in an instant.

Every data set has one folder in `parsed` of the cache, with its arrays as scaled, kept for one key: the files it was
parsed from, the declared facts, and the code that parsed them. Beside the arrays stands the SHA-256 of each, which is
checked once per process: what changed on disk is parsed anew. It may be deleted at any time. RECLUST_CACHE=off keeps
nothing.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy import sparse

from datasets.arrays import Array, Labels, Lengths, Samples
from datasets.obtaining.files import cache_root

INDEX = "facts.json"


def key(facts: Iterable[str], files: Iterable[Path]) -> str:
    """Return what the arrays depend on as a hash: facts, among them the code, and place, size and time of the files."""
    digest = hashlib.sha256(np.__version__.encode())
    for fact in facts:
        digest.update(f"{fact}\x1f".encode())
    for path in files:
        with contextlib.suppress(OSError):
            found = path.stat()
            digest.update(f"{path.absolute()}\x1f{found.st_size}\x1f{found.st_mtime_ns}\x1f".encode())
    return digest.hexdigest()


def recall(name: str, key: str) -> tuple[Samples, Labels, Lengths | None] | None:
    """Return samples, labels and lengths kept under `key`, as private memory maps, or None.

    A file that is missing, or was changed since it was written, means None.
    """
    folder = _folder(name)
    try:
        facts = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if not _enabled() or facts["key"] != key or any(_stamp(folder / f) != s for f, s in facts["files"].items()):
            return None
        if any(_sha256_once(*_identity(folder / name)) != found for name, found in facts["sha256"].items()):
            return None
        arrays = {name: _mapped(folder / name) for name in facts["files"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    y, lengths = arrays["y.npy"], arrays.get("lengths.npy")
    if "x.npy" in arrays:
        return arrays["x.npy"], y, lengths
    parts = tuple(arrays[f"{part}.npy"] for part in ("data", "indices", "indptr"))
    return sparse.csr_array(parts, shape=tuple(facts["shape"])), y, lengths


def remember(name: str, key: str, x: Samples, y: Labels, lengths: Lengths | None) -> None:
    """Keep the arrays under `key`, in the place of older ones; where nothing can be written, do nothing."""
    if not _enabled():
        return
    arrays: dict[str, Array] = {"y": y}
    if lengths is not None:
        arrays["lengths"] = lengths
    if isinstance(x, sparse.csr_array):
        arrays |= {"data": x.data, "indices": x.indices, "indptr": x.indptr}
    else:
        arrays["x"] = x
    target = _folder(name)
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent, ignore_cleanup_errors=True) as place:
            folder = Path(place) / "arrays"
            folder.mkdir()
            for part, array in arrays.items():
                np.save(folder / f"{part}.npy", array, allow_pickle=False)
            stamps = {path.name: _stamp(path) for path in folder.iterdir()}
            sums = {path.name: _sha256(path) for path in folder.iterdir()}
            facts = {"key": key, "shape": list(x.shape), "files": stamps, "sha256": sums}
            (folder / INDEX).write_text(json.dumps(facts), encoding="utf-8")
            if target.exists():
                os.replace(target, Path(place) / "old")  # what others have mapped stays theirs
            os.replace(folder, target)


def changed(name: str) -> Path | None:
    """Return an array that is kept of a data set and is not what was written; None where there is none.

    All of it is read, whatever this process checked before.
    """
    folder = _folder(name)
    try:
        sums = json.loads((folder / INDEX).read_text(encoding="utf-8"))["sha256"]
        return next((folder / name for name, found in sums.items() if _sha256(folder / name) != found), None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # nothing that `recall` would give


def forget(name: str) -> None:
    """Remove what is kept of a data set."""
    shutil.rmtree(_folder(name), ignore_errors=True)


def _enabled() -> bool:
    return os.environ.get("RECLUST_CACHE", "").lower() != "off"


def _folder(name: str) -> Path:
    return cache_root() / "parsed" / name


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _mapped(path: Path) -> Array:
    array: Array = np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))
    return array


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _identity(path: Path) -> tuple[Path, int, int]:
    """Return a path, and what the system changes with every write to its file, also where its time is set back."""
    found = path.stat()
    return path, found.st_ino, found.st_ctime_ns


@functools.lru_cache(maxsize=256)
def _sha256_once(path: Path, inode: int, changed_ns: int) -> str:
    """Return the SHA-256 of a file, taken once per process as long as nobody writes to it."""
    return _sha256(path)
