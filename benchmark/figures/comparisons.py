"""Pictures of comparisons: differences with their intervals, and mean ranks with the critical difference.

Words stand beside the lines: a label is never crossed by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.figures.sketch import ROW, Dot, Sketch, Stroke, Words, round_ticks, width_of

BLUE, GREY = "#0072b2", "#b0b0b0"
PLOT = 6.5
"""The width of the part with the numbers, in cm."""
GAP = 0.25


@dataclass(frozen=True)
class Difference:
    """A difference as it is drawn: what is compared, the value, and its interval, None where one run tells none."""

    label: str
    difference: float
    interval: tuple[float, float] | None


def differences(found: Sequence[Difference], unit: str) -> Sketch:
    """Draw each difference as a dot on its interval, the numbers to the right; `unit` says what is compared."""
    said = [_numbers(item) for item in found]
    left = GAP + width_of([item.label for item in found]) + GAP
    ends: list[float] = [0.0, *(end for item in found for end in (item.difference, *(item.interval or ())))]
    low, high = min(ends), max(ends)
    room = 0.06 * (high - low) if high > low else 1.0
    low, high = low - room, high + room
    bottom = 1.5 * ROW + 2 * GAP
    sketch = Sketch(left + PLOT + 2 * GAP + width_of(said) + GAP, bottom + ROW * len(found) + GAP)

    def across(value: float) -> float:
        return left + PLOT * (value - low) / (high - low)

    sketch.strokes.append(Stroke((left, bottom), (left + PLOT, bottom)))
    sketch.strokes.append(Stroke((across(0.0), bottom), (across(0.0), sketch.height - GAP / 2), colour=GREY))
    for tick in round_ticks(low, high):
        sketch.strokes.append(Stroke((across(tick), bottom), (across(tick), bottom - 0.1)))
        sketch.words.append(Words((across(tick), bottom - 0.16), f"{tick:g}", "north"))
    sketch.words.append(Words((left + PLOT / 2, bottom - 0.25 - ROW), unit, "north"))
    for row, (item, numbers) in enumerate(zip(found, said, strict=True)):
        up = bottom + ROW * (len(found) - row - 0.5)
        sketch.words.append(Words((left - GAP, up), item.label, "east"))
        sketch.words.append(Words((left + PLOT + 2 * GAP, up), numbers, "west"))
        if item.interval:
            start, end = ((across(value), up) for value in item.interval)
            sketch.strokes.append(Stroke(start, end, 1.8, BLUE))
        sketch.dots.append(Dot((across(item.difference), up), BLUE))
    return sketch


def _numbers(item: Difference) -> str:
    ends = f" [{item.interval[0]:+.1f}, {item.interval[1]:+.1f}]" if item.interval else ""
    return f"{item.difference:+.1f}{ends}"


def ranks(means: Mapping[str, float], gap: float) -> Sketch:
    """Draw mean ranks on a line, the best to the right; methods within the critical difference `gap` share a bar.

    Names stand beyond the ends of the line, each joined to its rank by a line that bends once below the bars.
    """
    ordered = sorted(means.items(), key=lambda item: -item[1])  # from the left: the worst first
    half = (len(ordered) + 1) // 2
    names = {name: f"{name} ({rank:.2f})" for name, rank in ordered}
    sides = [[names[name] for name, _ in part] for part in (ordered[:half], ordered[half:])]
    side, right = (GAP + width_of(part) + GAP for part in sides)
    bars = _bars([rank for _, rank in ordered], gap)
    below = 0.35 + 0.18 * len(bars)
    top = below + ROW * half + GAP
    sketch = Sketch(side + PLOT + right, top + 3 * ROW)
    span = max(1, len(ordered) - 1)

    def across(rank: float) -> float:
        return side + PLOT * (len(ordered) - rank) / span

    sketch.strokes.append(Stroke((side, top), (side + PLOT, top)))
    for tick in range(1, len(ordered) + 1):
        sketch.strokes.append(Stroke((across(tick), top), (across(tick), top + 0.1)))
        sketch.words.append(Words((across(tick), top + 0.14), str(tick), "south"))
    length = PLOT * gap / span
    scale = top + 2 * ROW - 0.15
    sketch.strokes.append(Stroke((side, scale), (side + min(length, PLOT), scale), 1.2))
    sketch.words.append(Words((side, scale + 0.3), f"critical difference {gap:.2f}", "west"))
    for place, (high, low) in enumerate(bars):
        up = top - 0.25 - 0.18 * place
        sketch.strokes.append(Stroke((across(high) - 0.06, up), (across(low) + 0.06, up), 2.4, BLUE))
    for place, (name, rank) in enumerate(ordered):
        leftwards = place < half
        depth = place if leftwards else len(ordered) - 1 - place
        up, end = top - below - ROW * depth, side - GAP / 2 if leftwards else side + PLOT + GAP / 2
        sketch.strokes.append(Stroke((across(rank), top), (across(rank), up)))
        sketch.strokes.append(Stroke((across(rank), up), (end, up)))
        at = end - GAP / 2 if leftwards else end + GAP / 2
        sketch.words.append(Words((at, up), names[name], "east" if leftwards else "west"))
    return sketch


def _bars(ordered: Sequence[float], gap: float) -> list[tuple[float, float]]:
    """Return highest and lowest rank of each longest group of two or more whose ranks differ by `gap` at most."""
    groups = [(high, min(rank for rank in ordered if high - rank <= gap)) for high in ordered]
    longest = [g for g in groups if g[0] > g[1] and not any(o != g and o[0] >= g[0] and o[1] <= g[1] for o in groups)]
    return list(dict.fromkeys(longest))
