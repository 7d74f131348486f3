"""Is the verdict honest? Coverage, false verdicts and power of `benchmark.measure` under simulation, as a table.

``python -m tests.bench.verdict_honesty`` prints the Markdown table of docs/verdicts.md (half a minute on one
core), and with ``--csv benchmark/report/pages/honesty.csv`` writes it for the report, too;
``--sets 1000`` takes fewer sets of runs, ``--statistics boot_mean`` another statistic. Ours and the paper's
runs are drawn from one population, a paper's number and its sd are made of its runs as papers make them and rounded to
one decimal, and the rule judges ours against them.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.measure.judgement import half_widths, predicted, verdict_names
from benchmark.measure.verdict import EQUIVALENT, HIGHER, LOWER

Floats = np.ndarray

DIFFERENCES = (3.0, 6.0, 10.0)
"""True differences in points, ours above the published."""

SEED = 15

Published = Literal["best", "mean", "boot_mean"]


@dataclass(frozen=True)
class Case:
    """One case: values of runs are normal with `spread` as sd, or bimodal: 30 % of them 15 points lower, sd 1 each.

    `correlation` is that of loss and value; -0.9 means that low losses go with high values. `with_sd`: the paper prints
    the sd of its statistic, the bootstrap sd of a best or the standard error of a mean (0.0 of one run). `boot_mean` is
    the mean of the best over bootstrap samples, which tables judge as a best.
    """

    statistic: Published
    spread: float | None
    correlation: float
    m: int
    n: int
    with_sd: bool

    @property
    def population(self) -> str:
        """The population in words."""
        return "bimodal" if self.spread is None else f"normal, sd {self.spread:g}"

    @property
    def undecidable(self) -> bool:
        """Whether ours can miss, with 17 %, the group of runs that decides the published number; see docs/verdicts.md.

        All five runs are then of the upper group, and look like five runs of a normal population of sd 1.
        """
        if self.spread is not None or self.n > 5 or self.m == 1:
            return False
        return not self.with_sd if self.statistic == "mean" else self.correlation > 0


@dataclass(frozen=True)
class Honesty:
    """Shares of all sets of runs in a case: see the columns of the table."""

    coverage: float
    higher: float
    lower: float
    equivalent: float
    power: tuple[float, ...]
    half_width: float


def cases(statistics: Sequence[Published] = ("best", "mean")) -> Iterator[Case]:
    """Yield all cases of the table."""
    for statistic, spread, m, with_sd, n in product(
        statistics, (1.0, 3.0, 6.0, None), (1, 20), (False, True), (5, 10, 20)
    ):
        # Of one run there is nothing to select, and a mean doesn't look at losses.
        for correlation in (0.0, -0.9, 0.9) if statistic != "mean" and m > 1 else (0.0,):
            yield Case(statistic, spread, correlation, m, n, with_sd)


def simulate(case: Case, sets: int, seed: int = SEED) -> Honesty:
    """Judge `sets` sets of runs at true differences of 0 and of `DIFFERENCES`."""
    rng = np.random.default_rng([seed, case.n, case.m])
    losses, values = draw(rng, case, sets, case.n)
    value, sd = published(case, *draw(rng, case, sets, case.m))
    judged_as = "best" if case.statistic == "boot_mean" else case.statistic
    found = predicted(losses, values, sd if case.with_sd else None, judged_as, case.m, decimals=1)
    half90, half95 = half_widths(found)
    difference = found.mean - value
    names = verdict_names(difference, half90, half95)
    power = tuple(float((verdict_names(difference + by, half90, half95) == HIGHER).mean()) for by in DIFFERENCES)
    shares = (float((names == name).mean()) for name in (HIGHER, LOWER, EQUIVALENT))
    return Honesty(float((np.abs(difference) <= half95).mean()), *shares, power, float(np.median(half95)))


def draw(rng: np.random.Generator, case: Case, sets: int, runs: int) -> tuple[Floats, Floats]:
    """Return losses and values (sets, runs)."""
    normal = rng.normal(size=(sets, runs))
    if case.spread is None:
        values = normal - 15 * (rng.random((sets, runs)) < 0.3)
        scores = (values + 4.5) / np.sqrt(1 + 15**2 * 0.3 * 0.7)
    else:
        values, scores = case.spread * normal, normal
    noise = rng.normal(size=(sets, runs))
    return case.correlation * scores + np.sqrt(1 - case.correlation**2) * noise, values


def published(case: Case, losses: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Return what papers would print of their runs (sets, m), rounded: the statistic, and its sd (sets,)."""
    m = values.shape[1]
    if case.statistic == "mean":
        sd = values.std(axis=1, ddof=1) / np.sqrt(m) if m > 1 else np.zeros(len(values))
        return np.round(values.mean(axis=1), 1), np.round(sd, 1)
    ordered = np.take_along_axis(values, np.argsort(losses, axis=1), axis=1)
    rank = np.arange(1, m + 1)
    chance = ((m - rank + 1) / m) ** m - ((m - rank) / m) ** m  # of losses without ties, exactly
    variance = ordered**2 @ chance - (ordered @ chance) ** 2
    shown = ordered @ chance if case.statistic == "boot_mean" else ordered[:, 0]
    return np.round(shown, 1), np.round(np.sqrt(np.maximum(variance, 0)), 1)


