"""What a fit outside the suite shows and keeps of its evaluations: lines while it trains, and a table at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.training.phases import Snapshot

if TYPE_CHECKING:
    import pandas as pd

SECONDS_BETWEEN = 2.0
"""How many seconds pass at the least between two lines of one phase that no evaluation asks for."""

KINDS = {"phase": "str", "step": "int64", "epoch": "int64", "loss": "float64", "clusters": "Int64"}
"""The kinds of the columns of a history; the others are loss terms."""


class Follower:
    """The observer of one fit: keeps a row of each evaluation, and with `verbose` prints lines.

    `verbose` 1 prints a line at the beginning and the end of a phase and every two seconds; 2 at every evaluation.
    """

    def __init__(self, name: str, verbose: int) -> None:
        self._name, self._verbose = name, verbose
        self._rows: list[dict[str, Any]] = []
        self._seen: Snapshot | None = None
        self._begun = self._printed = 0.0
        self._step, self._total = 0, 0

    def __call__(self, snapshot: Snapshot) -> None:
        """Keep what an evaluation found."""
        found = snapshot.assignments
        where = {"phase": snapshot.phase, "step": snapshot.step, "epoch": snapshot.epoch, "loss": snapshot.total}
        clusters = None if found is None else len(np.unique(found))
        self._rows.append({**where, **snapshot.terms, "clusters": clusters})
        if self._seen is None or snapshot.phase != self._seen.phase:
            self._begun, self._total = time.monotonic(), 0
        self._seen, self._step = snapshot, snapshot.step
        if self._verbose > 1 or snapshot.step == 0:
            self._print()

    def progress(self, phase: str, step: int, total: int) -> None:
        """Show how far a phase is, where it is time to; called every few steps, and at the end of an epoch."""
        self._step, self._total = step, total
        at_end = self._seen is not None and self._seen.step == step >= total
        if at_end or time.monotonic() - self._printed > SECONDS_BETWEEN:
            self._print()

    def _print(self) -> None:
        seen, now = self._seen, time.monotonic()
        if not self._verbose or seen is None:
            return
        self._printed = now
        of, left = "", ""
        if self._total:
            of = f"/{self._total}"
            left = f"  {_clock((now - self._begun) * (self._total - self._step) / max(1, self._step))} left"
        epoch = self._step // seen.per_epoch
        of_epochs = f"/{-(-self._total // seen.per_epoch)}" if self._total else ""
        loss = f"loss {seen.total:.5g}"
        print(f"{self._name}: {seen.phase}  epoch {epoch}{of_epochs}  step {self._step}{of}  {loss}{left}", flush=True)

    def history(self) -> pd.DataFrame:
        """Return one row for each evaluation: phase, step, epoch, loss, each unweighted term, and clusters in use."""
        terms = [name for name in dict.fromkeys(name for row in self._rows for name in row) if name not in KINDS]
        names = [*list(KINDS)[:-1], *terms, "clusters"]
        return history_table({name: [row.get(name) for row in self._rows] for name in names})


def history_table(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Return a history by its columns; None is a missing value."""
    import pandas as pd

    return pd.DataFrame(dict(columns)).astype({n: KINDS.get(n, "float64") for n in columns})


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
