"""The page on verdicts: the rule in short, and how honest it is under simulation (docs/verdicts.md has all of it)."""

from __future__ import annotations

import csv
import importlib.resources
from dataclasses import dataclass
from statistics import fmean

from benchmark.measure.verdict import MARGIN, MIN_RUNS, MIN_SHARE
from benchmark.report.site import Site

TABLE = "honesty.csv"
SETS = 20_000
"""Of so many sets of runs each line of the table tells."""


@dataclass(frozen=True)
class Honesty:
    """What the table comes to, in per cent; the cases that no rule can decide are left out but for the average."""

    cases: int
    undecidable: int
    least_coverage: float
    most_coverage: float
    most_false: float
    average_false: float


def honesty_rows() -> list[dict[str, str]]:
    """Return the lines of the committed table, as text; ``python -m tests.bench.verdict_honesty`` makes it."""
    file = importlib.resources.files("benchmark.report").joinpath("pages", TABLE)
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))


def summed_up(rows: list[dict[str, str]]) -> Honesty:
    """Return the key numbers of the table."""
    decidable = [row for row in rows if row["undecidable"] == "no"]
    coverage = [float(row["coverage"]) for row in decidable]
    return Honesty(
        len(rows),
        len(rows) - len(decidable),
        min(coverage),
        max(coverage),
        max(map(_false, decidable)),
        fmean(map(_false, rows)),
    )


def honesty_page(site: Site) -> None:
    """Write verdicts.html: key numbers first, then the whole table."""
    rows = honesty_rows()
    lines = [{key: float(value) if _is_share(key) else value for key, value in row.items()} for row in rows]
    site.write(
        "verdicts.html",
        "verdicts.html.j2",
        "How far verdicts can be trusted",
        found=summed_up(rows),
        lines=lines,
        sets=SETS,
        margin=MARGIN,
        least_runs=MIN_RUNS,
        least_share=round(100 * MIN_SHARE),
    )


def _false(row: dict[str, str]) -> float:
    return float(row["false higher"]) + float(row["false lower"])


def _is_share(key: str) -> bool:
    return key in ("coverage", "false higher", "false lower", "equivalent", "half width") or key.startswith("power")
