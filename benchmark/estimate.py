"""How long a run will take, learned from the records of earlier ones."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from benchmark.record import RunRecord
from benchmark.spec import RunSpec


class Estimate:
    """Seconds of a run, learned from records: the median of the nearest group that has any.

    Groups, nearest first: the same method, data, and budget; the same method and data set (scaled by the steps).
    """

    def __init__(self, history: Iterable[RunRecord]) -> None:
        self._exact: dict[str, list[float]] = {}
        self._per_epoch: dict[tuple[str, str], list[float]] = {}
        for record in history:
            if record.status in ("ok", "collapsed"):
                self.add(record.spec, record.seconds)

    def add(self, spec: RunSpec, seconds: float) -> None:
        """Learn from one finished run."""
        self._exact.setdefault(_cost_key(spec), []).append(seconds)
        near = (spec.method, spec.data.name)
        self._per_epoch.setdefault(near, []).append(seconds / max(1, _amount(spec)))

    def seconds(self, spec: RunSpec) -> float | None:
        """Return the estimate for a run, or None where nothing like it was seen."""
        if found := self._exact.get(_cost_key(spec)):
            return median(found)
        if found := self._per_epoch.get((spec.method, spec.data.name)):
            return median(found) * max(1, _amount(spec))
        return None


def _cost_key(spec: RunSpec) -> str:
    """Return what the cost of a run depends on: all but the replicate and most parameters."""
    taps = spec.params.get("taps", "")
    return "|".join(map(str, (spec.method, spec.data.name, spec.data.samples, taps, spec.protocol.canonical())))


def _amount(spec: RunSpec) -> int:
    return sum(phase.budget.amount for phase in spec.protocol.phases.values())
