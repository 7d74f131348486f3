"""Draws declared figures from stored numbers, each kind its own way, and judges what they state."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from benchmark.figures.bases import FigureRule
from benchmark.figures.declared import (
    Drawing,
    Embedding,
    NoNumbers,
    Numbers,
    Scores,
    facts_of_embeddings,
    facts_of_scores,
    left_out,
)
from benchmark.figures.file_curves import draw_file_curves
from benchmark.figures.histories import draw_curves, draw_matrix, draw_scatter
from benchmark.figures.kit import canvas, classes, legend, line, own_defaults
from benchmark.figures.rules import Curves, Embeddings, FileCurves, Matrix, Scatter, Sweep
from benchmark.figures.run_kinds import draw_images, draw_loss_scatter, draw_settings, draw_sheets
from benchmark.figures.run_rules import Images, LossScatter, Settings, Sheets
from benchmark.measure.mismatch import neighbours_match
from benchmark.measure.stated import Measured, answered
from benchmark.measure.statements import Series


def draw_declared(rule: FigureRule, numbers: Numbers) -> Drawing:
    """Draw a declared figure from what is stored, and judge its statements; NoNumbers where nothing is."""
    drawing, measured = DRAWN[type(rule)](rule, numbers)
    finding = ". ".join(part for part in (drawing.finding, rule.note) if part)
    answers = tuple((stated.says, answered(stated, measured)) for stated in rule.statement)
    return replace(drawing, finding=f"{finding}." if finding else "", answers=answers)


def measured_by(rule: FigureRule, numbers: Numbers) -> Measured:
    """Return the series that the statements of a figure are about; NoNumbers where nothing is stored."""
    with own_defaults():
        _, measured = DRAWN[type(rule)](rule, numbers)
    return measured


def _embeddings(rule: Embeddings, numbers: Numbers) -> tuple[Drawing, Measured]:
    rows, reasons = _rows_of_embeddings(rule, numbers)
    if not rows:
        raise reasons[0]
    columns = max(map(len, rows))
    width, height = rule.size
    figure, sheets = canvas(len(rows), columns, width=width * columns, height=height * len(rows))
    for number, found in enumerate(rows):
        for place in range(columns):
            sheet = sheets[number * columns + place]
            if place < len(found):
                classes(sheet, found[place].points, found[place].classes)
                sheet.set_title(_title(found[place], ", epoch "), fontsize=9)
            else:
                sheet.axis("off")
    shown = [each for found in rows for each in found]
    matches = [neighbours_match(each.points, each.classes) for each in shown]
    purities = [100 * float(match.mean()) for match in matches]
    shares = ", ".join(f"{_title(e, ' epoch ')}: {p:.0f} %" for e, p in zip(shown, purities, strict=True))
    told = f"nearest neighbours of the same class in the plane: {shares}"
    missing = (f"missing: {reason}".rstrip(".") for reason in reasons)
    facts = (*facts_of_embeddings(shown, numbers.profile), *left_out(rule.methods, shown), *missing)
    return Drawing(figure, told, facts), {"purity": _series_of_embeddings(shown, matches, rule)}


def _rows_of_embeddings(rule: Embeddings, numbers: Numbers) -> tuple[list[list[Embedding]], list[NoNumbers]]:
    """Return what is stored, row by row, and why the other rows are not."""
    at = (rule.table, rule.dataset, rule.tap, rule.projection)
    rows, reasons = [], []
    for methods in [(method,) for method in rule.methods] if rule.epochs else [rule.methods]:
        epochs = rule.epochs.get(methods[0], ())
        try:
            found = numbers.embeddings(at[0], methods, *at[1:], epochs, rule.samples)
        except NoNumbers as error:
            reasons.append(error)
            continue
        # A run that stopped before an epoch shows its end once.
        rows.append(list({(each.method, each.epoch): each for each in found}.values()))
    return rows, reasons


def _title(shown: Embedding, between: str) -> str:
    return shown.label if shown.epoch is None else f"{shown.label}{between}{shown.epoch}"


def _series_of_embeddings(
    drawn: Sequence[Embedding], matches: Sequence[np.ndarray], rule: Embeddings
) -> dict[str, Series]:
    """Return by method (at its last epoch), and by METHOD@EPOCH, whether each sample's neighbour is of its class."""
    found = {}
    for shown, match in zip(drawn, matches, strict=True):
        # Samples belong together by place and class: other places would be other samples.
        series = Series.of(
            match.astype(float), list(enumerate(shown.classes.tolist())), counted="samples of these runs"
        )
        found[shown.method] = series
        for epoch in rule.epochs.get(shown.method, ()):
            if shown.epoch is not None and shown.epoch <= epoch:
                found[f"{shown.method}@{epoch}"] = series
    return found


