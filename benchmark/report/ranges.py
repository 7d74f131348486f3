"""The interval of a verdict as a small range: the difference, where it may lie, and the margin of equivalence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from benchmark.measure.judgement import Interval, Judgement
from benchmark.measure.verdict import MARGIN

WIDTH, HEIGHT, REACH = 96, 12, 10.0
"""A range shows differences from -REACH to +REACH points."""


def range_of(facts: Mapping[str, Any]) -> Markup:
    """Return the range of the facts of a verdict, as `explain` gives them."""
    if facts.get("interval90") is None or facts.get("interval95") is None:
        return Markup("")
    return range_svg(
        Judgement(facts["verdict"], facts["difference"], tuple(facts["interval90"]), tuple(facts["interval95"]))
    )


def range_svg(judged: Judgement | None) -> Markup:
    """Return the interval of a verdict as a small range around 0, on the margin of equivalence; "" without one."""
    if judged is None or judged.interval95 is None or judged.interval90 is None:
        return Markup("")
    (low, high), (low90, high90) = judged.interval95, judged.interval90
    said = (
        f"difference {judged.difference:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}, 90 % interval "
        f"{low90:+.1f} to {high90:+.1f}, margin {MARGIN:g}"
    )
    return span_svg(judged.name, judged.difference, judged.interval95, judged.interval90, said)


def span_svg(name: str, centre: float, wide: Interval, narrow: Interval, said: str) -> Markup:
    """Return two intervals around a difference, in points, on the margin; `name` is their class, `said` their words."""

    def at(points: float) -> float:
        inside = min(max(points, -REACH), REACH)
        return round(WIDTH / 2 + inside / REACH * (WIDTH / 2 - 3), 1)

    return Markup(
        '<svg class="range {}" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{}">'
        '<title>{}</title><rect class="margin" x="{}" y="0" width="{:.1f}" height="{h}"/>'
        '<path class="zero" d="M{},0V{h}"/><path class="mark" d="M{},{m}H{}"/><path class="mark inner" d="M{},{m}H{}"/>'
        '<circle class="mark" cx="{}" cy="{m}" r="2.2"/></svg>'
    ).format(
        *(name, said, said, at(-MARGIN), at(MARGIN) - at(-MARGIN), at(0.0)),
        *(at(wide[0]), at(wide[1]), at(narrow[0]), at(narrow[1]), at(centre)),
        w=WIDTH,
        h=HEIGHT,
        m=HEIGHT / 2,
    )
