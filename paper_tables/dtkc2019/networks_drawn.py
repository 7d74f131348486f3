"""Drawings of networks and models of dtkc2019, of our own."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.figures import Drawing, Figure, Numbers, arrow, blank, box, canvas
from paper_tables.dtkc2019.drawings import OURS, chain


def _layers(widths: Sequence[int], names: Sequence[str]) -> Drawing:
    """Draw fully connected layers of so many units, from left to right."""
    figure, (axes,) = canvas(width=5.6, height=2.2)
    blank(axes, 3 * len(widths) - 0.7, 6.4)
    axes.set_ylim(2.0 - 0.55 * max(widths), 4.4 + 0.55 * max(widths))
    for place, width in enumerate(widths):
        for unit in range(width):
            y = 3.4 + 1.1 * (unit - (width - 1) / 2)
            box(axes, 0.8 + 3 * place, y - 0.35, 0.7, 0.7, "", place % 2)
            for other in range(widths[place - 1] if place else 0):
                start = 3.4 + 1.1 * (other - (widths[place - 1] - 1) / 2)
                axes.plot([3 * place - 1.5, 0.8 + 3 * place], [start, y], color="#9a9a9a", linewidth=0.6)
        axes.text(1.15 + 3 * place, 2.3 - 0.55 * (max(widths) - 1), names[place], ha="center", fontsize=8)
    return Drawing(figure, OURS)


def perceptron(numbers: Numbers) -> Drawing:
    """Figure 10: the two-layer perceptron that solves XOR."""
    return _layers((2, 2, 1), ("input", "hidden", "output"))


def layer(numbers: Numbers) -> Drawing:
    """Figure 11: what a layer of a perceptron computes."""
    return chain(("$y^{r-1}$", "weights\n$W^r$", "sum\n$v^r$", "activation\n$f$", "$y^r$"))


def convolutional(numbers: Numbers) -> Drawing:
    """Figure 14: a simple convolutional network."""
    return chain(("image\n3@64x64", "convolution\n8@64x64", "pooling\n8@32x32", "dense", "output"))


def lstm(numbers: Numbers) -> Drawing:
    """Figure 15: a long short-term memory cell, from its equations."""
    return _cell("cell state $c_{t-1}$", "$c_t$", ("forget\ngate", "input\ngate", "candidate", "output\ngate"))


def gru(numbers: Numbers) -> Drawing:
    """Figure 16: a gated recurrent unit, from its equations (section 9.3.5.2)."""
    return _cell("state $h_{t-1}$", "$h_t$", ("reset\ngate", "candidate", "update\ngate"))


def _cell(before: str, after: str, gates: Sequence[str]) -> Drawing:
    figure, (axes,) = canvas(width=6.4, height=2.6)
    width = 2.8 * len(gates)
    blank(axes, width + 5, 5.6)
    arrow(axes, (2.55, 4.4), (width + 3.2, 4.4))
    axes.text(2.4, 4.4, before, ha="right", va="center", fontsize=8)
    axes.text(width + 3.7, 4.4, after, ha="center", va="center", fontsize=8)
    for place, gate in enumerate(gates):
        box(axes, 2.4 + 2.8 * place, 2.0, 2.0, 1.1, gate, place % 2)
        arrow(axes, (3.4 + 2.8 * place, 3.15), (3.4 + 2.8 * place, 4.3), place % 2)
        arrow(axes, (3.4 + 2.8 * place, 0.9), (3.4 + 2.8 * place, 1.95))
    axes.text(2.4 + width / 2, 0.5, "input $x_t$ and the state before, to every gate", ha="center", fontsize=8)
    return Drawing(figure, f"{OURS[:-1]}, from the equations of the text.")


def autoencoder(numbers: Numbers) -> Drawing:
    """Figure 17: an auto-encoder."""
    return chain(("input $X$", "encoder", "code $h$", "decoder", "output $\\hat X$"), marked=(2,))


def dec(numbers: Numbers) -> Drawing:
    """Figure 20: deep embedded clustering."""
    return chain(("input", "encoder\n(pre-trained)", "embedding", "soft\nassignments", "KL to\ntargets"), marked=(4,))


def spectralnet(numbers: Numbers) -> Drawing:
    """Figure 21: SpectralNet."""
    return chain(("$x$", "network\n$f$", "orthogonal\nlayer $O$", "$y$", "Laplacian\nloss"), marked=(2, 4))


def ddc(numbers: Numbers) -> Drawing:
    """Figure 22: deep divergence-based clustering."""
    return chain(("image", "convolutions", "hidden\nlayer", "softmax", "divergence\nlosses"), marked=(4,))


def dtkc(numbers: Numbers) -> Drawing:
    """Figure 27: DTKC, a companion with the tensor kernel on each block."""
    figure, (axes,) = canvas(width=7.2, height=2.6)
    blank(axes, 14, 5)
    for place, text in enumerate(("image", "layer 1\n(after pool)", "layer 2\n(after pool)", "hidden", "softmax\n$U$")):
        box(axes, 0.3 + 2.8 * place, 0.5, 1.9, 1.2, text)
        if place:
            arrow(axes, (2.8 * place - 0.55, 1.1), (0.25 + 2.8 * place, 1.1))
    for place in (1, 2):
        box(axes, 0.1 + 2.8 * place, 3.2, 2.3, 1.2, f"$L_{{co}}^{place}$ with\ntensor kernel", 1)
        arrow(axes, (1.25 + 2.8 * place, 1.75), (1.25 + 2.8 * place, 3.15), 1)
    box(axes, 9.0, 3.2, 3.4, 1.2, "$L_1 + L_2 + L_3$", 0)
    arrow(axes, (9.65, 1.75), (9.9, 3.15), 0)
    arrow(axes, (12.2, 1.75), (11.8, 3.15), 0)
    axes.plot([12.9, 12.9, 4.1], [1.75, 2.5, 2.5], color="#555555", linestyle=":", linewidth=1.2)
    return Drawing(figure, f"{OURS[:-1]}; dotted: the assignments enter every companion.")


def _figure(number: int, title: str, draw: object, alt: str, message: str) -> Figure:
    return Figure(f"figure{number}", title, draw, alt, f"Figure {number}", message)  # type: ignore[arg-type]


ROW = "A row of boxes with arrows from left to right."
FIGURES = (
    _figure(10, "A two-layer perceptron", perceptron, "Three columns of boxes, all joined to the next.",
            "two hidden units and one output solve XOR."),
    _figure(11, "A layer of a perceptron", layer, ROW, "a layer weighs, sums and activates."),
    _figure(14, "A simple convolutional network", convolutional, ROW,
            "convolution, pooling and a perceptron follow each other."),
    _figure(15, "A long short-term memory cell", lstm, "An arrow above four boxes that feed into it.",
            "gates decide what the cell state forgets, takes in and gives out."),
    _figure(16, "A gated recurrent unit", gru, "An arrow above three boxes that feed into it.",
            "two gates do what the long short-term memory does with three."),
    _figure(17, "An auto-encoder", autoencoder, ROW, "the code must hold what reconstructs the input."),
    _figure(20, "Deep embedded clustering", dec, ROW, "a pre-trained encoder is refined towards its own targets."),
    _figure(21, "SpectralNet", spectralnet, ROW, "a network with an orthogonal layer learns the spectral embedding."),
    _figure(22, "Deep divergence-based clustering", ddc, ROW,
            "a network is trained end to end by divergences between clusters."),
    _figure(27, "Deep tensor kernel clustering", dtkc,
            "A row of boxes; above two of them a companion, above the last two the losses of DDC.",
            "companions with a tensor kernel act on the convolutional layers."),
)  # fmt: skip
