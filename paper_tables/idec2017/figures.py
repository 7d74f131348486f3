"""The drawing of idec2017: its network. What is made of numbers is declared in figures.toml."""

from __future__ import annotations

from benchmark.figures import Drawing, Figure, Numbers, arrow, blank, box, canvas


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


FIGURES = (
    Figure("figure1", "The network of IDEC", network,
           "Boxes of falling and rising height from input to output; a loss above the middle one and one at the end.",
           "Figure 1", "the clustering loss acts on the embedding, the reconstruction loss keeps its structure."),
)  # fmt: skip
