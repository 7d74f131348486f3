"""What observers left in the history of a record."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from benchmark.measure.mismatch import GRAM
from benchmark.record import COUNTED, RunRecord

LEAVES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"drift": (GRAM,), "validity": ("ch", "db"), "randomness": ("randomness",)}
)
"""By observer the beginnings of the names that it leaves in a history."""


def recorded(record: RunRecord, observer: str) -> bool:
    """Say whether a record has nothing to gain from `observer`: its history holds what that leaves, or it failed."""
    return observer in observed(record) or not record.history or record.status not in COUNTED


def observed(record: RunRecord) -> tuple[str, ...]:
    """Return the observers that left something in the history of a record."""
    names = {name for evaluation in record.history for name in evaluation.metrics}
    return tuple(observer for observer, leaves in LEAVES.items() if any(name.startswith(leaves) for name in names))
