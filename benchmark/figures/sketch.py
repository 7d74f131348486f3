"""Sketches: lines, dots and words in centimetres, drawn alike by matplotlib and as a picture of LaTeX."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

Anchor = Literal["west", "east", "north", "south"]
"""The side of a text that lies at its point."""

POINT = 8.0
"""The size of all words, in points."""
LETTER = 0.62 * POINT * 2.54 / 72
"""About the width of a letter of that size, in cm, rather too wide: room is kept for words by it."""
ROW = 0.55
"""The distance between lines of words, in cm."""

_PLACES: Mapping[Anchor, tuple[str, str]] = {
    "west": ("left", "center"),
    "east": ("right", "center"),
    "north": ("center", "top"),
    "south": ("center", "bottom"),
}

_SIDES: Mapping[Anchor, str] = {"west": "l", "east": "r", "north": "t", "south": "b"}


@dataclass(frozen=True)
class Stroke:
    """A straight line from one point to another; `width` in points, `colour` as #rrggbb."""

    start: tuple[float, float]
    end: tuple[float, float]
    width: float = 0.6
    colour: str = "#000000"


@dataclass(frozen=True)
class Dot:
    """A filled circle."""

    at: tuple[float, float]
    colour: str = "#000000"


@dataclass(frozen=True)
class Words:
    """A text whose side `anchor` lies at a point."""

    at: tuple[float, float]
    text: str
    anchor: Anchor


@dataclass
class Sketch:
    """A drawing of a size in cm, from (0, 0) at the lower left."""

    width: float
    height: float
    strokes: list[Stroke] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)

    def canvas(self) -> Canvas:
        """Return the sketch as a figure of matplotlib."""
        from benchmark.figures.kit import canvas, own_style

        figure, (axes,) = canvas(width=self.width / 2.54, height=self.height / 2.54)
        with own_style():
            figure.set_layout_engine("none")
            axes.set_position((0, 0, 1, 1))
            axes.set_xlim(0, self.width)
            axes.set_ylim(0, self.height)
            axes.axis("off")
            for stroke in self.strokes:
                ends = tuple(zip(stroke.start, stroke.end, strict=True))
                axes.plot(*ends, color=stroke.colour, linewidth=stroke.width, solid_capstyle="butt")
            for dot in self.dots:
                axes.plot(*dot.at, marker="o", markersize=4, color=dot.colour)
            for words in self.words:
                across, up = _PLACES[words.anchor]
                axes.text(*words.at, words.text, ha=across, va=up, fontsize=POINT)
        return figure

    def latex(self, escape: Callable[[str], str]) -> str:
        """Return the sketch as LaTeX's own ``picture``, which needs no package; `escape` makes LaTeX of a text.

        It has no colours. Lines are horizontal or vertical; ValueError for another one.
        """
        size = f"({self.width:.2f},{self.height:.2f})"
        lines = [r"\begingroup\setlength{\unitlength}{1cm}\footnotesize", f"\\begin{{picture}}{size}"]
        for stroke in self.strokes:
            (x, y), (x1, y1) = sorted((stroke.start, stroke.end))
            if not (x == x1 or y == y1):
                raise ValueError(f"{stroke} is neither horizontal nor vertical.")
            course = f"\\line(1,0){{{x1 - x:.3f}}}" if y == y1 else f"\\line(0,1){{{y1 - y:.3f}}}"
            lines.append(f"\\linethickness{{{stroke.width:g}pt}}\\put{_at((x, y))}{{{course}}}")
        lines += [f"\\put{_at(dot.at)}{{\\circle*{{0.14}}}}" for dot in self.dots]
        for words in self.words:
            box = f"\\makebox(0,0)[{_SIDES[words.anchor]}]{{{escape(words.text)}}}"
            lines.append(f"\\put{_at(words.at)}{{{box}}}")
        return "\n".join((*lines, r"\end{picture}\endgroup", ""))


def _at(point: tuple[float, float]) -> str:
    return f"({point[0]:.3f},{point[1]:.3f})"


def width_of(texts: Sequence[str]) -> float:
    """Return room for the widest of `texts`, in cm."""
    return LETTER * float(max((len(text) for text in texts), default=0))


def round_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return at most about `most` round numbers from `low` to `high`.

    >>> round_ticks(-3.2, 11.9)
    [0.0, 5.0, 10.0]
    """
    rough = (high - low) / most
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    return [round(place * step, 10) for place in range(math.ceil(low / step), math.floor(high / step) + 1)]
