"""The figures of idec2017: its network, training curves, embeddings along training, and the sweep of gamma."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from benchmark.figures import (
    COLOURS,
    DASHES,
    MARKERS,
    CellTraces,
    Drawing,
    Figure,
    NoNumbers,
    Numbers,
    Scores,
    Trace,
    arrow,
    blank,
    box,
    canvas,
    classes,
    facts_of,
    facts_of_embeddings,
    legend,
)
from benchmark.measure import purity

EPOCHS = {"idec": (0, 15, 30), "dec": (0, 5, 10)}
"""At which epochs of clustering Figure 3 shows each method."""


SAMPLES = 1000
"""How many images Figure 3 shows."""


def network(numbers: Numbers) -> Drawing:
    """Figure 1: the auto-encoder as declared, the clustering loss on its embedding, the reconstruction at its end."""
    params = numbers.parameters("table2", "idec", "mnist-full")
    hidden = [units for _, units in numbers.layers(params["network"])]
    widths = ["d", *map(str, hidden), str(params["embedding"]), *map(str, reversed(hidden)), "d"]
    middle = len(hidden) + 1
    figure, (axes,) = canvas(width=7.4, height=2.8)
    blank(axes, 2 * len(widths), 5.2)
    for place, text in enumerate(widths):
        height = 2.6 - 0.4 * (1 + min(place, len(widths) - 1 - place)) if place != middle else 0.7
        box(axes, 0.3 + 2 * place, 2 - height / 2, 1.2, height, text, 0 if place == middle else 7)
        if place:
            arrow(axes, (0.3 + 2 * place - 0.75, 2), (0.3 + 2 * place - 0.05, 2))
    at = 0.3 + 2 * middle
    box(axes, at - 1.2, 4.1, 3.6, 0.9, "clustering loss $L_c$", 0)
    arrow(axes, (at + 0.6, 2.4), (at + 0.6, 4.05), 0)
    box(axes, at + 2.8, 4.1, 5.2, 0.9, "reconstruction loss $L_r$", 1)
    arrow(axes, (0.3 + 2 * (len(widths) - 1) + 0.6, 3.15), (at + 7.6, 4.05), 1)
    for place, text in ((middle / 2, "encoder"), (middle + (len(widths) - middle) / 2, "decoder")):
        axes.text(0.3 + 2 * place, 0.2, text, ha="center", fontsize=8)
    shown = "-".join(widths[: middle + 1])
    finding = f"drawn from the declared layers: {shown} and its mirror; all are ReLU but embedding and output."
    return Drawing(figure, finding)


def training(numbers: Numbers) -> Drawing:
    """Figure 2: accuracy, and losses, at every evaluation of the run with the lowest loss."""
    cells = numbers.traces("table2", ("dec", "idec"), "mnist-full")
    figure, (scores, losses) = canvas(2, 1, width=5.6, height=5.6)
    final = []
    for place, cell in enumerate(cells):
        best = cell.best
        line(scores, best.steps, 100 * best.values["acc"], cell.label, place)
        final.append(f"{cell.label} {100 * best.values['acc'][0]:.1f} to {100 * best.values['acc'][-1]:.1f} %")
    for place, (label, trace, values) in enumerate(loss_curves(cells)):
        line(losses, trace.steps, values, label, place)
    for axes, name in ((scores, "ACC [%]"), (losses, "loss")):
        axes.set_xlabel("iteration")
        axes.set_ylabel(name)
        legend(axes)
    told = f"ACC from first to last evaluation: {', '.join(final)}; {compared(cells)}"
    note = "the total of IDEC is its reconstruction plus gamma times its clustering loss"
    return Drawing(figure, f"{told}; {note}.", facts_of(cells, numbers.profile))


def loss_curves(cells: Sequence[CellTraces]) -> list[tuple[str, Trace, np.ndarray]]:
    """Return label, run and values of every loss that the figure shows: of several terms, the total too."""
    found = []
    for cell in cells:
        best = cell.best
        terms = [name for name in best.values if name.startswith("term:")]
        if len(terms) == 1:
            found.append((cell.label, best, best.values[terms[0]]))
            continue
        found.append((f"{cell.label} (total loss)", best, best.values["total"]))
        found += [(f"{cell.label} ({name.removeprefix('term:')} loss)", best, best.values[name]) for name in terms]
    return found


def compared(cells: Sequence[CellTraces]) -> str:
    """Say whether IDEC ends above DEC and with the larger clustering loss, as published."""
    at = {cell.method: cell.best for cell in cells}
    if set(at) != {"dec", "idec"}:
        return f"only {' and '.join(cell.label for cell in cells)} is stored"
    better = at["idec"].values["acc"][-1] > at["dec"].values["acc"][-1]
    larger = at["idec"].values["term:clustering"][-1] > at["dec"].values["term:clustering"][-1]
    words = {True: "agrees", False: "does not agree"}
    return f"IDEC above DEC: {words[better]}; IDEC with the larger clustering loss: {words[larger]}"


def embeddings(numbers: Numbers) -> Drawing:
    """Figure 3: t-SNE of 1000 images at three epochs, IDEC above, DEC below."""
    rows, missing = [], []
    for method, epochs in EPOCHS.items():
        try:
            found = numbers.embeddings("table2", (method,), "mnist-full", "embedding", "tsne", epochs, SAMPLES)
            rows.append(list({each.epoch: each for each in found}.values()))  # a run that stopped shows its end once
        except NoNumbers as error:
            missing.append(error)
    if not rows:
        raise missing[0]
    columns = max(map(len, rows))
    figure, axes = canvas(len(rows), columns, width=2.6 * columns, height=2.7 * len(rows))
    for number, found in enumerate(rows):
        for place in range(columns):
            sheet = axes[number * columns + place]
            if place < len(found):
                classes(sheet, found[place].points, found[place].classes)
                sheet.set_title(f"{found[place].label}, epoch {found[place].epoch}", fontsize=9)
            else:
                sheet.axis("off")
    shown = [each for found in rows for each in found]
    purities = ", ".join(f"{e.label} epoch {e.epoch}: {100 * purity(e.points, e.classes):.0f} %" for e in shown)
    finding = f"nearest neighbours of the same class in the plane: {purities}; digits are drawn as themselves."
    return Drawing(figure, finding, facts_of_embeddings(shown, numbers.profile))


def sweep(numbers: Numbers) -> Drawing:
    """Figure 4: mean ACC over gamma, a line for each learning rate; DEC, which has no gamma, as a level."""
    cells = numbers.scores("figure4", ("idec",), "mnist-full")
    rates = list(dict.fromkeys(cell.setting["lambda"] for cell in cells))
    figure, (axes,) = canvas(width=5.8, height=3.8)
    tops = {}
    for place, rate in enumerate(rates):
        mine = sorted((float(c.setting["gamma"]), accuracy(c)) for c in cells if c.setting["lambda"] == rate)
        line(axes, [gamma for gamma, _ in mine], [acc for _, acc in mine], f"IDEC $\\lambda$ = {rate}", place)
        tops[rate] = max(mine, key=lambda point: point[1])
    try:
        levels = numbers.scores("figure4-dec", ("dec",), "mnist-full")
    except NoNumbers:
        levels = ()
    if levels:
        top = max(levels, key=accuracy)
        label = f"DEC $\\lambda$ = {top.setting['lambda']}"
        axes.axhline(accuracy(top), color="#000000", linestyle=":", linewidth=1.4, label=label)
    axes.set_xscale("log")
    axes.set_xlabel("$\\gamma$")
    axes.set_ylabel("mean ACC [%]")
    legend(axes)
    best = ", ".join(f"{gamma:g} ({acc:.1f} %) at {rate}" for rate, (gamma, acc) in tops.items())
    facts = facts_of_scores((*cells, *levels), numbers.profile)
    return Drawing(figure, f"the best gamma for each learning rate: {best}.", facts)


def accuracy(cell: Scores) -> float:
    """Return the mean ACC of a cell in per cent."""
    return 100 * float(cell.values["acc"].mean())


def facts_of_scores(cells: Sequence[Scores], profile: str) -> tuple[str, ...]:
    """State profile, reading, data set, settings and runs of what a sweep shows."""
    runs = sorted({f"{len(cell.values['acc'])}/{cell.planned}" for cell in cells})
    readings, data = ({getattr(cell, name) for cell in cells} for name in ("reading", "dataset_label"))
    return (f"profile {profile}", f"reading {' and '.join(sorted(readings))}", f"data {', '.join(sorted(data))}",
            f"settings {len(cells)}", f"runs {', '.join(runs)} for each")  # fmt: skip


def line(axes: Axes, x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray, label: str, place: int) -> None:
    """Draw one run or mean, told apart by colour, dashes and marker together."""
    style = {"color": COLOURS[place], "linestyle": DASHES[place], "marker": MARKERS[place]}
    axes.plot(x, y, label=label, markersize=4, markevery=max(1, len(x) // 8), **style)


FIGURES = (
    Figure("figure1", "The network of IDEC", network,
           "Boxes of falling and rising height from input to output; a loss above the middle one and one at the end.",
           "Figure 1", "the clustering loss acts on the embedding, the reconstruction loss keeps its structure."),
    Figure("figure2", "Accuracy and losses while training", training,
           "Two panels of curves over iterations: accuracy above, losses below, for DEC and IDEC.",
           "Figure 2", "IDEC ends above DEC, converges more slowly, has the larger clustering loss and reconstructs at "
           "the end as well as at the beginning."),
    Figure("figure3", "t-SNE of the embedding along training", embeddings,
           "Two rows of three maps of points, IDEC above DEC, each point drawn as its digit.",
           "Figure 3", "IDEC keeps the shape of the clusters, where DEC changes it and mixes the digits 4 and 9."),
    Figure("figure4", "Accuracy over the weight gamma for each learning rate", sweep,
           "A line over gamma on a logarithmic axis for each learning rate of IDEC, and a level for DEC.",
           "Figure 4", "gamma between .05 and 1 with lambda = .1 beats DEC; larger gamma wants a smaller lambda."),
)  # fmt: skip
