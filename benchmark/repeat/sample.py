"""A random sample of stored cells, for a check that would take days with all of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.errors import UserError
from benchmark.plan.cells import PlannedCell
from benchmark.session import Session


@dataclass(frozen=True)
class Sample:
    """The cells drawn, of how many that are stored, and why others cannot be made here."""

    cells: tuple[PlannedCell, ...]
    stored: int
    left: tuple[str, ...]


def sampled(session: Session, cells: Sequence[PlannedCell], count: int, seed: int) -> Sample:
    """Draw `count` of the `cells` that have tracked runs and whose data are here; each set of runs counts once.

    Equal seeds draw equal cells while the same are stored. UserError where there are none.
    """
    stored = {
        tuple(spec.run_id for spec in cell.specs): cell
        for cell in reversed(cells)
        if any(spec.run_id in session.tracked for spec in cell.specs)
    }
    reasons = {key: session.ready(cell.specs[0].data.name) for key, cell in stored.items()}
    able = sorted(key for key in stored if not reasons[key])
    left = tuple(dict.fromkeys(reason for reason in reasons.values() if reason))
    if not able:
        raise UserError(f"no stored cell can be made again here{f': {left[0]}' if left else '.'}")
    drawn = random.Random(seed).sample(able, min(count, len(able)))
    return Sample(tuple(stored[key] for key in drawn), len(stored), left)
