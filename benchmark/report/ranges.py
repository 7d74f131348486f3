"""The interval of a verdict as a small range: the difference, where it may lie, and the margin of equivalence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from benchmark.measure.judgement import Judgement
from benchmark.measure.verdict import MARGIN

WIDTH, HEIGHT, REACH = 64, 12, 12.0
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

    def at(points: float) -> float:
        inside = min(max(points, -REACH), REACH)
        return round(WIDTH / 2 + inside / REACH * (WIDTH / 2 - 3), 1)

    (low, high), (low90, high90) = judged.interval95, judged.interval90
    middle = HEIGHT / 2
    said = (
        f"difference {judged.difference:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}, 90 % interval "
        f"{low90:+.1f} to {high90:+.1f}, margin {MARGIN:g}"
    )
    return Markup(
        '<svg class="range {}" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{}">'
        '<title>{}</title><rect class="margin" x="{}" y="0" width="{:.1f}" height="{h}"/>'
        '<path class="zero" d="M{},0V{h}"/><path class="mark" d="M{},{m}H{}"/><path class="mark inner" d="M{},{m}H{}"/>'
        '<circle class="mark" cx="{}" cy="{m}" r="2.6"/></svg>'
    ).format(
        *(judged.name, said, said, at(-MARGIN), at(MARGIN) - at(-MARGIN), at(0.0)),
        *(at(low), at(high), at(low90), at(high90), at(judged.difference)),
        w=WIDTH,
        h=HEIGHT,
        m=middle,
    )
