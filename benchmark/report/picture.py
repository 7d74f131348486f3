"""The picture of a paper: published against ours for each method and data set, as small inline SVG in a table.

Every square has the same axis, from 0 to 100 %. A bar stands for the published value, a filled mark for ours where all
runs of the paper's profile are there, a hollow one, with the name of the profile beside it, for anything less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from benchmark.measure.verdict import JUDGED
from benchmark.papers.paper import Paper
from benchmark.papers.published import Published
from benchmark.papers.tables import TableRule, statistic_of
from benchmark.report.views import FULL, Standing

HEIGHT, EDGE = 22, 6
NARROWEST, WIDEST, ROOM = 96, 200, 1060
"""A square is as wide as the columns of a picture leave room for on a usual screen, within these bounds, in pixels."""
LOW, HIGH = 0.0, 100.0
HEIGHTS = {"paper": 8.0, "code": 15.0}
"""How far below the upper edge the mark of each reading lies."""


@dataclass(frozen=True)
class Square:
    """One method on one data set: the published number, if any, and what is stored of ours, the fullest first."""

    table: str
    place: str
    label: str
    dataset_label: str
    metric_label: str
    decimals: int
    published: Published | None
    ours: tuple[Standing, ...]

    @property
    def page(self) -> str:
        """The page of the cell that is drawn first, "" without one."""
        return next((one.page for one in self.ours if one.page), "")

    @property
    def said(self) -> str:
        """The numbers in words, as they are shown on hovering and read aloud."""
        published = f"published {self.published.text(self.decimals)}" if self.published else "no published number"
        told = [published, *map(_told, self.ours)] if self.ours else [published, "ours: no run stored"]
        return f"{self.label} on {self.dataset_label}, {self.metric_label} [%], {self.place}: {'; '.join(told)}."


def picture(paper: Paper, found: Iterable[Standing]) -> dict[str, Any]:
    """Return columns and rows of the picture of a paper, ready for its template; `found` are the paper's numbers."""
    tables = headline_tables(paper)
    squares = _squares(paper, tables, found)
    labels = {column: square.dataset_label for (_, column), square in squares.items()}
    # Data that the paper has no numbers of stand behind those that it has.
    columns = {c: label for only in (False, True) for c, label in labels.items() if bool(_only_in(squares, c)) is only}
    width = min(WIDEST, max(NARROWEST, ROOM // max(1, len(columns))))
    rows = {row: square.label for (row, _), square in squares.items()}
    metrics = dict.fromkeys(square.metric_label for square in squares.values())
    places = dict.fromkeys(square.place for square in squares.values())
    return {
        "metric": " or ".join(metrics),
        "places": ", ".join(places),
        "columns": [{"label": label, "profiles": _only_in(squares, column)} for column, label in columns.items()],
        "rows": [
            {"label": label, "squares": [_shown(squares.get((row, column)), width) for column in columns]}
            for row, label in rows.items()
        ],
    }


def headline_tables(paper: Paper) -> list[tuple[str, TableRule]]:
    """Return the tables of per cent over methods and data sets, without settings; the most urgent first."""
    fit = [(name, rule) for name, rule in paper.tables.items() if rule.kind == "results"]
    fit = [(name, rule) for name, rule in fit if rule.unit == "%" and not rule.grid and rule.metrics]
    return sorted(fit, key=lambda pair: pair[1].priority)


def _squares(
    paper: Paper, tables: Sequence[tuple[str, TableRule]], found: Iterable[Standing]
) -> dict[tuple[str, str], Square]:
    """Return the squares by row and column: each of the first table that has it."""
    held: dict[tuple[str, str, str], list[Standing]] = {}
    for standing in found:
        held.setdefault((standing.table, standing.row, standing.column), []).append(standing)
    squares: dict[tuple[str, str], Square] = {}
    for name, rule in tables:
        metric = rule.metrics[0]
        stored = [key[1:] for key in held if key[0] == name]
        for row, column in dict.fromkeys((*((r, c) for r in rule.rows for c in rule.columns), *stored)):
            ours = [s for s in held.get((name, row, column), ()) if s.metric == metric and s.result.value is not None]
            published = _published(paper, rule, row, column)
            if (row, column) not in squares and (ours or published):
                squares[row, column] = Square(
                    table=name,
                    place=rule.published,
                    label=paper.method(row).label,
                    dataset_label=ours[0].dataset_label if ours else paper.protocol.columns[column].label,
                    metric_label=paper.protocol.metrics[metric].label,
                    decimals=rule.decimals,
                    published=published,
                    ours=_fullest(ours),
                )
    return squares


def _published(paper: Paper, rule: TableRule, row: str, column: str) -> Published | None:
    metric = paper.protocol.metrics[rule.metrics[0]]
    return paper.published_value(
        rule, paper.method(row), paper.protocol.columns[column], "", metric, statistic_of(rule, metric)
    )


def _fullest(ours: Sequence[Standing]) -> tuple[Standing, ...]:
    """Return of each reading the number of the fullest profile, whole ones before those that lack runs."""
    chosen: dict[str, Standing] = {}
    for one in sorted(ours, key=lambda s: (s.profile != FULL, not s.complete)):
        chosen.setdefault(one.reading, one)
    return tuple(chosen[reading] for reading in HEIGHTS if reading in chosen)


def _only_in(squares: dict[tuple[str, str], Square], column: str) -> str:
    """Return the reduced profiles of a column that has no number of the paper, "" of any other."""
    mine = [square for (_, c), square in squares.items() if c == column]
    if any(square.published for square in mine):
        return ""
    profiles = dict.fromkeys(one.profile for square in mine for one in square.ours if one.reduced)
    return " and ".join(profiles)


def _told(one: Standing) -> str:
    where = f"profile {one.profile}, reading {one.reading}, {one.runs}"
    if one.reduced:
        return f"ours {one.ours} in the reduced profile {one.profile}, not comparable ({where})"
    judged = one.result.judgement
    if judged is None or judged.interval95 is None:
        return f"ours {one.ours}, {one.state} ({where})"
    low, high = judged.interval95
    return f"ours {one.ours}, {one.state}: difference in 95 % of cases {low:+.1f} to {high:+.1f} ({where})"


def _shown(square: Square | None, width: int) -> dict[str, Any] | None:
    return {"svg": square_svg(square, width), "page": square.page, "said": square.said} if square else None


def square_svg(square: Square, width: int) -> Markup:
    """Return a square as SVG, named by its numbers; it is `width` pixels wide."""

    def across(value: float) -> float:
        share = (min(max(value, LOW), HIGH) - LOW) / (HIGH - LOW)  # what lies beyond the axis is drawn at its end
        return round(EDGE + share * (width - 2 * EDGE), 1)

    grid = "".join(f"M{across(tick):g},0V{HEIGHT}" for tick in (0, 25, 50, 75, 100))
    head = Markup('<svg class="square" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-label="{2}">')
    parts = [head.format(width, HEIGHT, square.said), Markup('<path class="grid" d="{}"/>').format(grid)]
    if square.published:
        parts += _published_mark(square.published, across)
    for one in square.ours:
        parts += _mark(one, across, width / 2)
    return Markup("").join([*parts, Markup("</svg>")])


Across = Callable[[float], float]
"""Gives where a value lies in a square."""


def _published_mark(published: Published, across: Across) -> Iterator[Markup]:
    if published.sd:
        low, high = across(published.value - published.sd), across(published.value + published.sd)
        band = '<rect class="theirs-sd" x="{}" y="1" width="{:.1f}" height="{}"/>'
        yield Markup(band).format(low, max(high - low, 0.5), HEIGHT - 2)
    yield Markup('<path class="theirs" d="M{},1V{}"/>').format(across(published.value), HEIGHT - 1)


def _mark(one: Standing, across: Across, middle: float) -> Iterator[Markup]:
    """Yield the mark of one number of ours: filled if it is final, else hollow with the name of its profile."""
    value = one.result.value
    assert value is not None
    at, up = across(value), HEIGHTS[one.reading]
    final = not one.reduced and one.complete
    style = f"mark {one.state.replace(' ', '-')}" if final else "mark hollow"
    low, high = _interval(one)
    if high > low:
        yield Markup('<path class="{}" d="M{},{}H{}"/>').format(style, across(low), up, across(high))
    if one.reading == "code":
        yield Markup('<rect class="{}" x="{:.1f}" y="{}" width="6" height="6"/>').format(style, at - 3, up - 3)
    else:
        yield Markup('<circle class="{}" cx="{}" cy="{}" r="3.4"/>').format(style, at, up)
    if not final:
        name = one.profile if one.reduced else f"{one.result.n_ok}/{one.result.n}"
        side, anchor = (at - 6, "end") if at > middle else (at + 6, "start")
        yield Markup('<text x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(side, up + 3, anchor, name)


def _interval(one: Standing) -> tuple[float, float]:
    """Return what our runs predict for the published number in 95 % of cases; where nothing is judged, one sd."""
    value, judged = one.result.value or 0.0, one.result.judgement
    if judged is not None and judged.interval95 is not None and one.published is not None:
        low, high = judged.interval95
        return one.published.value + low, one.published.value + high
    sd = one.result.sd or 0.0
    return value - sd, value + sd


def judged_counts(found: Iterable[Standing]) -> list[dict[str, Any]]:
    """Return for each reading with any verdict the published numbers, and how many have which verdict."""
    lines: dict[str, dict[str, Any]] = {}
    for one in found:
        if one.published is None or one.reduced:
            continue
        line = lines.setdefault(one.reading, {"reading": one.reading, "published": 0, **dict.fromkeys(JUDGED, 0)})
        line["published"] += 1
        if one.state in JUDGED:
            line[one.state] += 1
    return [line for line in lines.values() if any(line[state] for state in JUDGED)]
