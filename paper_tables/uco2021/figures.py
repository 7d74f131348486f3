"""The drawing of uco2021: its model. What is made of numbers is declared in figures.toml."""

from __future__ import annotations

from benchmark.figures import Drawing, Figure, Numbers, arrow, blank, box, canvas


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


FIGURES = (
    Figure("figure1", "A deep clustering model with companion objectives", model,
           "A row of boxes from input over blocks to a clustering module; companions hang below the blocks.",
           "Figure 1", "every block gets a companion that needs its output and the assignments."),
)  # fmt: skip
