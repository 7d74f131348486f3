"""Draws figures of data, of losses against accuracy, of single settings, and of pictures that runs left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmark.figures.declared import Drawing, NoNumbers, Numbers, Scores, Sheet, facts_of, facts_of_scores, left_out
from benchmark.figures.kit import COLOURS, MARKERS, canvas, legend
from benchmark.figures.run_rules import Images, LossScatter, SettingPanel, Settings, Sheets
from benchmark.measure.loss_regression import every_fourth, loss_regression, standardised
from benchmark.measure.stated import Measured
from benchmark.measure.statements import Series


def draw_images(rule: Images, numbers: Numbers) -> tuple[Drawing, Measured]:
    """Draw contact sheets of data sets, a class in a row; those that are not here are named."""
    found, missing = [], []
    for column in rule.columns:
        try:
            found.append(numbers.samples(column))
        except NoNumbers as error:
            missing.append(str(error).rstrip("."))
    if not found:
        found = [numbers.samples(rule.stand_in)]
    width, height = rule.size
    rows = -(-len(found) // 3)
    figure, sheets = canvas(rows, min(3, len(found)), width=width * min(3, len(found)), height=height * rows)
    for sheet in sheets:
        sheet.axis("off")
    for sheet, data in zip(sheets, found, strict=False):
        draw = np.random.default_rng(0)
        lines = []
        for label in range(min(rule.classes, int(data.classes.max()) + 1)):
            chosen = draw.permutation(np.flatnonzero(data.classes == label))[: rule.each]
            blanks = [np.ones_like(data.images[0])] * (rule.each - len(chosen))
            lines.append(np.concatenate([*data.images[chosen], *blanks], axis=2))
        whole = np.moveaxis(np.concatenate(lines, axis=1), 0, -1)
        sheet.imshow(whole if whole.shape[2] == 3 else whole[:, :, 0], cmap="gray", interpolation="nearest")
        sheet.set_title(data.label, fontsize=9)
    facts = (*(f"{data.label}: {len(data.images)} images" for data in found), *(f"missing: {m}" for m in missing))
    told = f"{rule.each} random images of each of the first {rule.classes} classes"
    return Drawing(figure, told, tuple(facts)), {}


def draw_loss_scatter(rule: LossScatter, numbers: Numbers) -> tuple[Drawing, Measured]:
    """Draw ACC against the standardised loss, each run in its colour; measured is "slope", of each run."""
    cells, missing = [], []
    for dataset in rule.datasets:
        try:
            cells += [(dataset, cell) for cell in numbers.traces(rule.table, rule.methods, dataset)]
        except NoNumbers as error:
            missing.append(error)
    seen = {(cell.method, cell.dataset): (dataset, cell) for dataset, cell in reversed(cells)}
    cells = list(reversed(seen.values()))  # a stand-in shows once, for the first data set that it stands for
    if not cells:
        raise missing[0]
    width, height = rule.size
    figure, sheets = canvas(1, len(cells), width=width * len(cells), height=height)
    told, slopes = [], {}
    for sheet, (dataset, cell) in zip(sheets, cells, strict=True):
        kept = [every_fourth(trace.epochs) for trace in cell.traces]
        x = standardised(np.concatenate([t.values["total"][k] for t, k in zip(cell.traces, kept, strict=True)]))
        y = [trace.values["acc"][keep] for trace, keep in zip(cell.traces, kept, strict=True)]
        parts = np.split(x, np.cumsum([len(part) for part in y])[:-1])
        for place, (losses, accs) in enumerate(zip(parts, y, strict=True)):
            look: Any = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
            sheet.scatter(losses, 100 * accs, s=9, linewidths=0.3, **look)
        sheet.set_title(f"{cell.label}, {cell.dataset_label}", fontsize=9)
        sheet.set_xlabel("standardised loss")
        fit = loss_regression(x, np.concatenate(y))
        told += [f"{cell.label} on {cell.dataset_label}: slope {fit.slope:.3f}, R2 {fit.r2:.3f}"] if fit else []
        own = {t.replicate: loss_regression(a, b) for t, a, b in zip(cell.traces, parts, y, strict=True)}
        fitted = {run: found.slope for run, found in own.items() if found}
        slopes[f"{cell.method}@{dataset}"] = Series.of(list(fitted.values()), list(fitted))
    sheets[0].set_ylabel("ACC [%]")
    shown = tuple(cell for _, cell in cells)
    facts = (*facts_of(shown, numbers.profile), *left_out(rule.methods, shown))
    return Drawing(figure, "; ".join(told), facts), {"slope": slopes}


def draw_settings(rule: Settings, numbers: Numbers) -> tuple[Drawing, Measured]:
    """Draw mean and deviation of each panel over a setting; measured are the panels, by value of it."""
    width, height = rule.size
    figure, sheets = canvas(1, len(rule.panel), width=width, height=height)
    told: list[str] = []
    shown: list[Scores] = []
    measured: dict[str, dict[str, Series]] = {panel.label: {} for panel in rule.panel}
    datasets = dict.fromkeys((rule.dataset, *rule.others))
    for place, dataset in enumerate(datasets):
        try:
            cells = numbers.scores(rule.table, rule.methods, dataset)
        except NoNumbers:
            if place == 0:
                raise
            continue
        if shown and cells[0].dataset_label == shown[0].dataset_label:
            continue  # the stand-in again
        shown += cells
        x = [float(cell.setting[rule.x]) for cell in cells]
        for sheet, panel in zip(sheets, rule.panel, strict=True):
            values = [_of_panel(cell, panel) for cell in cells]
            means, spreads = [v.mean() for v in values], [v.std(ddof=1) if len(v) > 1 else 0.0 for v in values]
            look: Any = {"color": COLOURS[place], "marker": MARKERS[place], "label": cells[0].dataset_label}
            sheet.errorbar(x, means, yerr=spreads, capsize=3, **look)
            if place == 0:
                measured[panel.label] = {
                    cell.setting[rule.x]: Series.of(v, cell.replicates) for cell, v in zip(cells, values, strict=True)
                }
                pairs = ", ".join(f"{c.setting[rule.x]}: {m:.3g}" for c, m in zip(cells, means, strict=True))
                told.append(f"{panel.label} by {rule.x}: {pairs}")
    for sheet, panel in zip(sheets, rule.panel, strict=True):
        sheet.set_xscale("log" if rule.log else "linear")
        if not rule.log:
            sheet.locator_params(axis="x", nbins=5)  # labels of more ticks would touch in a narrow panel
        sheet.set_xlabel(rule.x_label)
        sheet.set_ylabel(panel.label)
    legend(sheets[0])
    return Drawing(figure, "; ".join(told), facts_of_scores(shown, numbers.profile)), measured


def _of_panel(cell: Scores, panel: SettingPanel) -> np.ndarray:
    names = [f"term:{term}" for term in panel.terms] or [panel.y]
    lacking = [name for name in names if name not in cell.values]
    if lacking:
        raise NoNumbers(f"the runs have no {', '.join(lacking)}.", near=True)
    found: np.ndarray = panel.scale * np.sum([cell.values[name] for name in names], axis=0)
    return found


def draw_sheets(rule: Sheets, numbers: Numbers) -> tuple[Drawing, Measured]:
    """Draw the picture of each run; measured is what the artefact has beside it, by name."""
    found = numbers.sheets(
        rule.artefact, rule.table, rule.methods, rule.dataset, rule.options, rule.epochs, every_setting=rule.settings
    )
    width, height = rule.size
    columns = min(4, len(found))
    rows = -(-len(found) // columns)
    figure, panels = canvas(rows, columns, width=width * columns, height=height * rows)
    for panel in panels:
        panel.axis("off")
    measured: dict[str, dict[str, Series]] = {}
    told = []
    for panel, sheet in zip(panels, found, strict=False):
        panel.set_title(sheet.title, fontsize=8)
        if sheet.lines:
            panel.axis("on")
            for place, (name, (x, y)) in enumerate(sheet.lines.items()):
                panel.plot(x, y, color=COLOURS[place], label=name)
            legend(panel)
        else:
            panel.imshow(sheet.image, cmap=rule.cmap, interpolation="nearest")
        for name, values in sheet.numbers.items():
            series = Series.of(values, counted=sheet.counted)
            measured.setdefault(name, {})[sheet.key] = series
            measured[name].setdefault(sheet.method, series)
            told.append(f"{sheet.title}: {name} {float(np.mean(values)):.3g}")
    return Drawing(figure, "; ".join(told), _facts_of_sheets(found, numbers.profile, rule.methods)), measured


def _facts_of_sheets(found: Sequence[Sheet], profile: str, methods: Sequence[str]) -> tuple[str, ...]:
    shown = tuple(f"{s.title}: {s.dataset_label}, run {s.run_id}, {s.note}" for s in found)
    absent = [method for method in methods if method not in {s.method for s in found}]
    return (f"profile {profile}", *shown, *((f"nothing stored of {', '.join(absent)}",) if absent else ()))
