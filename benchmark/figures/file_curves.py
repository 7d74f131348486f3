"""Curves of a committed CSV file, and what its numbers say in the caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmark.figures.declared import Drawing, Numbers
from benchmark.figures.kit import canvas, curve
from benchmark.figures.rules import Column, FileCurves
from benchmark.measure.stated import Measured
from benchmark.measure.statements import Series

Row = Mapping[str, str]


def draw_file_curves(rule: FileCurves, numbers: Numbers) -> tuple[Drawing, Measured]:
    """Draw a column of panels for each value of `across`, and a line for each of `lines`."""
    rows = numbers.rows(rule.file)
    across = _grouped(rows, rule.across)
    count = len(across)
    width, height = rule.size
    figure, sheets = canvas(len(rule.panel), count, width=width * count, height=height * len(rule.panel))
    for place, mine in enumerate(across.values()):
        for number, panel in enumerate(rule.panel):
            sheet = sheets[place + number * count]
            for which, lines in enumerate(_grouped(mine, rule.lines).values()):
                values = [panel.scale * float(row[panel.y]) for row in lines]
                curve(
                    sheet,
                    [int(row[rule.x]) for row in lines],
                    [values],
                    _shown(rule.lines_label, lines[0], rule),
                    which,
                )
            if panel.line is not None:
                sheet.axhline(panel.line, color="#000000", linewidth=0.8)
            if panel.log:
                sheet.set_yscale("log")
            if panel.limits is not None:
                sheet.set_ylim(*panel.limits)
            if not place:
                sheet.set_ylabel(panel.axis)
        sheets[place].set_title(_shown(rule.across_label, mine[0], rule), fontsize=9)
        sheets[place + (len(rule.panel) - 1) * count].set_xlabel(rule.x_label)
    handles, labels = sheets[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=8)
    groups = {name: mine for (name,), mine in _grouped(rows, (rule.told_by,)).items()}
    last = max(int(row[rule.x]) for row in rows)
    facts = tuple(fact.format(last=last, **_values(rows)) for fact in rule.facts)
    drawing = Drawing(figure, "; ".join(_told(name, mine, rule.panel) for name, mine in groups.items()), facts)
    measured = {
        panel.y: {
            name: Series.of([float(row[panel.y]) for row in mine], counted="measurements")
            for name, mine in groups.items()
        }
        for panel in rule.panel
    }
    return drawing, measured


def _grouped(rows: Sequence[Row], columns: Sequence[str]) -> dict[tuple[str, ...], list[Row]]:
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[column] for column in columns), []).append(row)
    return found


def _shown(label: str, row: Row, rule: FileCurves) -> str:
    return label.format(**{name: rule.names.get(name, {}).get(value, value) for name, value in row.items()})


def _values(rows: Sequence[Row]) -> dict[str, str]:
    """Return by column the values that it has, in their order."""
    return {name: ", ".join(dict.fromkeys(row[name] for row in rows)) for name in rows[0]}


def _told(name: str, rows: Sequence[Row], panels: Sequence[Column]) -> str:
    parts = []
    for panel in panels:
        values = np.array([float(row[panel.y]) for row in rows])
        for what in panel.tells:
            if what == "median":
                parts.append(f"{panel.label} {np.median(values):.2g} in the median")
            elif what == "largest":
                parts.append(f"{values.max():.2g} at most")
            else:
                bound = what.removeprefix("below ")
                parts.append(
                    f"{panel.label} below {bound} in {(values < float(bound)).sum()} of {len(values)} measurements"
                )
    return f"{name}: {', '.join(parts)}"