def table(sets: int, statistics: Sequence[Published] = ("best", "mean")) -> str:
    """Return the Markdown table of all cases, and a line that sums it up."""
    head = ("statistic", "runs", "correlation", "m", "n", "sd printed", "coverage", "false higher", "false lower")
    head += ("equivalent", *(f"power {by:g}" for by in DIFFERENCES), "half width")
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    found = {case: simulate(case, sets) for case in cases(statistics)}
    lines += [row(case, h) for case, h in found.items()]
    decidable = [h for case, h in found.items() if not case.undecidable]
    coverage, false = [h.coverage for h in decidable], [h.higher + h.lower for h in decidable]
    mean = np.mean([h.higher + h.lower for h in found.values()])
    unmarked = f"Without the {len(found) - len(decidable)} marked (*): coverage {100 * min(coverage):.1f} to "
    unmarked += f"{100 * max(coverage):.1f} %, false verdicts at most {100 * max(false):.1f} %. "
    on_average = f"False verdicts on average over all cases, marked ones too: {100 * mean:.1f} %."
    lines += ["", f"{sets} sets of runs in each of {len(found)} cases. {unmarked}{on_average}"]
    return "\n".join(lines)


def as_csv(markdown: str) -> str:
    """Return the lines of the table, wherever they stand in a text, as CSV; the mark has a column of its own."""
    starts = ("| statistic | runs ", "| best ", "| mean ", "| boot_mean ")
    head, *rows = (
        [word.strip() for word in line.strip("| ").split("|")]
        for line in markdown.splitlines()
        if line.startswith(starts)
    )
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([*head, "undecidable"])
    place = head.index("coverage")
    for words in rows:
        coverage, _, mark = words[place].partition(" ")
        writer.writerow([*words[:place], coverage, *words[place + 1 :], "yes" if mark else "no"])
    return written.getvalue()


def row(case: Case, h: Honesty) -> str:
    """Return the line of a case in the table; shares are in per cent, the half width in points."""
    words = (case.statistic, case.population, f"{case.correlation:g}", str(case.m), str(case.n))
    words += ("yes" if case.with_sd else "no", f"{100 * h.coverage:.1f}" + (" (*)" if case.undecidable else ""))
    words += tuple(f"{100 * share:.1f}" for share in (h.higher, h.lower, h.equivalent, *h.power))
    return f"| {' | '.join((*words, f'{h.half_width:.1f}'))} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=20_000, help="sets of runs in each case")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    parser.add_argument("--statistics", nargs="+", default=["best", "mean"], choices=["best", "mean", "boot_mean"])
    asked = parser.parse_args()
    made = table(asked.sets, asked.statistics)
    if asked.csv:
        asked.csv.write_text(as_csv(made), encoding="utf-8")
    print(made)
