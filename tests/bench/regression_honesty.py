"""Do claims on the regression of accuracy on the loss err as rarely as they should? Wrong answers under simulation.

``python -m tests.bench.regression_honesty`` prints the rates that docs/claims.md states (ten minutes on one core).
Runs have evaluations whose losses fall from a common start, and accuracies on one line in the loss, with noise of
their own and an offset of their run; what holds of the population is exactly the bound that the claim asks about, so
that each answer is wrong: a slope of 0, or a share of .5 of the variance.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from benchmark.measure.claims import Estimate, Evidence, apart, beyond, mean_of, share_apart
from benchmark.measure.loss_regression import explained, jackknifed

Floats = np.ndarray

SHARE = 0.5
"""The share of the variance that the claims of dtkc2019 ask about."""

SEED = 19


@dataclass(frozen=True)
class Case:
    """A population: the share of the noise that is an offset of the run, which is also in its losses where `moved`.

    A fifth of the runs `fall` by four standard deviations of the offset. `n` runs have `t` evaluations each.
    """

    offset: float
    moved: bool
    fall: bool
    n: int
    t: int


@dataclass(frozen=True)
class Rates:
    """Shares of all sets of runs that are called above the bound, and below."""

    above: float
    below: float


def cases() -> Iterator[Case]:
    """Yield all cases of the table."""
    for offset, moved, fall, n, t in product((0.2, 0.8), (False, True), (False, True), (5, 20), (5, 25)):
        yield Case(offset, moved, fall, n, t)


def draw(rng: np.random.Generator, case: Case, sets: int, runs: int) -> tuple[Floats, Floats]:
    """Return losses and noise of accuracies (sets, runs, t)."""
    size, of_runs = (sets, runs, case.t), (sets, runs, 1)
    losses = np.exp(-2 * np.linspace(0, 1, case.t)) + 0.1 * rng.normal(size=size)
    losses += 0.3 * case.moved * rng.normal(size=of_runs)
    offset = rng.normal(size=of_runs) - 4 * (case.fall & (rng.random(of_runs) < 0.2))
    return losses, np.sqrt(case.offset) * offset + np.sqrt(1 - case.offset) * rng.normal(size=size)


def simulate(case: Case, share: float, sets: int, seed: int = SEED) -> Rates:
    """Judge `sets` sets of runs of a population in which a line in the loss explains `share` of the variance.

    A share of 0 asks about the slope, any other about the share.
    """
    rng = np.random.default_rng([seed, case.n, case.t])
    losses, noise = draw(rng, case, 20_000, 1)
    slope = -np.sqrt(share / (1 - share) * noise.var() / losses.var())
    losses, noise = draw(rng, case, sets, case.n)
    words = [judged(*runs, share).word for runs in zip(losses, slope * losses + noise, strict=True)]
    return Rates(words.count("agrees") / sets, words.count("contradicts") / sets)


def judged(losses: Floats, accuracies: Floats, share: float) -> Evidence:
    """Return what one set of runs (n, t) says: is the slope, or the share that is explained, above the bound?"""
    runs = list(zip(losses, accuracies, strict=True))
    if not share:
        return beyond(apart(mean_of(jackknifed(runs, "slope")), Estimate(0.0)))
    return beyond(share_apart(mean_of(explained(runs)), share))


def table(sets: int) -> str:
    """Return the Markdown table of all cases, in per cent."""
    head = ("offset of runs", "moves losses", "runs that fall", "runs", "evaluations")
    head += ("slope above 0", "below", f"share above {SHARE:g}", "below")
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for case in cases():
        slope, share = simulate(case, 0.0, sets), simulate(case, SHARE, sets)
        words = (f"{case.offset:g}", "yes" if case.moved else "no", "20 %" if case.fall else "none")
        rates = (slope.above, slope.below, share.above, share.below)
        lines.append(f"| {' | '.join((*words, str(case.n), str(case.t), *(f'{100 * r:.1f}' for r in rates)))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000, help="sets of runs in each case")
    print(table(parser.parse_args().sets))
