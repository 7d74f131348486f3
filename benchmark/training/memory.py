"""The memory rule of methods that need all pairs of samples: what they need is said before it is taken."""

from __future__ import annotations

import os

GB = 1e9


class NeedsMemory(Exception):
    """A method needs more memory for so many samples than this machine has free; nothing was taken yet."""


def free_memory() -> float:
    """Return the bytes that a process can still take: those free of this machine, or what its container leaves."""
    available = _line("/proc/meminfo", "MemAvailable:")
    whole = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))  # where nobody says what is free
    free = whole if available is None else 1024 * available
    limit, used = _number("/sys/fs/cgroup/memory.max"), _number("/sys/fs/cgroup/memory.current")
    if limit is None or used is None:
        return free
    files = _line("/sys/fs/cgroup/memory.stat", "inactive_file") or 0.0
    return min(free, limit - used + files)


def require_memory(needed: float, samples: int) -> None:
    """Raise NeedsMemory where `needed` bytes for so many samples are not free.

    >>> require_memory(10.0, 2)
    >>> require_memory(1e18, 99_289)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
        ...
    benchmark.training.memory.NeedsMemory: needs 1000000000.0 GB for 99 289 samples, 7.5 GB are free
    """
    free = free_memory()
    if needed > free:
        shown = f"{samples:,}".replace(",", " ")
        raise NeedsMemory(f"needs {needed / GB:.1f} GB for {shown} samples, {free / GB:.1f} GB are free")


def _number(path: str) -> float | None:
    try:
        with open(path, encoding="ascii") as file:
            return float(file.read())
    except (OSError, ValueError):  # no such file, or "max": no limit
        return None


def _line(path: str, name: str) -> float | None:
    try:
        with open(path, encoding="ascii") as file:
            return next((float(line.split()[1]) for line in file if line.startswith(name)), None)
    except (OSError, ValueError):
        return None
