"""Pruning: what a results folder can do without, and its removal. A stored number is never among it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.checkpoints import CHECKPOINTS
from benchmark.claims import Claims
from benchmark.faults import sentence
from benchmark.owners import draft
from benchmark.quarantine import quarantined
from benchmark.store import Store


@dataclass(frozen=True)
class Leftover:
    """A folder that can go: what it is, in a few words, and the bytes it holds."""

    path: Path
    what: str
    size: int


def leftovers(store: Store, seconds: float, *, merged: bool = False) -> list[Leftover]:
    """Return what was left alone for so many seconds: checkpoints of runs that were broken off, what is in quarantine.

    With `merged` also the run folders, of any age, whose record is tracked with the same numbers; with them go the
    assignments and weights, which tracked rows do not hold.
    """
    found = [(path, "checkpoints of a run that was broken off") for path in (store.results / CHECKPOINTS).glob("*/")]
    found += [(path, "damaged and set aside") for path in quarantined(store.results)]
    old = [(path, what) for path, what in found if time.time() - _last_written(path) >= seconds]
    both = old + [(path, "a run whose rows are tracked") for path in (store.merged() if merged else ())]
    return [Leftover(path, what, sum(facts.st_size for facts in _facts(path))) for path, what in sorted(both)]


def remove(results: Path, found: Iterable[Leftover]) -> Iterator[tuple[Leftover, str]]:
    """Remove each; yield it with the reason for which it stayed, or with nothing.

    A run that a process is at, here or on another machine, keeps what it has.
    """
    with Claims(results) as claims:
        for left in found:
            try:
                taken = claims.take(left.path.name)
                if taken:
                    _remove(left.path)
            except OSError as error:
                yield left, sentence(error)
                continue
            finally:
                claims.give_back(left.path.name)
            yield left, "" if taken else "another process is at this run"


def _remove(folder: Path) -> None:
    """Remove a folder whole: a reader finds all of it or nothing."""
    going = draft(folder.parent)
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, going)
        shutil.rmtree(going)


def _last_written(folder: Path) -> float:
    return max((facts.st_mtime for facts in _facts(folder)), default=0.0)


def _facts(folder: Path) -> Iterator[os.stat_result]:
    """Yield the facts of a folder and all in it, without what goes meanwhile."""
    for path in (folder, *folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            yield path.stat()
