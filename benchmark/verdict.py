"""Two comparisons: a published number with ours (`judge`), and stored runs with today's (`compare_runs`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from benchmark.record import COUNTED, RunRecord
from benchmark.statistics import Distribution, Estimate, Uncertainty

EQUIVALENT: Final = "equivalent"
HIGHER: Final = "higher"
LOWER: Final = "lower"
CONSISTENT: Final = "consistent"
INCOMPLETE: Final = "incomplete"
NOT_RUN: Final = "not run"
NO_DATA: Final = "no data"
NOT_IMPLEMENTED: Final = "not implemented"
QUOTED: Final = "quoted"

VERDICTS: Final = (
    EQUIVALENT,
    HIGHER,
    LOWER,
    CONSISTENT,
    INCOMPLETE,
    NOT_RUN,
    NO_DATA,
    NOT_IMPLEMENTED,
    QUOTED,
)

JUDGED: Final = (EQUIVALENT, HIGHER, LOWER, CONSISTENT)
"""The verdicts that compare two numbers."""

MARGIN: Final = 3.0
"""The margin of equivalence in points (per cent of ACC or NMI), fixed before any run it judges."""

# Differences of decimal numbers miss 0 and the margin by a few units in the last place; smaller sds count as none.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class VerdictResult:
    """The verdict `name` on a published number, and what it rests on.

    `difference` is ours minus published, with its 90 % and 95 % intervals, in the unit of both. `exact_published`
    marks a published number without sd, which was taken as exact.
    """

    name: str
    difference: float
    interval90: tuple[float, float]
    interval95: tuple[float, float]
    exact_published: bool


def judge(
    ours: Uncertainty,
    published_value: float,
    published_sd: float | None,
    margin: float = MARGIN,
    *,
    value: float | None = None,
) -> VerdictResult:
    """Say whether a published number holds.

    `equivalent` when the 90 % interval of the difference lies inside the margin; else `higher` or `lower` (ours against
    the published) when the 95 % interval excludes 0; else `consistent`.

    Parameters
    ----------
    ours
        What our statistic would be over new sets of runs, in points (not fractions), as the published numbers.
    published_value, published_sd
        The published statistic is taken as normal. `published_sd` is the sd of that statistic: the bootstrap sd of a
        best, the standard error (not the sd over runs) of a mean. Without one (None) the value is taken as exact.
    margin
        The largest difference in points that counts as none.
    value
        Our statistic itself, for `difference`; by default the mean of `ours`. It does not move the verdict.

    Raises
    ------
    ValueError
        If a number is not finite, the sd negative, or the margin not positive.
    """
    interval90 = difference_interval(ours, published_value, published_sd, 0.90)
    interval95 = difference_interval(ours, published_value, published_sd, 0.95)
    if not margin > 0:
        raise ValueError(f"the margin must be positive, not {margin}.")
    if -margin - _ROUNDING <= interval90[0] and interval90[1] <= margin + _ROUNDING:
        name = EQUIVALENT
    elif interval95[0] > _ROUNDING:
        name = HIGHER
    elif interval95[1] < -_ROUNDING:
        name = LOWER
    else:
        name = CONSISTENT
    difference = (ours.mean if value is None else value) - published_value
    return VerdictResult(name, difference, interval90, interval95, published_sd is None)


def difference_interval(
    ours: Uncertainty, published_value: float, published_sd: float | None, level: float
) -> tuple[float, float]:
    """Return the central interval of ours minus published that holds with probability `level`.

    For a `Distribution` the difference is a mixture of normals, one for each of our values (or, where the published
    value is exact, our distribution shifted), and its quantiles are exact. For an `Estimate` it is Student's t with
    the degrees of freedom of Welch and Satterthwaite, the published standard error counting as known.
    """
    sd = 0.0 if published_sd is None else published_sd
    if not (math.isfinite(published_value) and math.isfinite(sd) and sd >= 0):
        raise ValueError(
            f"a published value and its sd must be finite and the sd not negative: {published_value} ({sd})."
        )
    levels = ((1 - level) / 2, (1 + level) / 2)
    if isinstance(ours, Estimate):
        low, high = (_estimate_quantile(ours, sd, q) for q in levels)
    elif sd < _ROUNDING:
        low, high = (ours.quantile(q) for q in levels)
    else:
        low, high = (_mixture_quantile(ours, sd, q) for q in levels)
    return low - published_value, high - published_value


def _estimate_quantile(ours: Estimate, sd: float, level: float) -> float:
    variance = ours.sd**2 + sd**2
    df = ours.df * (variance / ours.sd**2) ** 2 if ours.sd > 0 else math.inf
    return ours.mean + math.sqrt(variance) * float(stats.t.ppf(level, df))


def _mixture_quantile(ours: Distribution, sd: float, level: float) -> float:
    values, probabilities = np.asarray(ours.values), np.asarray(ours.probabilities)

    def excess(x: float) -> float:
        return float(probabilities @ ndtr((x - values) / sd)) - level

    # The quantile of a mixture lies between those of its components; one sd more makes the signs differ for certain.
    shift = sd * float(ndtri(level))
    low, high = float(values.min()) + shift - sd, float(values.max()) + shift + sd
    return float(brentq(excess, low, high, xtol=1e-10))


@dataclass(frozen=True)
class RunView:
    """What `check` compares of a run: the fields of its record by the same names."""

    run_id: str
    replicate: int
    status: str
    first_losses: tuple[float, ...]
    metrics: Mapping[str, float]
    loss: float | None


LOSS_TOLERANCE: Final = 1e-9
"""How far losses may lie apart, relatively, on the same kind of machine."""

FIRST_LOSSES_TOLERANCE: Final = 1e-3
"""The same for the losses of the first steps elsewhere."""

COMPARED_ELSEWHERE: Final = 2
"""Of so many first steps losses are compared elsewhere. Trajectories part: from one kind of CPU to another the losses
of steps 4 and 5 were measured to differ by .1 to .3 %, with the same code."""

STORED_SDS: Final = 3.0

# A nearly deterministic method stores an sd of about 0, which would forbid even the few samples that another
# processor's rounding moves between clusters.
SD_FLOOR: Final = 0.005


def run_view(record: RunRecord) -> RunView:
    """Return what `check` compares of `record`."""
    return RunView(
        run_id=record.run_id,
        replicate=record.spec.replicate,
        status=record.status,
        first_losses=record.first_losses,
        metrics=record.metrics,
        loss=record.loss,
    )


def compare_runs(stored: Sequence[RunView], today: Sequence[RunView], same_machine: bool) -> list[str]:
    """Return one sentence for each disagreement of today's runs with the stored ones; none means agreement.

    Both hold runs of one specification that differ by replicate; the replicates in common are compared. Their statuses
    must be equal. On the same kind of machine every metric must be equal too, and the final loss and those of the first
    steps to a relative 1e-9. Elsewhere the losses of steps 1 and 2 must be equal to a relative 1e-3, and the mean of
    each metric over the replicates must lie within 3 sd of the stored mean: trajectories part, their distribution
    should not. The sd (ddof=1, at least 0.005) is that of all `stored` runs, so give also those that were not
    made again.

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
    steps = None if same_machine else COMPARED_ELSEWHERE
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
    for name in sorted({name for old, _ in pairs for name in old.metrics}):
        if any(name not in run.metrics for pair in pairs for run in pair):
            yield f"{name} is not given by every run of both sides."
            continue
        was = float(np.mean([old.metrics[name] for old, _ in pairs]))
        found = float(np.mean([new.metrics[name] for _, new in pairs]))
        spread = [run.metrics[name] for run in counted if name in run.metrics]
        sd = max(float(np.std(spread, ddof=1)) if len(spread) > 1 else 0.0, SD_FLOOR)
        if not (abs(found - was) <= STORED_SDS * sd or (math.isnan(found) and math.isnan(was))):
            yield (
                f"the mean {name} over {len(pairs)} replicates is {found:.4f}, more than {STORED_SDS:g} sd "
                f"({sd:.4f}) from the stored {was:.4f}."
            )
