"""What the verdict of a cell rests on, so that a sceptic can ask again; and why a cell has none."""

from __future__ import annotations

from typing import Any

from benchmark.analysis.statistics import CellStatistic, MeasuredRun, Question, question
from benchmark.measure.judgement import Judgement
from benchmark.measure.verdict import INCOMPLETE, MARGIN, MIN_RUNS, MIN_SHARE, NOT_JUDGED
from benchmark.papers.published import Published
from benchmark.plan.cells import PlannedCell
from benchmark.tables.values import CellResult


def verdict_facts(
    result: CellResult,
    cell: PlannedCell,
    published: Published | None,
    runs: list[MeasuredRun],
    statistic: CellStatistic,
) -> dict[str, Any]:
    """Return the verdict of a cell, its intervals and their ground, and the call that recomputes them."""
    asked = None
    if published is not None and result.judgement is not None:
        asked = question(runs, statistic, published, cell.deterministic)
    if asked is None or result.judgement is None or published is None:
        return {"verdict": result.verdict or unjudged(cell, published), "why": _reason(result)}
    judgement = result.judgement
    facts: dict[str, Any] = {
        "verdict": judgement.name,
        "difference": judgement.difference,
        "difference_is": _meaning(asked),
        "interval90": judgement.interval90,
        "interval95": judgement.interval95,
        "margin": MARGIN,
        "published_runs": 1 if published.runs is None else published.runs,
        "published_runs_is": "one, as the paper is silent" if published.runs is None else "stated by the paper",
        "published_sd": judgement.published_sd,
        "published_sd_is": _spread(judgement, asked),
        "df": judgement.df,
        "runs_used": judgement.runs,
    }
    lists = {key: list(value) for key, value in facts.items() if isinstance(value, tuple)}
    return facts | lists | {"recompute": f"from benchmark.measure import judge_runs; print({asked.call()})"}


def unjudged(cell: PlannedCell, published: Published | None) -> str:
    """Say why a cell with a number has no verdict."""
    if cell.profile != "paper":
        return "none in a reduced profile"
    if published is None:
        return "none: the paper gives no number"
    return "none: fields were set" if cell.overrides else "none: there is no value"


def _reason(result: CellResult) -> str:
    if result.verdict == NOT_JUDGED:
        return "only best, mean and boot_mean have a rule (docs/verdicts.md), and the protocol may except a metric"
    if result.verdict == INCOMPLETE:
        return f"needs all planned runs, of which at least {MIN_SHARE:.0%} and {MIN_RUNS} (or all, if fewer) entered"
    return ""


def _meaning(asked: Question) -> str:
    """Return in words what the difference of a judgement is."""
    m = 1 if asked.published_runs is None else asked.published_runs
    if asked.statistic == "max":
        return "the highest value of our runs minus the published value; not judged"
    what = "a single run" if m == 1 else f"the {asked.statistic} of {m} runs"
    return f"what our runs predict for {what}, minus the published value (not the gap between the numbers shown)"


def _spread(judgement: Judgement, asked: Question) -> str:
    """Return in words which sd was taken for the published side."""
    if judgement.interval90 is None:
        return "nothing is judged"
    if asked.deterministic and len(asked.values) == 1:
        printed = "" if asked.published_sd is None else f"the paper's {asked.published_sd:.4g}, and "
        return f"{printed}the rounding to {asked.decimals} decimals, as the method draws nothing at random"
    rounding = f"with the rounding to {asked.decimals} decimals"
    if asked.published_sd is None:
        return f"our model's, as the paper prints none, {rounding}"
    return f"the larger of the paper's {asked.published_sd:.4g} and our model's, {rounding}"
