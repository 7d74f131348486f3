"""Processes as Linux shows them in /proc: which lives, and which started which."""

from __future__ import annotations

from pathlib import Path


def stat(pid: int) -> list[str]:
    """Return state and parent of a process; nothing where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return []


def children(pid: int) -> list[int]:
    """Return the process ids of those that a process started, also of those that ended and were not waited for."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [child for child in pids if stat(child)[1:] == [str(pid)]]


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    return stat(pid)[:1] not in ([], ["Z"])
