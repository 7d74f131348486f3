"""Drawing with matplotlib in one style: readable in grey and by colour-blind people, equal bytes for equal numbers."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from benchmark.printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f")
"""The palette of Okabe and Ito, which people with every kind of colour blindness tell apart."""

DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 2)), (0, (3, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#d0d0d0",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "reclust",
}


@contextmanager
def own_defaults() -> Iterator[None]:
    """Draw with matplotlib's own defaults, whatever a matplotlibrc of the user says; that is in force again after."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


@contextmanager
def own_style() -> Iterator[None]:
    """Draw in our style, whatever a matplotlibrc of the user says; that is in force again afterwards."""
    import matplotlib

    with own_defaults():
        matplotlib.rcParams.update(STYLE)
        yield


def canvas(rows: int = 1, columns: int = 1, *, width: float = 6.4, height: float = 3.6) -> tuple[Canvas, list[Axes]]:
    """Return a figure of `width` x `height` inches and its axes, row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    with own_style():
        figure = Canvas(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.ravel())


def curve(axes: Axes, x: npt.ArrayLike, runs: npt.ArrayLike, label: str, place: int) -> None:
    """Draw the mean over `runs` (r, t) against `x` (t,), in a band from the lowest to the highest run.

    `place` picks colour, dashes and marker together, so that lines differ without colour too.
    """
    at, values = np.asarray(x, dtype=float), np.asarray(runs, dtype=float)
    colour = COLOURS[place % len(COLOURS)]
    every = max(1, len(at) // 8)
    axes.plot(
        at,
        values.mean(axis=0),
        color=colour,
        linestyle=DASHES[place % len(DASHES)],
        marker=MARKERS[place % len(MARKERS)],
        markevery=every,
        markersize=4,
        label=f"{label} (n={len(values)})",
    )
    if len(values) > 1:
        axes.fill_between(at, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.18, linewidth=0)


def line(axes: Axes, x: npt.ArrayLike, y: npt.ArrayLike, label: str, place: int) -> None:
    """Draw one run, or means, (t,) against `x` (t,): told apart by colour, dashes and marker together."""
    at = np.asarray(x, dtype=float)
    axes.plot(
        at,
        np.asarray(y, dtype=float),
        color=COLOURS[place % len(COLOURS)],
        linestyle=DASHES[place % len(DASHES)],
        marker=MARKERS[place % len(MARKERS)],
        markevery=max(1, len(at) // 8),
        markersize=4,
        label=label,
    )


def triangle(axes: Axes, values: Mapping[tuple[str, str], float]) -> None:
    """Draw cosines of pairs of names as a lower triangle of numbers on grey."""
    names = sorted({name for pair in values for name in pair})
    grid = np.full((len(names), len(names)), np.nan)
    for (a, b), value in values.items():
        grid[names.index(b), names.index(a)] = value
        axes.text(names.index(a), names.index(b), f"{value:.2f}", ha="center", va="center", fontsize=8)
    axes.imshow(grid, cmap="Greys", vmin=-1, vmax=3)
    axes.set_xticks(range(len(names) - 1), names[:-1], rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(1, len(names)), names[1:], fontsize=8)
    axes.set_ylim(len(names) - 0.5, 0.5)
    axes.set_xlim(-0.5, len(names) - 1.5)
    axes.grid(visible=False)


def empty_panel(reason: str) -> Canvas:
    """Return a panel without numbers that says why it has none."""
    figure, (axes,) = canvas(width=6.4, height=2.4)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    text = textwrap.fill(f"Not drawn: {reason}", 78, break_long_words=False, break_on_hyphens=False)
    # A dollar sign in a command is no mathematics.
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=8, transform=axes.transAxes, parse_math=False)
    return figure


def classes(axes: Axes, points: npt.ArrayLike, labels: npt.ArrayLike) -> None:
    """Draw `points` (n, 2), each as the number of its class (n,): to be read without colour."""
    where, kinds = np.asarray(points, dtype=float), np.asarray(labels)
    names = np.unique(kinds)
    for place, kind in enumerate(names):
        mine = where[kinds == kind]
        axes.scatter(
            mine[:, 0],
            mine[:, 1],
            s=14 if len(names) <= 20 else 4,
            marker=f"${kind}$" if len(names) <= 20 else ".",
            color=COLOURS[place % len(COLOURS)],
            linewidths=0.2,
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)


def box(axes: Axes, x: float, y: float, width: float, height: float, text: str, place: int = 7) -> None:
    """Draw a labelled box with its lower left corner at (x, y), its edge in the colour of `place`."""
    from matplotlib.patches import FancyBboxPatch

    colour = COLOURS[place % len(COLOURS)]
    patch = FancyBboxPatch(
        (x, y), width, height, boxstyle="round,pad=0.02", facecolor="#f4f4f4", edgecolor=colour, linewidth=1.6
    )
    axes.add_patch(patch)
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=8)


def arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], place: int = 7, dashed: bool = False
) -> None:
    """Draw an arrow from `start` to `end`."""
    from matplotlib.patches import FancyArrowPatch

    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=11,
            color=COLOURS[place % len(COLOURS)],
            linestyle="--" if dashed else "-",
            linewidth=1.4,
            shrinkA=0,
            shrinkB=0,
        )
    )


def blank(axes: Axes, width: float, height: float) -> None:
    """Make `axes` an empty sheet from (0, 0) to (width, height), for schematic drawings."""
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_aspect("equal")
    axes.axis("off")


def legend(axes: Axes, columns: int = 1) -> None:
    """Put the legend where it hides least."""
    axes.legend(fontsize=8, ncols=columns)


def _make_harmless(figure: Canvas) -> None:
    """Write out what is no text in all texts of `figure`, and take for plain text what is no mathematics."""
    from matplotlib.mathtext import MathTextParser
    from matplotlib.text import Text

    parser: Any = MathTextParser("path")
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        shown = printable(text.get_text())
        text.set_text(shown)
        # Lines are drawn one by one, so they are tried one by one: a line break has no glyph.
        for line in shown.splitlines():
            if "$" in line:
                try:
                    parser.parse(line)
                except ValueError:
                    text.set_parse_math(False)


def svg_bytes(figure: Canvas, title: str) -> bytes:
    """Return `figure` as SVG with text as text; equal figures give equal bytes."""
    buffer, title = io.BytesIO(), printable(title)
    _make_harmless(figure)
    with own_style():
        figure.savefig(buffer, format="svg", metadata={"Title": title, "Date": None, "Creator": "reclust"})
    # Lines that end with spaces would differ after an editor has touched them.
    return b"\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + b"\n"


def png_bytes(figure: Canvas, title: str, dpi: int = 160) -> bytes:
    """Return `figure` as PNG."""
    buffer, title = io.BytesIO(), printable(title)
    _make_harmless(figure)
    with own_style():
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Title": title, "Software": "reclust"})
    return buffer.getvalue()
