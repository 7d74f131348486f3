"""How long a run will take, learned from the records of earlier ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from benchmark.errors import UsageError
from benchmark.plan.lineage import parent_of
from benchmark.record import RunRecord
from benchmark.registry import METHODS
from benchmark.spec import Phase, RunSpec, batches_per_epoch


@dataclass(frozen=True)
class _Seen:
    """What one run took. `steps` and `samples` are 0 where they are not known."""

    spec: RunSpec
    seconds: float
    steps: int = 0
    samples: int = 0

    @cached_property
    def before(self) -> int:
        """The number of samples that it trained on."""
        return _samples(self.spec, self.samples)

    @cached_property
    def budget(self) -> int:
        """The steps that it might have taken; UsageError where its method has other parameters now."""
        return budget_steps(self.spec, self.before)


class RunTimes:
    """Seconds of a run, learned from records: the median of the nearest group that has any.

    Groups, nearest first: the same method, data, and budget; the same method, network and data set, scaled by the
    optimiser steps. Those of the pre-training that a run starts from are the parent's. Runs that ended before their
    budget, by a rule of their method, say how many steps such a rule takes.
    """

    def __init__(self, history: Iterable[RunRecord]) -> None:
        self._exact: dict[str, list[float]] = {}
        self._near: dict[tuple[str, ...], list[_Seen]] = {}
        self._whole: dict[tuple[str, ...], int] = {}  # the most samples that one of them had
        self._peaks: dict[str | tuple[str, ...], float] = {}  # by cost, and by kind
        for record in history:
            for key in (_cost_key(record.spec), _kind(record.spec)):
                self._peaks[key] = max(self._peaks.get(key, 0.0), record.peak_mib)
            if record.status in ("ok", "collapsed"):
                self._learn(_Seen(record.spec, record.seconds, record.steps, record.n_samples))

    def add(self, spec: RunSpec, seconds: float) -> None:
        """Learn from one finished run."""
        self._learn(_Seen(spec, seconds))

    def seconds(self, spec: RunSpec) -> float | None:
        """Return the estimate for a run, or None where nothing like it was seen."""
        if found := self._exact.get(_cost_key(spec)):
            return median(found)
        near = self._near.get(_kind(spec), [])
        try:
            return self._scaled(spec, near) if near else None
        except UsageError:
            return None  # an earlier version knew the method by other parameters

    def share(self, spec: RunSpec, steps: int) -> float:
        """Return which share of its budget a run has spent after `steps` optimiser steps, from 0 to 1."""
        return min(1.0, steps / max(1, budget_steps(spec, _samples(spec, self._whole.get(_kind(spec), 0)))))

    def peak_mib(self, spec: RunSpec) -> float | None:
        """Return the most memory that a run like this one took, or None where nothing like it was seen.

        Measured of the whole process, which may have made other runs before: rather too much.
        """
        return self._peaks.get(_cost_key(spec)) or self._peaks.get(_kind(spec)) or None

    def _scaled(self, spec: RunSpec, near: Sequence[_Seen]) -> float:
        """Return the median of the seconds that `spec` takes if each of its steps takes as long as one of them."""
        now = _samples(spec, self._whole[_kind(spec)])
        wanted = budget_steps(spec, now)
        return median(_seconds(seen, now, wanted) for seen in near)

    def _learn(self, seen: _Seen) -> None:
        self._exact.setdefault(_cost_key(seen.spec), []).append(seen.seconds)
        kind = _kind(seen.spec)
        self._near.setdefault(kind, []).append(seen)
        self._whole[kind] = max(self._whole.get(kind, 0), seen.samples)


def _kind(spec: RunSpec) -> tuple[str, ...]:
    """Return what runs must share for a step of one to take about as long as a step of another."""
    return spec.method, str(spec.params.get("network", "")), spec.data.name


def _cost_key(spec: RunSpec) -> str:
    """Return what the cost of a run depends on: all but the replicate and most parameters."""
    taps = spec.params.get("taps", "")
    return "|".join(map(str, (spec.method, spec.data.name, spec.data.samples, taps, spec.shared_parts["protocol"])))


def _seconds(seen: _Seen, now: int, wanted: float) -> float:
    """Return the seconds of `wanted` steps on `now` samples, if each takes as long as one of `seen`."""
    done = seen.steps or seen.budget
    if done < seen.budget:  # its rule ended it: after as many passes through the data, but not beyond the new budget
        wanted = min(wanted, done * max(1.0, now / max(1, seen.before)))
    return seen.seconds * max(1.0, wanted) / max(1, done)


def _samples(spec: RunSpec, whole: int) -> int:
    """Return the number of samples of a run on a data set of `whole` samples, 0 where that is not known."""
    return min(spec.data.samples or whole, whole or spec.data.samples or 0)


def budget_steps(spec: RunSpec, samples: int) -> int:
    """Return the optimiser steps of a run's budget, without those of the run that it starts from."""
    parent = parent_of(spec) if spec.method in METHODS else None
    elsewhere = parent.protocol.phases if parent is not None else {}
    return sum(_phase_steps(phase, samples) for name, phase in spec.protocol.phases.items() if name not in elsewhere)


def _phase_steps(phase: Phase, samples: int) -> int:
    if phase.budget.unit == "steps":
        return phase.budget.amount
    return phase.budget.amount * (batches_per_epoch(phase, samples) if samples >= phase.batch_size else 1)