def _sweep(rule: Sweep, numbers: Numbers) -> tuple[Drawing, Measured]:
    cells = numbers.scores(rule.table, rule.methods, rule.dataset)
    figure, (axes,) = canvas(width=rule.size[0], height=rule.size[1])
    grouped: dict[str, list[Scores]] = {}
    for cell in cells:
        grouped.setdefault(cell.setting[rule.lines], []).append(cell)
    series, tops = {}, []
    for place, (value, mine) in enumerate(grouped.items()):
        mine.sort(key=lambda cell: float(cell.setting[rule.x]))
        x, y = [float(cell.setting[rule.x]) for cell in mine], [_mean(cell, rule) for cell in mine]
        line(axes, x, y, rule.line_label.format(label=mine[0].label, **mine[0].setting), place)
        best = int(np.argmax(y))
        tops.append(f"{x[best]:g} ({y[best]:.1f}{f' {rule.unit}' if rule.unit else ''}) at {value}")
        series[value] = _series_of_scores(mine, x, rule)
    level = _level(rule, numbers)
    for cell in level:
        label = rule.level.label.format(label=cell.label, **cell.setting) if rule.level else ""
        axes.axhline(_mean(cell, rule), color="#000000", linestyle=":", linewidth=1.4, label=label)
        series["level"] = _series_of_scores([cell], [0.0], rule)
    if rule.log:
        axes.set_xscale("log")
    axes.set_xlabel(rule.x_label)
    axes.set_ylabel(rule.y_label)
    legend(axes)
    told = f"the best {rule.x} for each {rule.lines_name}: {', '.join(tops)}"
    facts = facts_of_scores((*cells, *level), numbers.profile)
    facts += (f"nothing stored of {rule.level.table}",) if rule.level and not level else ()
    return Drawing(figure, told, facts), {rule.metric: series}


def _mean(cell: Scores, rule: Sweep) -> float:
    return rule.scale * float(cell.values[rule.metric].mean())


def _level(rule: Sweep, numbers: Numbers) -> tuple[Scores, ...]:
    """Return the best setting of the table that is drawn as a level; nothing where none is stored."""
    if rule.level is None:
        return ()
    try:
        levels = numbers.scores(rule.level.table, rule.level.methods, rule.dataset)
    except NoNumbers:
        return ()
    return (max(levels, key=lambda cell: _mean(cell, rule)),)


def _series_of_scores(cells: Sequence[Scores], x: Sequence[float], rule: Sweep) -> Series:
    runs = sorted({run for cell in cells for run in cell.replicates})
    held = [dict(zip(c.replicates, c.values[rule.metric].tolist(), strict=True)) for c in cells]
    rows = [[rule.scale * scores.get(run, math.nan) for scores in held] for run in runs]
    return Series.of(rows, runs, x)


DRAWN: Mapping[type[FigureRule], Callable[[Any, Numbers], tuple[Drawing, Measured]]] = MappingProxyType(
    {
        Curves: draw_curves,
        FileCurves: draw_file_curves,
        Scatter: draw_scatter,
        Embeddings: _embeddings,
        Sweep: _sweep,
        Matrix: draw_matrix,
        Images: draw_images,
        LossScatter: draw_loss_scatter,
        Settings: draw_settings,
        Sheets: draw_sheets,
    }
)
"""How each kind is drawn: the drawing, and the series that its statements are about."""
