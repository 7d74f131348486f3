"""One comparison inside a claim, as its rule asks for it and in words; and the command that makes what is missing."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.measure.claims import Evidence, Gap, beyond, inside
from benchmark.measure.statements import Interval
from benchmark.papers.claim_sides import Side
from benchmark.papers.claims import Higher, OfTables, Within
from benchmark.plan.cells import PlannedCell


@dataclass(frozen=True)
class Lack:
    """What is missing of a comparison: its `kind` in a word or two, `text` more exactly, the cell that lacks runs."""

    kind: str
    text: str
    cell: PlannedCell | None = None


@dataclass(frozen=True)
class Compared:
    """One comparison inside a claim: `a` against `b` on a column and metric, in the unit of its table.

    `dataset` and `metric` are ids, the labels are for people; `sides` are rows of tables (one, where the other side is
    a number). `gap` is the difference A - B with its 95 % `interval`, over pairs of runs or not; None where nothing is
    stored. `quantity` says of what: "mean" of single runs, "best of M" by the loss, as the verdicts predict it,
    "spread", or "over all runs" of a regression. `tested` is what the claim asks of it. `run_ids` are the runs of both
    sides.
    """

    a: str
    b: str
    sides: tuple[Side, ...]
    dataset: str
    metric: str
    dataset_label: str
    metric_label: str
    quantity: str
    tested: Evidence
    gap: Gap | None = None
    runs: tuple[int, int] = (0, 0)
    paired: bool = False
    lacks: tuple[Lack, ...] = ()
    run_ids: tuple[str, ...] = ()

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the difference; None where one run tells none."""
        return None if self.gap is None else self.gap.interval()

    @property
    def text(self) -> str:
        """The comparison in words: what, the difference, its 95 % interval, of how many runs."""
        what = f"{self.a} - {self.b} on {self.dataset_label} ({self.metric_label}, {self.quantity})"
        if self.gap is None:
            return what
        low, high = self.gap.interval()
        return f"{what} {self.gap.estimate:+.3g} [{low:+.3g}, {high:+.3g}], {self.counted}"

    @property
    def counted(self) -> str:
        """How many runs, in words."""
        left, right = self.runs
        if self.paired:
            return f"{left} pairs"
        return f"{left} and {right} runs" if len(self.sides) > 1 else f"{left} runs"


def tested_by(rule: OfTables, gap: Gap | None) -> Evidence:
    """Return what a claim's rule says of one difference."""
    if isinstance(rule, Within):
        return inside(gap, rule.by)
    if isinstance(rule, Higher) and rule.rule == "lower":
        return beyond(None if gap is None else Gap(-gap.estimate, gap.error, gap.df), rule.by)
    return beyond(gap, rule.by if isinstance(rule, Higher) else 0.0)


def command_for(lacks: Sequence[Lack]) -> str:
    """Return the command that makes the runs that are missing; "" where no cell lacks any.

    One command is of one table: that of the first cell.
    """
    cells = [lack.cell for lack in lacks if lack.cell is not None]
    if not cells:
        return ""
    first = cells[0]
    mine = [cell for cell in cells if cell.table == first.table]
    words = ["run", "--table", f"{first.paper}/{first.table}"]
    for option, names in (
        ("--method", [cell.row for cell in mine]),
        ("--dataset", [cell.column for cell in mine]),
        ("--setting", [cell.setting for cell in mine if cell.setting]),
    ):
        words += [word for name in dict.fromkeys(names) for word in (option, name)]
    return f"python -m benchmark {shlex.join([*words, '--profile', first.profile, '--reading', first.reading])}"
