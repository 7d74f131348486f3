"""What the tests of the attack really made, counted where it was made: `pytest -m attack` prints the sums.

A module or test says its kind in its marker, ``pytest.mark.attack("files")``: a test that passes is then one of
these, unless it counts itself by `made`. What has a name, as a hostile method, counts once, however many tests use it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

KINDS = {
    "kills": "kills (SIGKILL) of drivers, workers, fits, writers and nodes",
    "signals": "interrupts and terminations",
    "methods": "hostile methods",
    "files": "hostile, damaged or odd files: data sets, archives, checkpoints, records, tracked files",
    "downloads": "downloads from servers that misbehave",
    "texts": "hostile texts and names, each through one format",
    "claims": "claims on runs, also on disks that misbehave",
    "disks": "disks that are full, shut or fail",
    "leftovers": "leftovers of commands that are gone",
    "labels": "runs with permuted labels",
}
"""What is counted, in the order in which it is printed."""

PROPERTY = "attack"

_made: list[str] = []


def made(kind: str, number: int = 1, *, name: str = "") -> None:
    """Count `number` of a kind, or the one that has a name."""
    assert kind in KINDS
    _made.append(f"{kind}:{number}:{name}")


def begin() -> None:
    """Forget what was counted before this test."""
    _made.clear()


def found(kinds: Sequence[str]) -> list[tuple[str, str]]:
    """Return what the test that ends counted, as properties of its report; else one of each of its `kinds`."""
    assert set(kinds) <= KINDS.keys(), f"a kind of attack is one of {', '.join(KINDS)}"
    return [(PROPERTY, text) for text in _made or [f"{kind}:1:" for kind in kinds]]


def sums(reports: Iterable[Any]) -> dict[str, int]:
    """Return how many of each kind the tests that passed made."""
    unnamed, named = Counter[str](), set[tuple[str, str]]()
    for report in reports:
        for key, text in report.user_properties if report.when == "call" else ():
            if key == PROPERTY:
                kind, number, name = text.split(":", 2)
                if name:
                    named.add((kind, name))
                else:
                    unnamed[kind] += int(number)
    unnamed.update(kind for kind, _ in named)
    return {kind: unnamed[kind] for kind in KINDS if unnamed[kind]}


def told(reporter: pytest.TerminalReporter) -> None:
    """Print the sums."""
    passed = reporter.getreports("passed")
    reporter.section("attack")
    for kind, number in sums(passed).items():
        reporter.write_line(f"{number:>7} {KINDS[kind]}")
    wrong = len(reporter.getreports("failed")) + len(reporter.getreports("error"))
    reporter.write_line(f"{len(passed)} tests passed, {wrong} failed")
