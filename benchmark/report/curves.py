"""Small line charts as inline SVG, cheap enough for thousands of pages; they take the colours of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 420, 190, 52, 28, 22
STROKES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 2", "10 4")
LEGEND, ACROSS, ROW = 12, 4, 14
"""So many lines are named below a chart, so many of them side by side, in rows of this height; more are not."""


def curve_svg(
    title: str,
    x: Sequence[Sequence[float]],
    y: Sequence[Sequence[float]],
    names: Sequence[str],
    *,
    x_label: str = "epoch",
    width: int = WIDTH,
    bounds: tuple[float, float] | None = None,
    named: bool = True,
    first_stands_out: bool = False,
    said: str = "",
) -> str:
    """Return an SVG of one line for each of `names`, through the points of `x` and `y`, with a title and axes.

    A line of one point is drawn as a dot with its name; with `first_stands_out` the first is large, the others small
    and grey. `bounds` are those of the y axis, by default of the points; `named` says whether lines are named below,
    `said` what is read aloud beside the range. Points that are not finite are left out; without any point, an empty
    string is returned.
    """
    lines = [
        [(a, b) for a, b in zip(xs, ys, strict=True) if math.isfinite(a) and math.isfinite(b)]
        for xs, ys in zip(x, y, strict=True)
    ]
    points = [point for line in lines for point in line]
    if not points:
        return ""
    (x0, x1), (y0, y1) = _span([p[0] for p in points]), bounds or _span([p[1] for p in points])
    scale_x, scale_y = (width - LEFT - 8) / (x1 - x0), (HEIGHT - BOTTOM - TOP) / (y1 - y0)

    def place(a: float, b: float) -> tuple[str, str]:
        return f"{LEFT + (a - x0) * scale_x:.1f}", f"{HEIGHT - BOTTOM - (b - y0) * scale_y:.1f}"

    lowest, highest = min(p[1] for p in points), max(p[1] for p in points)
    label = f"{said or title}: {len(names)} lines, from {lowest:.4g} to {highest:.4g}"
    legend = _legend(names) if named and any(len(line) > 1 for line in lines) else []
    height = HEIGHT + (ROW * math.ceil(len(names) / ACROSS) if len(names) <= LEGEND else ROW) * bool(legend)
    parts = [
        f'<svg class="curve" viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{escape(label)}">',
        *_axes(title, x_label, width, (x0, x1), (y0, y1)),
        *legend,
    ]
    for number, (line, name) in reversed(list(enumerate(zip(lines, names, strict=True)))):
        if len(line) == 1:
            cx, cy = place(*line[0])
            small = first_stands_out and number
            look = 'r="3" class="other"' if small else f'r="{5 if first_stands_out else 4}" fill="{STROKES[0]}"'
            parts.append(f'<circle cx="{cx}" cy="{cy}" {look}><title>{escape(name)}</title></circle>')
            continue
        path = " ".join(map(",".join, (place(a, b) for a, b in line)))
        parts.append(f'<polyline points="{path}" fill="none" stroke-width="1.6" {_stroke(number)}>')
        parts.append(f"<title>{escape(name)}</title></polyline>")
    return "".join((*parts, "</svg>"))


def _axes(title: str, x_label: str, width: int, x: tuple[float, float], y: tuple[float, float]) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, width - 8
    return [
        f'<text x="{LEFT if width == WIDTH else 8}" y="14">{escape(title)}</text>',
        f'<path class="axis" d="M{LEFT},{TOP}V{bottom}H{right}" fill="none"/>',
        f'<text x="{LEFT - 4}" y="{bottom}" text-anchor="end">{y[0]:.3g}</text>',
        f'<text x="{LEFT - 4}" y="{TOP + 8}" text-anchor="end">{y[1]:.3g}</text>',
        f'<text x="{LEFT}" y="{HEIGHT - 12}">{x[0]:.4g}</text>',
        f'<text x="{right}" y="{HEIGHT - 12}" text-anchor="end">{escape(x_label)} {x[1]:.4g}</text>',
    ]


def _stroke(number: int) -> str:
    return f'stroke="{STROKES[number % 6]}" stroke-dasharray="{DASHES[number % 6]}"'


def _legend(names: Sequence[str]) -> list[str]:
    """Return the names of lines beside samples of them, below a chart; of too many only how many there are."""
    if len(names) > LEGEND:
        return [f'<text x="{LEFT}" y="{HEIGHT + 4}">one line for each of {len(names)} runs</text>']
    parts = []
    for number, name in enumerate(names):
        x = 8 + number % ACROSS * (WIDTH - 8) / ACROSS
        y = HEIGHT + ROW * (number // ACROSS)
        parts.append(f'<path d="M{x:g},{y}h18" fill="none" stroke-width="1.6" {_stroke(number)}/>')
        parts.append(f'<text x="{x + 22:g}" y="{y + 4}">{escape(name)}</text>')
    return parts


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
