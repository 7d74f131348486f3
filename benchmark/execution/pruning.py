"""Pruning: what a results folder can do without, and its removal. A stored number is never among it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.execution.awaited import without_waiting
from benchmark.execution.checkpoints import CHECKPOINTS
from benchmark.files.faults import sentence
from benchmark.files.locks import Claims
from benchmark.files.owners import draft
from benchmark.files.quarantine import quarantined
from benchmark.store.store import Store


@dataclass(frozen=True)
class Leftover:
    """A folder that can go: what it is, in a few words, the bytes it holds, and when it was last written to."""

    path: Path
    what: str
    size: int
    written: float


def leftovers(store: Store, seconds: float, *, merged: bool = False) -> list[Leftover]:
    """Return what was left alone for so many seconds: checkpoints of runs that were broken off, what is in quarantine.

    With `merged` also the run folders, of any age, whose record is tracked with the same numbers; with them go the
    assignments and weights, which tracked rows do not hold. Those of runs from which others have still to start stay.
    """
    kept = (store.results / CHECKPOINTS).glob("*/")
    found = [_leftover(path, "checkpoints of a run that was broken off") for path in kept]
    found += [_leftover(path, "damaged and set aside") for path in quarantined(store.results)]
    old = [left for left in found if time.time() - left.written >= seconds]
    if merged:  # looked at before they are read, so that `remove` sees what was replaced since
        runs = {path: _leftover(path, "a run whose rows are tracked") for path in (store.results / "runs").glob("*/")}
        old += [runs[path] for path in without_waiting(store, store.merged()) if path in runs]
    return sorted(old, key=lambda left: left.path)


def remove(results: Path, found: Iterable[Leftover]) -> Iterator[tuple[Leftover, str]]:
    """Remove each; yield it with the reason for which it stayed, or with nothing.

    A run that a process is at, here or on another machine, keeps what it has; so does one written to since.
    """
    with Claims(results) as claims:
        for left in found:
            try:
                why = "" if claims.take(left.path.name) else "another process is at this run"
                if left.path.is_symlink():
                    why = "it is a link: remove it, and what it leads to, yourself"
                if not why and _leftover(left.path, left.what).written > left.written:
                    why = "it was written to meanwhile"
                if not why:
                    _remove(left.path)
            except OSError as error:
                why = sentence(error)
            finally:
                claims.give_back(left.path.name)
            yield left, why


def _remove(folder: Path) -> None:
    """Remove a folder whole: a reader finds all of it or nothing."""
    going = draft(folder.parent)
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, going)
        shutil.rmtree(going)


def _leftover(folder: Path, what: str) -> Leftover:
    facts = list(_facts(folder))
    return Leftover(folder, what, sum(f.st_size for f in facts), max((f.st_mtime for f in facts), default=0.0))


def _facts(folder: Path) -> Iterator[os.stat_result]:
    """Yield the facts of a folder and all in it, without what goes meanwhile."""
    for path in (folder, *folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            yield path.lstat()
