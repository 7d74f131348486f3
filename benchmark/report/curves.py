"""Small line charts as inline SVG, cheap enough for thousands of pages; they take the colours of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 420, 190, 52, 28, 22
STROKES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 2", "10 4")


def curve_svg(
    title: str,
    x: Sequence[Sequence[float]],
    y: Sequence[Sequence[float]],
    names: Sequence[str],
    *,
    x_label: str = "epoch",
) -> str:
    """Return an SVG of one line for each of `names`, through the points of `x` and `y`, with a title and axes.

    A line of one point is drawn as a dot with its name. Points that are not finite are left out; without any point, an
    empty string is returned.
    """
    lines = [
        [(a, b) for a, b in zip(xs, ys, strict=True) if math.isfinite(a) and math.isfinite(b)]
        for xs, ys in zip(x, y, strict=True)
    ]
    points = [point for line in lines for point in line]
    if not points:
        return ""
    (x0, x1), (y0, y1) = (_span([point[axis] for point in points]) for axis in (0, 1))
    scale_x, scale_y = (WIDTH - LEFT - 8) / (x1 - x0), (HEIGHT - BOTTOM - TOP) / (y1 - y0)

    def place(a: float, b: float) -> str:
        return f"{LEFT + (a - x0) * scale_x:.1f},{HEIGHT - BOTTOM - (b - y0) * scale_y:.1f}"

    label = f"{title}: {len(names)} runs, from {min(p[1] for p in points):.4g} to {max(p[1] for p in points):.4g}"
    parts = [
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="{escape(label)}">',
        f'<text x="{LEFT}" y="14">{escape(title)}</text>',
        f'<path class="axis" d="M{LEFT},{TOP}V{HEIGHT - BOTTOM}H{WIDTH - 8}" fill="none"/>',
        f'<text x="{LEFT - 4}" y="{HEIGHT - BOTTOM}" text-anchor="end">{y0:.3g}</text>',
        f'<text x="{LEFT - 4}" y="{TOP + 8}" text-anchor="end">{y1:.3g}</text>',
        f'<text x="{LEFT}" y="{HEIGHT - 12}">{x0:.4g}</text>',
        f'<text x="{WIDTH - 8}" y="{HEIGHT - 12}" text-anchor="end">{escape(x_label)} {x1:.4g}</text>',
    ]
    for number, (line, name) in enumerate(zip(lines, names, strict=True)):
        style = f'stroke="{STROKES[number % 6]}" stroke-dasharray="{DASHES[number % 6]}"'
        if len(line) == 1:
            cx, cy = place(*line[0]).split(",")
            parts.append(
                f'<circle cx="{cx}" cy="{cy}" r="4" fill="{STROKES[0]}"><title>{escape(name)}</title></circle>'
            )
            continue
        path = " ".join(place(a, b) for a, b in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke-width="1.6" {style}><title>{escape(name)}</title>')
        parts.append("</polyline>")
    return "".join((*parts, "</svg>"))


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
