"""Who owns a file that is in use: a process of a machine, and whether it still lives.

Process ids mean something on one machine and in one namespace of processes only (a container has its own), and may be
given again; so an owner is named by all of these and by the moment at which the process began. No clock is asked.
"""

from __future__ import annotations

import os
import re
import socket
import time
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path

DRAFT = ".writing-"
"""What the name of a file or folder begins with while it is being written."""

_FOREIGN_DEAD_AFTER_SECONDS = 7 * 24 * 3600


@cache
def machine() -> str:
    """Return what is equal for all processes that see each other's process ids, as letters, digits and underscores."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        boot, namespace = socket.gethostname(), ""
    return re.sub(r"[^a-z0-9]+", "_", f"{boot}{namespace}".lower()).strip("_")


def this_process() -> str:
    """Return the owner that this process is, as ``<machine>-<process id>-<moment of its beginning>``."""
    return process(os.getpid())


def process(pid: int) -> str:
    """Return the owner that the process `pid` of this machine is."""
    return f"{machine()}-{pid}-{_began(pid)}"


def alive(owner: str) -> bool | None:
    """Return whether an owner lives, or None where it is a process of another machine, or no owner at all."""
    match = re.fullmatch(r"(\w+)-(\d+)-(\d+)", owner)
    if match is None or match[1] != machine():
        return None
    began = _began(int(match[2]))
    if began:
        return began == int(match[3])
    return not Path("/proc/self/stat").exists() and _signalled(int(match[2]))


def draft(folder: Path) -> Path:
    """Return a new path in `folder` to write to, which names this process as its owner."""
    return folder / f"{DRAFT}{this_process()}.{uuid.uuid4().hex}"


def dead_drafts(folder: Path) -> Iterator[Path]:
    """Yield the drafts in `folder` whose writers are gone: by process id on this machine, by great age elsewhere."""
    yield from dead_files(folder, DRAFT)


def dead_files(folder: Path, head: str) -> Iterator[Path]:
    """Yield what in `folder` is named ``<head><owner>.<anything>`` and whose owner is gone, or no owner and old."""
    for path in folder.glob(f"{head}*"):
        living = alive(path.name.removeprefix(head).partition(".")[0])
        if living is None:
            try:
                living = time.time() - path.lstat().st_mtime < _FOREIGN_DEAD_AFTER_SECONDS
            except FileNotFoundError:
                continue
        if not living:
            yield path


def _began(pid: int) -> int:
    """Return when a process began, in ticks since the machine did; 0 where it is gone or the system does not tell."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if state in "ZX" else int(fields[18])


def _signalled(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
