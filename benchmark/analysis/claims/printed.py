"""Whether a paper's own printed numbers bear out what it says: the same rule, without a model of chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from benchmark.papers.claim_sides import Unit, side_of, units_of
from benchmark.papers.claims import Higher, OfTables, Pair, Within
from benchmark.papers.paper import Paper
from benchmark.papers.published import Published
from benchmark.papers.tables import statistic_of

PrintedWord = Literal["supported", "contradicted", "undecided"]


@dataclass(frozen=True)
class Printed:
    """One comparison of printed numbers: `a` and `b` as labels, their values in the unit of the table, None where not.

    `holds` says whether the rule does; None where a number is not printed. `noise` says that the paper prints a
    deviation for both and that the numbers differ by less than twice that of their difference.
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

    @property
    def text(self) -> str:
        """The comparison in words."""
        a, b = ("-" if value is None else f"{value:g}" for value in self.values)
        second = f"{self.b} {b}" if self.b != b else b
        return f"{self.a} {a} and {second} on {self.dataset_label} ({self.metric_label})"


@dataclass(frozen=True)
class OwnTable:
    """What the printed numbers say of a claim: `holds` and `fails` of `of` things, of which `needed` must hold.

    `word` is the answer to the claim; of a claim that denies something, it is turned.
    """

    word: PrintedWord
    of: int
    needed: int
    holds: int
    fails: int
    printed: tuple[Printed, ...]
    denied: bool = False

    @property
    def answer(self) -> str:
        """The answer in words that say whose numbers these are."""
        return "not told by its own table" if self.word == "undecided" else f"{self.word} by its own table"

    @property
    def line(self) -> str:
        """The answer and its counts in one line, with what speaks against it."""
        against = [each.text for each in self.printed if each.holds is self.denied]
        told = f"; against it: {', '.join(against[:3])}{', ...' if len(against) > 3 else ''}" if against else ""
        lacking = sum(each.holds is None for each in self.printed)
        told += f"; {lacking} of {len(self.printed)} comparisons are not printed" if lacking else ""
        if self.of == 1:
            return f"{self.answer}{told or f'; {self.printed[0].text}'}"
        all_ = self.needed == self.of
        needed = f", and {f'all {self.of}' if all_ else self.needed} must"
        if self.denied:
            needed = f", and the claim is that {'not all' if all_ else f'fewer than {self.needed}'} do"
        return f"{self.answer}: {self.holds} of {self.of} hold{needed}{told}"


def own_table(paper: Paper, rule: OfTables) -> OwnTable:
    """Return what the numbers of a paper say of its claim, as they are printed."""
    units, printed = [], []
    for unit in units_of(paper, rule):
        groups = [[_printed(paper, rule, unit, pair) for pair in group] for group in unit.groups]
        units.append(_some([_every([each.holds for each in group]) for group in groups]))
        printed += [each for group in groups for each in group]
    needed = rule.needed(len(units))
    holds, fails = units.count(True), units.count(False)
    word: PrintedWord = "undecided"
    if holds >= needed:
        word = "contradicted" if rule.denied else "supported"
    elif fails > len(units) - needed:
        word = "supported" if rule.denied else "contradicted"
    return OwnTable(word, len(units), needed, holds, fails, tuple(printed), rule.denied)


def _every(held: list[bool | None]) -> bool | None:
    return False if False in held else None if None in held else True


def _some(held: list[bool | None]) -> bool | None:
    return True if True in held else None if None in held else False


def _printed(paper: Paper, rule: OfTables, unit: Unit, pair: Pair) -> Printed:
    first, one = _side(paper, rule, pair[0], unit.column, unit.metric)
    second, other = _side(paper, rule, pair[1], unit.column, unit.second)
    holds = None if one is None or other is None else _holds(rule, one.value - other.value)
    return Printed(
        first,
        second,
        unit.column,
        unit.metric,
        paper.protocol.columns[unit.column].label,
        paper.protocol.metrics[unit.metric].label,
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
