"""Whether today's runs agree with the stored ones: what `check` compares, and how closely."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmark.plan.lineage import parent_of
from benchmark.record import COUNTED, RunRecord


@dataclass(frozen=True)
class RunView:
    """What `check` compares of a run: the fields of its record by the same names, and whether it was pre-trained."""

    run_id: str
    replicate: int
    status: str
    first_losses: tuple[float, ...]
    metrics: Mapping[str, float]
    loss: float | None
    pretrained: bool = False


LOSS_TOLERANCE: Final = 1e-9
"""How far losses may lie apart, relatively, on the same kind of machine."""


FIRST_LOSSES_TOLERANCE: Final = 1e-3
"""The same for the losses of the first steps elsewhere."""


COMPARED_ELSEWHERE: Final = 2
"""Of so many first steps losses are compared elsewhere. Trajectories part: from one kind of CPU to another the losses
of steps 4 and 5 were measured to differ by .1 to .3 %, with the same code."""


STORED_SDS: Final = 3.0
"""How many sd a mean over `USUAL_RUNS` may lie from the stored one elsewhere."""


USUAL_RUNS: Final = 3
"""How many runs a cell of the quick profile has: a mean of fewer spreads more, in the square root of their number."""


# A nearly deterministic method stores an sd of about 0, which would forbid even the few samples that another
# processor's rounding moves between clusters.
SD_FLOOR: Final = 0.005

SD_FLOOR_TRAINED: Final = 0.02
"""The same for runs that trained: three of them may lie together by chance, and tell their own sd poorly, while
another processor's rounding moves each along a trajectory of its own."""


def run_view(record: RunRecord) -> RunView:
    """Return what `check` compares of `record`."""
    return RunView(
        run_id=record.run_id,
        replicate=record.spec.replicate,
        status=record.status,
        first_losses=record.first_losses,
        metrics=record.metrics,
        loss=record.loss,
        pretrained=parent_of(record.spec) is not None,
    )


def compare_runs(stored: Sequence[RunView], today: Sequence[RunView], same_machine: bool) -> list[str]:
    """Return one sentence for each disagreement of today's runs with the stored ones; none means agreement.

    Both hold runs of one specification that differ by replicate; the replicates in common are compared. Their statuses
    must be equal. On the same kind of machine every metric must be equal too, and the final loss and those of the first
    steps to a relative 1e-9.

    Elsewhere the losses of steps 1 and 2 must be equal to a relative 1e-3, but not those of runs that were pre-trained,
    which are at the end of a long trajectory. And the mean of each metric over the replicates must lie within 3 sd of
    the stored mean, 3.7 where two are compared and 5.2 where one is: trajectories part, their distribution should not.
    The sd (ddof=1, at least 0.005, 0.02 where runs trained) is that of all `stored` runs, so give also those that were
    not made again.

    Raises
    ------
    ValueError
        If a replicate occurs twice on one side.
    """
    before, now = _by_replicate(stored, "the stored"), _by_replicate(today, "today's")
    pairs = [(before[r], now[r]) for r in sorted(before.keys() & now.keys())]
    if not pairs:
        return [f"no replicate in common: stored are {sorted(before) or 'none'}, run today {sorted(now) or 'none'}."]
    sentences = []
    for old, new in pairs:
        where = f"replicate {old.replicate} (run {new.run_id})"
        if old.status != new.status:
            sentences.append(f"{where}: the status is {new.status}, but {old.status} is stored.")
            continue
        sentences += [f"{where}: {text}" for text in _first_losses(old, new, same_machine)]
        if same_machine:
            sentences += [f"{where}: {text}" for text in _final_numbers(old, new)]
    if not same_machine:
        sentences += _means(stored, [(o, n) for o, n in pairs if o.status == n.status and o.status in COUNTED])
    return sentences


def _by_replicate(runs: Sequence[RunView], which: str) -> dict[int, RunView]:
    found = {run.replicate: run for run in runs}
    if len(found) < len(runs):
        raise ValueError(f"a replicate occurs twice among {which} runs: compare one specification at a time.")
    return found


def _first_losses(old: RunView, new: RunView, same_machine: bool) -> Iterator[str]:
    if bool(old.first_losses) != bool(new.first_losses):
        yield f"{len(new.first_losses)} losses of first steps were recorded, but {len(old.first_losses)} are stored."
    elsewhere = 0 if new.pretrained else COMPARED_ELSEWHERE
    steps = None if same_machine else elsewhere
    tolerance = LOSS_TOLERANCE if same_machine else FIRST_LOSSES_TOLERANCE
    pairs = zip(old.first_losses[:steps], new.first_losses[:steps], strict=False)
    for step, (was, found) in enumerate(pairs, start=1):
        if not _agree(was, found, tolerance):
            yield f"the loss of step {step} is {found:.6g}, but {was:.6g} is stored."
            return


def _final_numbers(old: RunView, new: RunView) -> Iterator[str]:
    for name, was in old.metrics.items():
        found = new.metrics.get(name)
        if not _agree(was, found, 0.0):
            yield f"{name} is {found}, but {was} is stored."
    if not _agree(old.loss, new.loss, LOSS_TOLERANCE):
        yield f"the final loss is {new.loss}, but {old.loss} is stored."


def _agree(was: float | None, found: float | None, tolerance: float) -> bool:
    if was is None or found is None:
        return was is found
    return math.isclose(was, found, rel_tol=tolerance) or (math.isnan(was) and math.isnan(found))


def _means(stored: Sequence[RunView], pairs: Sequence[tuple[RunView, RunView]]) -> Iterator[str]:
    # The sd comes from all stored runs, also those that were not repeated today: it needs all it can get.
    counted = [run for run in stored if run.status in COUNTED]
    floor = SD_FLOOR_TRAINED if any(run.first_losses for run in counted) else SD_FLOOR
    sds = STORED_SDS * max(1.0, math.sqrt(USUAL_RUNS / max(1, len(pairs))))
    for name in sorted({name for old, _ in pairs for name in old.metrics}):
        if any(name not in run.metrics for pair in pairs for run in pair):
            yield f"{name} is not given by every run of both sides."
            continue
        was = float(np.mean([old.metrics[name] for old, _ in pairs]))
        found = float(np.mean([new.metrics[name] for _, new in pairs]))
        spread = [run.metrics[name] for run in counted if name in run.metrics]
        sd = max(float(np.std(spread, ddof=1)) if len(spread) > 1 else 0.0, floor)
        if not (abs(found - was) <= sds * sd or (math.isnan(found) and math.isnan(was))):
            yield (
                f"the mean {name} over {len(pairs)} replicates is {found:.4f}, more than {sds:.1f} sd "
                f"({sd:.4f}) from the stored {was:.4f}."
            )
