"""Whether a paper's own printed numbers bear out what it says: the same rule, without a model of chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from benchmark.papers.claims import Higher, OfTables, Within, columns_of, side_of
from benchmark.papers.paper import Paper
from benchmark.papers.published import Published
from benchmark.papers.tables import statistic_of

PrintedWord = Literal["supported", "contradicted", "undecided"]


@dataclass(frozen=True)
class Printed:
    """One comparison of printed numbers: `a` and `b` as labels, their values in the unit of the table, None where not.

    `holds` says whether the rule does; None where a number is not printed. `noise` says that the paper prints a
    deviation for both and that the difference is below twice that of the difference.
    """

    a: str
    b: str
    dataset: str
    metric: str
    dataset_label: str
    metric_label: str
    values: tuple[float | None, float | None]
    holds: bool | None
    noise: bool = False


@dataclass(frozen=True)
class OwnTable:
    """What the printed numbers say of a claim: `holds` and `fails` of `of` things, of which `needed` must hold."""

    word: PrintedWord
    of: int
    needed: int
    holds: int
    fails: int
    printed: tuple[Printed, ...]

    @property
    def answer(self) -> str:
        """The answer in words that say whose numbers these are."""
        if self.word == "undecided":
            return "not told by its own table"
        return f"{self.word} by its own table"

    @property
    def line(self) -> str:
        """The answer and its counts in one line, with what speaks against it."""
        against = [_text(each) for each in self.printed if each.holds is False]
        told = f"; against it: {', '.join(against[:3])}{' ...' if len(against) > 3 else ''}" if against else ""
        lacking = sum(each.holds is None for each in self.printed)
        told += f"; {lacking} of {len(self.printed)} comparisons are not printed" if lacking else ""
        return f"{self.answer}: {self.holds} of {self.of} hold, {self.needed} needed{told}"


def own_table(paper: Paper, rule: OfTables) -> OwnTable:
    """Return what the numbers of a paper say of its claim, as they are printed."""
    units, printed = [], []
    for metric in rule.metrics:
        for column in columns_of(paper, rule):
            mine = [_printed(paper, rule, pair, column, metric) for pair in rule.pairs]
            units.append(_unit(rule, mine))
            printed += mine
    needed = rule.needed(len(units))
    holds, fails = units.count(True), units.count(False)
    word: PrintedWord = "undecided"
    if holds >= needed:
        word = "supported"
    elif fails > len(units) - needed:
        word = "contradicted"
    return OwnTable(word, len(units), needed, holds, fails, tuple(printed))


def _unit(rule: OfTables, printed: list[Printed]) -> bool | None:
    """Return whether all pairs of a column hold, or with `any_of_a` all of one of `a`; None where that is not told."""
    if not (isinstance(rule, Higher) and rule.any_of_a):
        return _every([each.holds for each in printed])
    firsts = [pair[0] for pair in rule.pairs]
    groups = [[p.holds for p, f in zip(printed, firsts, strict=True) if f == name] for name in dict.fromkeys(firsts)]
    found = [_every(group) for group in groups]
    return True if True in found else None if None in found else False


def _every(held: list[bool | None]) -> bool | None:
    return False if False in held else None if None in held else True


def _printed(paper: Paper, rule: OfTables, pair: tuple[str, str | float], column: str, metric: str) -> Printed:
    (first, one), (second, other) = (_side(paper, rule, side, column, metric) for side in pair)
    holds = None if one is None or other is None else _holds(rule, one.value - other.value)
    return Printed(
        first,
        second,
        column,
        metric,
        paper.protocol.columns[column].label,
        paper.protocol.metrics[metric].label,
        (None if one is None else one.value, None if other is None else other.value),
        holds,
        _within_noise(one, other),
    )


def _side(paper: Paper, rule: OfTables, side: str | float, column: str, metric: str) -> tuple[str, Published | None]:
    if isinstance(side, float):
        return f"{side:g}", Published(side)
    found = side_of(paper, rule, side, column)
    row, table, measure = paper.method(found.row), paper.tables[found.table], paper.protocol.metrics[metric]
    label = f"{row.label} at {found.setting}" if found.setting else row.label
    place = paper.protocol.columns[column]
    statistic = statistic_of(table, measure)
    return label, paper.published_value(table, row, place, found.setting, measure, statistic)


def _holds(rule: OfTables, difference: float) -> bool:
    # Decimal numbers miss a bound by a few units in the last place; equal numbers are not higher.
    difference = round(difference, 9)
    if isinstance(rule, Within):
        return abs(difference) < rule.by
    if not isinstance(rule, Higher):
        return difference > 0
    difference = -difference if rule.rule == "lower" else difference
    return difference >= rule.by if rule.by else difference > 0


def _within_noise(a: Published | None, b: Published | None) -> bool:
    if a is None or b is None or a.sd is None or b.sd is None:
        return False
    return abs(a.value - b.value) < 2 * math.hypot(a.sd, b.sd)


def _text(each: Printed) -> str:
    a, b = each.values
    return f"{each.a} {a:g} and {each.b} {b:g} on {each.dataset_label} ({each.metric_label})"
