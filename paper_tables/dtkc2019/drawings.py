"""Drawings of ideas of dtkc2019, of our own: what the thesis explains before and beside its experiments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.figures import COLOURS, Drawing, Figure, Numbers, arrow, blank, box, canvas

OURS = "a drawing of our own."


def chain(texts: Sequence[str], *, width: float = 7.2, marked: Sequence[int] = ()) -> Drawing:
    """Draw boxes from left to right with arrows between them; those `marked` have a colour."""
    figure, (axes,) = canvas(width=width, height=1.5)
    blank(axes, 2.6 * len(texts), 2.2)
    for place, text in enumerate(texts):
        box(axes, 0.2 + 2.6 * place, 0.4, 1.9, 1.4, text, 1 if place in marked else 7)
        if place:
            arrow(axes, (2.6 * place - 0.45, 1.1), (2.6 * place + 0.15, 1.1))
    return Drawing(figure, OURS)


def learning_system(numbers: Numbers) -> Drawing:
    """Figure 1: data, model, output, error, and the correction that flows back."""
    figure, (axes,) = canvas(width=7.2, height=2.4)
    blank(axes, 13.2, 4.2)
    for place, text in enumerate(("source\nof data", "database", "model", "output", "error")):
        box(axes, 0.2 + 2.6 * place, 0.4, 1.9, 1.2, text)
        if place:
            arrow(axes, (2.6 * place - 0.45, 1.0), (2.6 * place + 0.15, 1.0))
    box(axes, 10.6, 2.8, 1.9, 1.1, "ground truth\n(supervised)", 1)
    arrow(axes, (11.55, 2.75), (11.55, 1.65), 1, dashed=True)
    axes.plot([11.0, 11.0, 6.35], [1.6, 2.3, 2.3], color=COLOURS[0], linewidth=1.4)
    arrow(axes, (6.35, 2.3), (6.35, 1.65), 0)
    axes.text(8.6, 2.45, "correction", ha="center", fontsize=8)
    return Drawing(figure, f"{OURS[:-1]}; dashed: only in supervised learning.")


def contributions(numbers: Numbers) -> Drawing:
    """Figure 3: what the thesis adds, and the fields from which it comes."""
    figure, (axes,) = canvas(width=7.4, height=3.6)
    blank(axes, 14.8, 7)
    fields = ("clustering", "information\ntheory", "kernel\nmethods", "tensors and\nmanifolds")
    for place, text in enumerate(fields):
        box(axes, 0.3 + 3.7 * place, 5.6, 2.9, 1.1, text)
    between = ("deep learning", "DDC", "companion\nobjectives", "tensor kernel")
    for place, text in enumerate(between):
        box(axes, 0.3 + 3.7 * place, 3.1, 2.9, 1.1, text, 1 if place >= 2 else 7)
        arrow(axes, (1.75 + 3.7 * place, 5.55), (1.75 + 3.7 * place, 4.25), 1 if place >= 2 else 7)
    for place, text in enumerate(("self-supervision", "DDC-SS, DTKC-SS", "DTKC")):
        box(axes, 1.2 + 4.6 * place, 0.6, 3.2, 1.1, text, 1 if place == 2 else 7)
    arrow(axes, (4.45, 1.15), (5.75, 1.15))
    for place in range(1, 4):
        arrow(axes, (1.75 + 3.7 * place, 3.05), (12.0, 1.75), 1 if place >= 2 else 7)
    return Drawing(figure, f"{OURS[:-1]}; in colour: what the thesis adds.")


def paradigms(numbers: Numbers) -> Drawing:
    """Figure 7: clustering methods by their kind."""
    figure, (axes,) = canvas(width=7.4, height=3)
    blank(axes, 16, 6.4)
    box(axes, 6.4, 5.2, 3.2, 0.9, "clustering")
    for x, name in ((1.2, "hierarchical"), (9.4, "partitional")):
        box(axes, x, 3.4, 3.2, 0.9, name)
        arrow(axes, (8, 5.15), (x + 1.6, 4.35))
    leaves = ("single link", "average link", "k-means", "mixtures", "spectral", "deep")
    for place, name in enumerate(leaves):
        x = 0.2 + 2.65 * place
        box(axes, x, 1.2, 2.3, 0.9, name, 0 if name == "deep" else 7)
        arrow(axes, ((2.8 if place < 2 else 11.0), 3.35), (x + 1.15, 2.15))
    return Drawing(figure, OURS)


def slicing(numbers: Numbers) -> Drawing:
    """Figure 19: an array cut along its third dimension into one vector for each position."""
    figure, (axes,) = canvas(width=6, height=2.6)
    blank(axes, 12, 5.2)
    for depth in range(3):
        for row in range(3):
            for column in range(3):
                at = (0.5 + 0.9 * column + 0.4 * depth, 0.5 + 0.9 * row + 0.4 * depth)
                axes.add_patch(_square(at, COLOURS[depth]))
    arrow(axes, (4.9, 2.4), (6.3, 2.4))
    for number in range(4):
        for depth in range(3):
            axes.add_patch(_square((6.8 + 1.2 * number, 1.1 + 0.9 * depth), COLOURS[depth]))
        axes.text(7.25 + 1.2 * number, 0.5, f"$y_{number + 1}$" if number < 3 else "$y_m$", ha="center", fontsize=8)
    return Drawing(figure, f"{OURS[:-1]}; every position gives a vector over the third dimension.")


def _square(at: tuple[float, float], colour: str) -> object:
    from matplotlib.patches import Rectangle

    return Rectangle(at, 0.85, 0.85, facecolor=colour, edgecolor="#ffffff", alpha=0.75)


def matricisation(numbers: Numbers) -> Drawing:
    """Figure 25: a tensor of 2 x 3 x 4 numbers, unfolded along each of its dimensions."""
    tensor = np.arange(1, 25).reshape(2, 3, 4)
    figure, axes = canvas(1, 3, width=7.4, height=2.2)
    for mode, sheet in enumerate(axes):
        matrix = np.moveaxis(tensor, mode, 0).reshape(tensor.shape[mode], -1)
        sheet.imshow(matrix, cmap="Greys", vmin=-8, vmax=40, aspect="equal")
        for (row, column), value in np.ndenumerate(matrix):
            sheet.text(column, row, str(value), ha="center", va="center", fontsize=5.5)
        sheet.set_title(f"mode {mode + 1}: {matrix.shape[0]} x {matrix.shape[1]}", fontsize=9)
        sheet.axis("off")
    return Drawing(figure, "computed: the entries 1 to 24 of a 2 x 3 x 4 tensor, the slices of each mode as rows.")


def grassmann(numbers: Numbers) -> Drawing:
    """Figure 26: two lines as points of a Grassmann manifold, and the distance between them."""
    figure, (lines, manifold) = canvas(1, 2, width=6.6, height=2.8)
    for place, angle in enumerate((0.15, 0.9)):
        end = np.array([np.cos(angle), np.sin(angle)])
        lines.plot([-end[0], end[0]], [-end[1], end[1]], color=COLOURS[place], label=f"subspace {place + 1}")
        manifold.scatter(*end, color=COLOURS[place], s=40, zorder=3)
    arc = np.linspace(0, np.pi, 90)
    manifold.plot(np.cos(arc), np.sin(arc), color="#9a9a9a")
    between = np.linspace(0.15, 0.9, 30)
    manifold.plot(1.05 * np.cos(between), 1.05 * np.sin(between), color="#000000")
    manifold.text(1.0, 0.6, "$d_G$")
    manifold.set_xlim(-1.1, 1.35)
    lines.legend(fontsize=8)
    for sheet in (lines, manifold):
        sheet.set_aspect("equal")
    return Drawing(figure, "computed for two lines in the plane: subspaces on the left, points on the right.")


def strategies(numbers: Numbers) -> Drawing:
    """Figure 39: three ways to spend 20 runs on pre-training and fine-tuning."""
    plans = ((1,) * 20, (5,) * 4, (5,) * 3 + (1,) * 5)
    figure, sheets = canvas(1, 3, width=7.4, height=3)
    for sheet, plan in zip(sheets, plans, strict=True):
        blank(sheet, 6, 21)
        at = 0.5
        for tuned in plan:
            middle = at + tuned / 2
            sheet.scatter(1, middle, color=COLOURS[1], marker="s", s=26)
            for number in range(tuned):
                sheet.plot([1.2, 4.7], [middle, at + number + 0.5], color="#9a9a9a", linewidth=0.8)
                sheet.scatter(5, at + number + 0.5, color=COLOURS[0], s=12)
            at += tuned
        sheet.set_title(f"{len(plan)} pre-trained,\n{sum(plan)} fine-tuned", fontsize=8)
    told = f"{OURS[:-1]}; squares are pre-trained networks, dots the runs that start from them. Ours is the leftmost."
    return Drawing(figure, told)


FIGURES = (
    Figure("figure1", "A learning system", learning_system,
           "Boxes from the source of data to the error, an arrow of correction back to the model.",
           "Figure 1", "a model is corrected by the error of its output, which only sometimes needs a ground truth."),
    Figure("figure3", "Contributions and where they come from", contributions,
           "Three rows of boxes with arrows down to DTKC, some in colour.",
           "Figure 3", "DTKC joins companion objectives and a tensor kernel with deep divergence-based clustering."),
    Figure("figure7", "Kinds of clustering", paradigms,
           "A tree from clustering over hierarchical and partitional to single methods.",
           "Figure 7", "deep clustering is one of several paradigms."),
    Figure("figure19", "An array as vectors", slicing,
           "A small cube of squares on the left, columns of squares on the right.",
           "Figure 19", "each position of a feature map gives a vector over its channels."),
    Figure("figure25", "Matricisations of a tensor", matricisation,
           "Three grids of numbers of different shapes.",
           "Figure 25", "a tensor of rank three has three matricisations."),
    Figure("figure26", "Distance between subspaces", grassmann,
           "Two lines through the origin on the left, two points joined by an arc on the right.",
           "Figure 26", "matricisations span subspaces, whose distance is measured on the Grassmann manifold."),
    Figure("figure39", "Three ways of pre-training for 20 runs", strategies,
           "Three columns of squares joined by lines to twenty dots.",
           "Figure 39", "one pre-training can serve one run or several."),
)  # fmt: skip
