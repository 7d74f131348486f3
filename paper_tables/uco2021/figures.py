"""The figures of uco2021, and one of ours: mismatch between every pair of loss terms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from benchmark.figures import (
    CellTraces,
    Drawing,
    Embedding,
    Figure,
    Numbers,
    Trace,
    arrow,
    blank,
    box,
    canvas,
    classes,
    curve,
    facts_of,
    facts_of_embeddings,
    legend,
    neighbour_gain,
    neighbours,
)
from benchmark.measure import drift, ofm, pair_drifts

AUXILIARY = ("reconstruction", "companion_*")


def model(numbers: Numbers) -> Drawing:
    """Figure 1: the network in the middle, the clustering module above, the companions below."""
    figure, (axes,) = canvas(width=6.6, height=3)
    blank(axes, 13, 6)
    for place, text in enumerate(("input", "block 1", "...", "block L")):
        box(axes, 0.3 + 2.6 * place, 2.5, 1.7, 1.1, text)
        if place:
            arrow(axes, (0.3 + 2.6 * (place - 1) + 1.75, 3.05), (0.25 + 2.6 * place, 3.05))
    box(axes, 10.7, 2.5, 1.9, 1.1, "clustering\nmodule", 0)
    arrow(axes, (9.9, 3.05), (10.65, 3.05), 0)
    box(axes, 10.7, 4.5, 1.9, 1.1, "clustering\nloss", 0)
    arrow(axes, (11.65, 3.65), (11.65, 4.45), 0)
    for place, name in ((1, "$L^1_{UCO}$"), (3, "$L^L_{UCO}$")):
        x = 0.3 + 2.6 * place
        box(axes, x, 0.4, 1.7, 1.1, name, 1)
        arrow(axes, (x + 0.85, 2.45), (x + 0.85, 1.55), 1)
        arrow(axes, (11.65, 2.45), (x + 1.75, 0.95), 1, dashed=True)
    return Drawing(figure, "a drawing of our own; dashed: the assignments that every companion needs.")


def mismatch(numbers: Numbers) -> Drawing:
    """Figure 2: OFM (Eq. 9) at every evaluation, an auto-encoder against companions."""
    cells = numbers.traces("figure2", ("ddc-ae", "ddc-uco"), "mnist-0-3", needs=("gram:",))
    figure, (axes,) = canvas(width=5.6, height=3.4)
    means = {}
    for place, cell in enumerate(cells):
        epochs, values = ofm_curves(cell)
        curve(axes, epochs, values, cell.label, place)
        means[cell.method] = values.mean(axis=0)
    axes.axhline(0.5, color="#555555", linewidth=0.8, linestyle=":")
    axes.set_xlabel("epoch")
    axes.set_ylabel("OFM = (1 - cosine) / 2")
    legend(axes)
    finding = "; ".join(findings(means))
    note = "Bands reach from the lowest to the highest run; 0.5 is a right angle"
    return Drawing(figure, f"{finding}. {note}.", facts_of(cells, numbers.profile))


def ofm_curves(cell: CellTraces) -> tuple[np.ndarray, np.ndarray]:
    """Return the epochs (t,) and OFM (runs, t) of the runs of a cell."""
    epochs, _ = cell.stacked("total")
    return epochs, np.array([[ofm(drift(at(trace, epoch), AUXILIARY)) for epoch in epochs] for trace in cell.traces])


def at(trace: Trace, epoch: float) -> dict[str, float]:
    """Return what a run recorded at an epoch."""
    place = int(np.flatnonzero(trace.epochs == epoch)[0])
    return {name: float(values[place]) for name, values in trace.values.items()}


def findings(means: dict[str, np.ndarray]) -> list[str]:
    """Say whether the published messages hold for the mean curves of both models."""
    if len(means) < 2:
        return [f"only {next(iter(means))} is stored, so nothing can be compared"]
    lower = means["ddc-uco"] < means["ddc-ae"]
    rise = means["ddc-uco"][-1] - means["ddc-uco"][0]
    agrees = "agrees" if lower.all() else "does not agree at all epochs"
    trend = "also agrees" if rise > 0 else "does not agree"
    return [
        f"DDC-UCO lies below DDC-AE at {lower.sum()} of {len(lower)} evaluations, which {agrees}",
        f"from first to last it changes by {rise:+.3f}, which {trend} with a mismatch that grows",
    ]


def block1(numbers: Numbers) -> Drawing:
    """Figure 3: UMAP of the outputs of the first block, one panel for each model."""
    found = numbers.embeddings("table3", ("ddc", "ddc-ae", "ddc-uco"), "mnist", "block1_pool", "umap")
    figure, axes = canvas(1, len(found), width=3.1 * len(found), height=3.2)
    for sheet, shown in zip(axes, found, strict=True):
        classes(sheet, shown.points, shown.classes)
        sheet.set_title(shown.label, fontsize=9)
    return Drawing(figure, f"{neighbours(found)}; {lead(found)}.", facts_of_embeddings(found, numbers.profile))


def lead(found: Sequence[Embedding]) -> str:
    """Say whether the models with an auxiliary loss are above DDC by more than the samples leave open."""
    plain = [shown for shown in found if shown.method == "ddc"]
    others = [shown for shown in found if shown.method != "ddc"]
    if not plain or not others:
        return "too few models are stored for a comparison"
    gains = [neighbour_gain(shown, plain[0]) for shown in others]
    clear = [above for _, above in gains]
    agrees = "agrees" if all(clear) else "agrees for one of them only" if any(clear) else "does not agree"
    return f"{', '.join(text for text, _ in gains)}, which {agrees}"


def pairs(numbers: Numbers) -> Drawing:
    """Ours: the cosine between the gradients of every pair of terms at the last evaluation, mean over runs."""
    cells = numbers.traces("figure2", ("ddc-ae", "ddc-uco"), "mnist-0-3", needs=("gram:",))
    figure, axes = canvas(1, len(cells), width=4.4 * len(cells), height=3.8)
    lowest = []
    for sheet, cell in zip(axes, cells, strict=True):
        found = [pair_drifts(at(trace, trace.epochs[-1])) for trace in cell.traces]
        mean = {pair: float(np.mean([one[pair] for one in found])) for pair in found[0]}
        matrix(sheet, mean)
        sheet.set_title(cell.label, fontsize=9)
        pair = min(mean, key=lambda key: mean[key])
        lowest.append(f"{cell.label}: {pair[0]} and {pair[1]} ({mean[pair]:.2f})")
    return Drawing(figure, f"lowest agreement in {'; '.join(lowest)}.", facts_of(cells, numbers.profile))


def matrix(sheet: Axes, values: dict[tuple[str, str], float]) -> None:
    """Draw the cosines of pairs of terms as a lower triangle of numbers on grey."""
    terms: Sequence[str] = sorted({name for pair in values for name in pair})
    grid = np.full((len(terms), len(terms)), np.nan)
    for (a, b), value in values.items():
        grid[terms.index(b), terms.index(a)] = value
        sheet.text(terms.index(a), terms.index(b), f"{value:.2f}", ha="center", va="center", fontsize=8)
    sheet.imshow(grid, cmap="Greys", vmin=-1, vmax=3)
    sheet.set_xticks(range(len(terms) - 1), terms[:-1], rotation=30, ha="right", fontsize=8)
    sheet.set_yticks(range(1, len(terms)), terms[1:], fontsize=8)
    sheet.set_ylim(len(terms) - 0.5, 0.5)
    sheet.set_xlim(-0.5, len(terms) - 1.5)
    sheet.grid(visible=False)


FIGURES = (
    Figure("figure1", "A deep clustering model with companion objectives", model,
           "A row of boxes from input over blocks to a clustering module; companions hang below the blocks.",
           "Figure 1", "every block gets a companion that needs its output and the assignments."),
    Figure("figure2", "Objective function mismatch while training", mismatch,
           "Curves over epochs with bands, one for the auto-encoder and one for the companions.",
           "Figure 2", "the mismatch of DDC-UCO lies below that of DDC-AE at all epochs, and grows while training."),
    Figure("figure3", "UMAP of the outputs of the first block", block1,
           "A map of points for each model, each point drawn as its digit.",
           "Figure 3", "DDC-AE and DDC-UCO separate the digits better in the first block than DDC does."),
    Figure("drift-of-pairs", "Feature drift between every pair of loss terms at the end of training", pairs,
           "For each model a triangle of numbers: the cosine between the gradients of two terms."),
)  # fmt: skip
