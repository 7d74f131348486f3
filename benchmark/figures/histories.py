"""Figures of histories: curves while training, dots of every evaluation, and the drift between pairs of terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from benchmark.figures.declared import CellTraces, Drawing, NoNumbers, Numbers, Trace, facts_of, left_out
from benchmark.figures.kit import COLOURS, MARKERS, canvas, curve, legend, line, triangle
from benchmark.figures.rules import Curves, Matrix, Panel, Scatter
from benchmark.measure.mismatch import drift, matching, ofm, pair_drifts, r_ofm
from benchmark.measure.stated import Measured
from benchmark.measure.statements import Series

TERM = "term:"


def draw_curves(rule: Curves, numbers: Numbers) -> tuple[Drawing, Measured]:
    """Draw a panel for each quantity, a line for each method; measured is what panels and statements are about."""
    cells = numbers.traces(rule.table, rule.methods, rule.dataset, needs=rule.needs)
    cells = tuple(with_mismatch(cell, rule.auxiliary) for cell in cells)
    count = len(rule.panel)
    rows, columns = (count, 1) if rule.stack == "rows" else (1, count)
    figure, sheets = canvas(rows, columns, width=rule.size[0], height=rule.size[1])
    told = []
    for sheet, panel in zip(sheets, rule.panel, strict=True):
        draw_panel(sheet, panel, cells, rule)
        told += [_told(panel, cells, rule.runs)] if panel.told else []
    drawing = Drawing(figure, "; ".join(told), (*facts_of(cells, numbers.profile), *left_out(rule.methods, cells)))
    return drawing, _series_of_curves(cells, rule)


def with_mismatch(cell: CellTraces, auxiliary: Sequence[str]) -> CellTraces:
    """Return a cell whose traces have "auxiliary", the sum of the raw auxiliary terms, and "ofm", where recorded."""
    return replace(cell, traces=tuple(_with_mismatch(trace, auxiliary) for trace in cell.traces))


def _with_mismatch(trace: Trace, auxiliary: Sequence[str]) -> Trace:
    names = matching((n.removeprefix(TERM) for n in trace.values if n.startswith(TERM)), auxiliary)
    values = dict(trace.values)
    if names:
        values["auxiliary"] = np.sum([trace.values[f"{TERM}{name}"] for name in names], axis=0)
    if auxiliary and any(name.startswith("gram:") for name in values):
        held = [recorded_at(trace, place) for place in range(len(trace.epochs))]
        values["ofm"] = np.array([ofm(drift(one, auxiliary)) for one in held])
    return replace(trace, values=values)


def recorded_at(trace: Trace, place: int) -> dict[str, float]:
    """Return what a run recorded at one of its evaluations."""
    return {name: float(values[place]) for name, values in trace.values.items()}


def draw_panel(sheet: Axes, panel: Panel, cells: Sequence[CellTraces], rule: Curves) -> None:
    """Draw a line for each cell: with its band, or of the best run alone."""
    start = 0 if panel.first else 1
    if rule.runs == "best":
        shown = [one for cell in cells for one in _lines_of_panel(cell, panel)]
        for place, (label, trace, values) in enumerate(shown):
            x = trace.epochs if rule.x == "epoch" else trace.steps
            line(sheet, x[start:], panel.scale * values[start:], label, place)
    for place, cell in enumerate(cells if rule.runs == "all" else ()):
        epochs, values = cell.stacked(panel.y)
        curve(sheet, epochs[start:], panel.scale * values[:, start:], cell.label, place)
    if panel.line is not None:
        sheet.axhline(panel.line, color="#555555", linewidth=0.8, linestyle=":")
    if panel.log:
        sheet.set_yscale("log")
    if panel.limits is not None:
        sheet.set_ylim(*panel.limits)
    sheet.set_xlabel(rule.x_label)
    sheet.set_ylabel(panel.axis)
    if panel.legend:
        legend(sheet)


def _lines_of_panel(cell: CellTraces, panel: Panel) -> list[tuple[str, Trace, Any]]:
    """Return label, run and values of the lines of a panel for a cell; several quantities go by their names."""
    if not panel.also:
        return _lines_of_best(cell, panel.y)
    named = {panel.y: panel.told or panel.label, **panel.also}
    best = cell.best
    return [(name, best, best.values[y]) for y, name in named.items() if y in best.values]


def _lines_of_best(cell: CellTraces, y: str) -> list[tuple[str, Trace, Any]]:
    """Return label, run and values of what a panel shows of a cell: of "losses" with several terms, the total too."""
    best = cell.best
    if y != "losses":
        return [(cell.label, best, best.values[y])]
    terms = [name for name in best.values if name.startswith(TERM)]
    if len(terms) == 1:
        return [(cell.label, best, best.values[terms[0]])]
    parts = [(f"{cell.label} ({name.removeprefix(TERM)} loss)", best, best.values[name]) for name in terms]
    return [(f"{cell.label} (total loss)", best, best.values["total"]), *parts]


def _told(panel: Panel, cells: Sequence[CellTraces], runs: str) -> str:
    parts = []
    for cell in cells:
        traces = cell.traces if runs == "all" else (cell.best,)
        first, last = (panel.scale * float(np.mean([_held(t, panel.y)[at] for t in traces])) for at in (0, -1))
        parts.append(f"{cell.label} {first:.{panel.decimals}f} to {last:.{panel.decimals}f}")
    unit = f" {panel.unit}" if panel.unit else ""
    mean = "mean " if runs == "all" else ""
    return f"{mean}{panel.told} from first to last evaluation: {', '.join(parts)}{unit}"


def _held(trace: Trace, name: str) -> Any:
    """Return the values of a quantity where there is one: a part of the data without samples has no score."""
    values = trace.values[name]
    return values[np.isfinite(values)] if np.isfinite(values).any() else values


def _series_of_curves(cells: Sequence[CellTraces], rule: Curves) -> Measured:
    scales = {name: panel.scale for panel in reversed(rule.panel) for name in (*panel.also, panel.y)}
    wanted = list(dict.fromkeys([*(p.y for p in rule.panel), *(stated.of for stated in rule.statement)]))
    held = [name for name in wanted if name and name != "losses"]
    return {name: _series_of_cells(cells, name, scales.get(name, 1.0)) for name in held}


def _series_of_cells(cells: Sequence[CellTraces], name: str, scale: float) -> dict[str, Series]:
    """Return by method the runs that have a quantity: at the epochs that they share, and at their own ends."""
    found = {}
    for cell in cells:
        traces = tuple(trace for trace in cell.traces if name in trace.values)
        if traces:
            epochs, values = replace(cell, traces=traces).stacked(name)
            first, last = ([scale * _held(t, name)[at] for t in traces] for at in (0, -1))
            pairs = [trace.replicate for trace in traces]
            found[cell.method] = Series.of(scale * values, pairs, epochs, (first, last))
    return found


def draw_scatter(rule: Scatter, numbers: Numbers) -> tuple[Drawing, Measured]:
    """Draw what R-OFM fits; measured is "slope", the mean slope of each run."""
    cells = numbers.traces(rule.table, rule.methods, rule.dataset)
    cells = tuple(with_mismatch(cell, rule.auxiliary) for cell in cells)
    width, height = rule.size
    figure, sheets = canvas(1, len(cells), width=width * len(cells), height=height)
    found, slopes = [], {}
    for place, (sheet, cell) in enumerate(zip(sheets, cells, strict=True)):
        points = [_after_first_step(trace, rule) for trace in cell.traces]
        for x, y in points:
            sheet.scatter(x, rule.scale * y, s=7, color="#9a9a9a", marker=".")
        x, y = _after_first_step(cell.best, rule)
        sheet.scatter(x, rule.scale * y, s=22, color=COLOURS[place], marker=MARKERS[place])
        grid = np.linspace(x.min(), x.max(), 60)
        fitted = np.polynomial.Polynomial.fit(x, y, rule.degree)
        sheet.plot(grid, rule.scale * fitted(grid), color=COLOURS[place])
        sheet.set_title(cell.label, fontsize=9)
        sheet.set_xlabel(rule.x_label)
        best = r_ofm(x, y, rule.degree)
        every_x, every_y = (np.concatenate(part) for part in zip(*points, strict=True))
        pooled = r_ofm(every_x, every_y, rule.degree)
        found.append(
            f"{cell.label} slope {best.slope:.3f}, R2 {best.r2:.3f} (all runs {pooled.slope:.3f}, {pooled.r2:.3f})"
        )
        pairs = [trace.replicate for trace in cell.traces]
        slopes[cell.method] = Series.of([r_ofm(*point, rule.degree).slope for point in points], pairs)
    sheets[0].set_ylabel(rule.y_label)
    facts = (*facts_of(cells, numbers.profile), *left_out(rule.methods, cells))
    return Drawing(figure, "; ".join(found), facts), {"slope": slopes}


def _after_first_step(trace: Trace, rule: Scatter) -> tuple[Any, Any]:
    if rule.x not in trace.values or rule.y not in trace.values:
        raise NoNumbers(f"history has no {rule.x if rule.x not in trace.values else rule.y}.", near=True)
    trained = trace.epochs > 0
    return trace.values[rule.x][trained], trace.values[rule.y][trained]


def draw_matrix(rule: Matrix, numbers: Numbers) -> tuple[Drawing, Measured]:
    """Draw a triangle of cosines for each method; measured is "lowest drift", that of each run."""
    cells = numbers.traces(rule.table, rule.methods, rule.dataset, needs=("gram:",))
    width, height = rule.size
    figure, sheets = canvas(1, len(cells), width=width * len(cells), height=height)
    lowest, series = [], {}
    for sheet, cell in zip(sheets, cells, strict=True):
        found = [pair_drifts(recorded_at(trace, len(trace.epochs) - 1)) for trace in cell.traces]
        mean = {pair: float(np.mean([one[pair] for one in found])) for pair in found[0]}
        triangle(sheet, mean)
        sheet.set_title(cell.label, fontsize=9)
        pair = min(mean, key=lambda key: mean[key])
        lowest.append(f"{cell.label}: {pair[0]} and {pair[1]} ({mean[pair]:.2f})")
        pairs = [trace.replicate for trace in cell.traces]
        series[cell.method] = Series.of([min(one.values()) for one in found], pairs)
    facts = (*facts_of(cells, numbers.profile), *left_out(rule.methods, cells))
    return Drawing(figure, f"lowest agreement in {'; '.join(lowest)}", facts), {"lowest drift": series}
