"""The drawings of tkuco2024: its ideas. What is made of numbers is declared in figures.toml."""

from __future__ import annotations

import numpy as np

from benchmark.figures import COLOURS, Drawing, Figure, Numbers, arrow, blank, box, canvas, legend


def model(numbers: Numbers) -> Drawing:
    """Figure 1: a network of blocks, a clustering module, and a companion objective on every block."""
    figure, (axes,) = canvas(width=7, height=2.6)
    blank(axes, 14, 5)
    parts = ("input\n$X_i$", "block 1", "block 2", "hidden\n$h_i$", "softmax\n$\\alpha_i$")
    for place, text in enumerate(parts):
        box(axes, 0.3 + 2.8 * place, 0.6, 1.9, 1.3, text)
        if place:
            arrow(axes, (0.3 + 2.8 * (place - 1) + 1.95, 1.25), (0.25 + 2.8 * place, 1.25))
    for number, place in ((1, 1), (2, 2)):
        x = 0.3 + 2.8 * place
        box(axes, x, 3.2, 1.9, 1.2, f"companion {number}\n$\\lambda\\,\\omega({number})$", 1)
        arrow(axes, (x + 0.7, 1.95), (x + 0.7, 3.15), 1)
        axes.text(x + 0.6, 2.5, f"$Y_i^{number}$", ha="right", va="center", fontsize=8)
    box(axes, 8.7, 3.2, 4.7, 1.2, "clustering loss\n(separation, orthogonality, simplex)", 0)
    arrow(axes, (9.65, 1.95), (9.65, 3.15), 0)
    arrow(axes, (12.45, 1.95), (12.45, 3.15), 0)
    axes.plot([12.9, 12.9, 4.2, 4.2], [1.95, 2.75, 2.75, 3.15], color=COLOURS[1], linestyle=":", linewidth=1.2)
    axes.plot([7.0, 7.0], [2.75, 3.15], color=COLOURS[1], linestyle=":", linewidth=1.2)
    return Drawing(figure, "a drawing of our own; dotted: the assignments enter every companion.")


def matricisation(numbers: Numbers) -> Drawing:
    """Figure 2: a tensor of 2 x 3 x 4 numbers, unfolded along each of its dimensions."""
    tensor = np.arange(1, 25).reshape(2, 3, 4)
    figure, axes = canvas(1, 3, width=7.4, height=2.4)
    for mode, sheet in enumerate(axes):
        matrix = np.moveaxis(tensor, mode, 0).reshape(tensor.shape[mode], -1)
        sheet.imshow(matrix, cmap="Greys", vmin=-8, vmax=40, aspect="equal")
        for (row, column), value in np.ndenumerate(matrix):
            sheet.text(column, row, str(value), ha="center", va="center", fontsize=5.5)
        sheet.set_title(f"$X^{{({mode + 1})}}$: {matrix.shape[0]} x {matrix.shape[1]}", fontsize=9)
        sheet.set_xticks([])
        sheet.set_yticks([])
        sheet.grid(visible=False)
    return Drawing(figure, "computed: the entries 1 to 24 of a 2 x 3 x 4 tensor, each mode's slices as rows.")


def grassmann(numbers: Numbers) -> Drawing:
    """Figure 3: two lines as points of a Grassmann manifold, and how far their projectors are apart."""
    figure, (lines, distances) = canvas(1, 2, width=6.8, height=3)
    angle = np.pi / 5
    for place, (at, name) in enumerate(((0.0, "span of $X$"), (angle, "span of $Y$"))):
        end = 1.1 * np.array([np.cos(at), np.sin(at)])
        lines.plot([-end[0], end[0]], [-end[1], end[1]], color=COLOURS[place], linestyle=("-", "--")[place], label=name)
    arc = np.linspace(0, angle, 30)
    lines.plot(0.5 * np.cos(arc), 0.5 * np.sin(arc), color="#000000", linewidth=1)
    lines.text(0.56, 0.17, "$\\theta$")
    lines.set_aspect("equal")
    lines.set_xticks([])
    lines.set_yticks([])
    legend(lines)
    theta = np.linspace(0, np.pi / 2, 91)
    directions = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    projectors = directions[:, :, None] * directions[:, None, :]
    gap = np.linalg.norm(projectors - projectors[0], axis=(1, 2))
    distances.plot(np.degrees(theta), gap, color=COLOURS[0])
    distances.set_xlabel("angle between the lines [degrees]")
    distances.set_ylabel("projection distance (Eq. 16)")
    return Drawing(figure, "computed: the distance grows with the angle and ends at the square root of 2.")


def feature_drift(numbers: Numbers) -> Drawing:
    """Figure 4: two gradients that agree, and two that do not."""
    figure, axes = canvas(1, 2, width=6.4, height=2.6)
    for sheet, angle in zip(axes, (25.0, 115.0), strict=True):
        blank(sheet, 4, 2.4)
        base = np.array([1.6, 0.3])
        other = base + 1.9 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        arrow(sheet, (base[0], base[1]), (base[0] + 1.9, base[1]), 0)
        arrow(sheet, (base[0], base[1]), (other[0], other[1]), 1, dashed=True)
        sheet.text(base[0] + 1.95, base[1] - 0.22, "clustering", color=COLOURS[0], ha="right", fontsize=8)
        sheet.text(other[0], other[1] + 0.1, "auxiliary", color=COLOURS[1], ha="center", fontsize=8)
        cosine = np.cos(np.radians(angle))
        word = "high" if cosine > 0 else "low"
        sheet.set_title(f"{word} feature drift: cos = {cosine:.2f}", fontsize=9)
    return Drawing(figure, "a drawing of our own; feature drift is an agreement: a high value means little mismatch.")


FIGURES = (
    Figure("figure1", "The model: companion objectives on the blocks of a network", model,
           "Boxes from input over two blocks to softmax; a companion above each block, the clustering loss at the end.",
           "Figure 1", "every block gets an objective of its own that pulls towards the same clusters."),
    Figure("figure2", "Matricisation of a tensor", matricisation,
           "Three tables of numbers: one tensor unfolded along its first, second and third dimension.",
           "Figure 2", "a tensor of rank 3 has three matricisations."),
    Figure("figure3", "The projection distance between two subspaces", grassmann,
           "Left two lines through one point at an angle; right their distance, which grows with the angle.",
           "Figure 3", "two matricisations are two points on a Grassmann manifold."),
    Figure("figure4", "High and low feature drift", feature_drift,
           "Two pairs of arrows: one pair at a small angle, one at a wide angle.",
           "Figure 4", "feature drift is the cosine of the angle between two gradients."),
)  # fmt: skip
