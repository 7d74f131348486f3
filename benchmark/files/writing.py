"""Files written whole: synced to disk beside their place, then renamed into it."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path

from benchmark.files.owners import draft
from benchmark.files.reading import unpacked


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_changed(files: Mapping[Path, bytes]) -> tuple[Path, ...]:
    """Write those `files` whose contents change, and return their paths.

    All are written beside their places and synced to disk before the first is renamed into its place. What must change
    together is for `benchmark.files.together`.
    """
    changed = {path: data for path, data in files.items() if not holds(path, data)}
    drafts = {path: draft(path.parent) for path in changed}
    try:
        for path, data in changed.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_synced(drafts[path], data)
        for path, written in drafts.items():
            os.replace(written, path)
    finally:
        for written in drafts.values():
            written.unlink(missing_ok=True)
    return tuple(changed)


def holds(path: Path, data: bytes) -> bool:
    """Whether `path` holds `data`; compressed files are compared by what they hold, as zlib's versions differ."""
    if not path.is_file():
        return False
    held = path.read_bytes()
    if path.suffix != ".gz" or held == data:
        return held == data
    try:
        return unpacked(held) == unpacked(data)
    except (ValueError, zlib.error):
        return False


def write_synced(path: Path, data: bytes) -> None:
    """Write `data` to `path` and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
