"""The drawings of dynae2022: its ideas. What is made of numbers is declared in figures.toml."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmark.figures import Drawing, Figure, Numbers, arrow, blank, box, canvas

OURS = "a drawing of our own."


def _chain(axes: Any, texts: Sequence[str], y: float, colours: Sequence[int] = (), x: float = 0.3) -> None:
    """Draw boxes in a row, each with an arrow to the next."""
    for place, text in enumerate(texts):
        box(axes, x + 2.6 * place, y, 1.9, 1.2, text, colours[place] if colours else 7)
        if place:
            arrow(axes, (x + 2.6 * place - 0.68, y + 0.6), (x + 2.6 * place - 0.04, y + 0.6))


def families(numbers: Numbers) -> Drawing:
    """Figures 1 and 2: clustering with pseudo-labels alone, and together with a reconstruction."""
    figure, (axes,) = canvas(width=7.2, height=3.6)
    blank(axes, 13.5, 7)
    _chain(axes, ("input", "encoder", "embedding", "pseudo-labels"), 5, (7, 7, 7, 0))
    axes.text(10.7, 5.6, "feature randomness:\nlabels may be wrong", va="center", fontsize=8)
    _chain(axes, ("input", "encoder", "embedding", "pseudo-labels"), 2.6, (7, 7, 7, 0))
    box(axes, 8.1, 0.6, 1.9, 1.2, "reconstruction", 1)
    arrow(axes, (6.5, 2.6), (8.05, 1.5), 1)
    axes.text(10.7, 2.1, "feature drift:\nboth losses contend", va="center", fontsize=8)
    return Drawing(figure, OURS)


def embedded_clustering(numbers: Numbers) -> Drawing:
    """Figure 3: pre-training by reconstruction, then clustering of the embedding."""
    figure, (axes,) = canvas(width=7.2, height=3)
    blank(axes, 13.5, 5.4)
    _chain(axes, ("input", "encoder", "embedding", "decoder", "output"), 3.2, (7, 7, 7, 7, 1))
    box(axes, 5.5, 0.6, 1.9, 1.2, "clustering loss", 0)
    arrow(axes, (6.45, 3.2), (6.45, 1.85), 0)
    return Drawing(figure, OURS)


def interpolation(numbers: Numbers) -> Drawing:
    """Figure 4: two samples are encoded, mixed and decoded; the critic tells how much is mixed."""
    params = numbers.parameters("table3", "dynae", "mnist-full")
    figure, (axes,) = canvas(width=7.6, height=3.0)
    blank(axes, 15.6, 6)
    _chain(axes, ("$x_i$", "encoder"), 4.2)
    _chain(axes, ("$x_j$", "encoder"), 0.6)
    box(axes, 5.5, 2.4, 1.9, 1.2, "$\\alpha z_i + (1-\\alpha) z_j$", 7)
    arrow(axes, (4.85, 4.5), (5.5, 3.5))
    arrow(axes, (4.85, 1.5), (5.5, 2.5))
    _chain(axes, ("decoder", "critic", "$\\alpha$ ?"), 2.4, (7, 0, 0), x=8.1)
    arrow(axes, (7.42, 3.0), (8.06, 3.0))
    told = (
        f"a drawing of our own; the critic's weight is {params['critic_weight']:g}, its weights are {params['critic']}."
    )
    return Drawing(figure, told)


def targets(numbers: Numbers) -> Drawing:
    """Figures 5 and 7: what an unconflicted and a conflicted sample reconstruct."""
    figure, (axes,) = canvas(width=7.2, height=3.6)
    blank(axes, 13.5, 6.6)
    for y, text, goal, colour in (
        (4.4, "unconflicted\nsample", "image of\nits centre", 0),
        (1.2, "conflicted\nsample", "itself", 1),
    ):
        _chain(axes, (text, "encoder", "embedding", "decoder", goal), y, (7, 7, 7, 7, colour))
    axes.text(6.45, 6.1, "pulled to its centre", ha="center", fontsize=8)
    axes.text(6.45, 0.6, "left alone", ha="center", fontsize=8)
    return Drawing(figure, OURS)


def strategy(numbers: Numbers) -> Drawing:
    """Figure 8: count, compare, find centres anew and drop the thresholds, until few are conflicted."""
    params = numbers.parameters("table3", "dynae", "mnist-full")
    figure, (axes,) = canvas(width=7.2, height=2.6)
    blank(axes, 13.5, 4.4)
    steps = ("train", "count\nconflicted", "no fewer?", "new centres,\nlower thresholds", "few: stop")
    _chain(axes, steps, 1.8, (7, 7, 0, 0, 1))
    axes.plot([9.05, 9.05, 1.25, 1.25], [1.75, 0.8, 0.8, 1.75], color="#555555", linewidth=1.0, linestyle=":")
    few = 100 * params["tolerance"]
    told = f"a drawing of our own; counted every {params['check_interval']} steps, few is below {few:g} %."
    return Drawing(figure, told)


FIGURES = (
    Figure("figure1-2", "Two families of deep clustering", families,
           "Two chains of boxes from input to pseudo-labels, the lower with a branch to a reconstruction.",
           "Figures 1, 2", "pseudo-labels suffer from feature randomness, and beside a reconstruction from drift."),
    Figure("figure3", "Auto-encoder-based clustering", embedded_clustering,
           "A chain of boxes from input to output, with a clustering loss below the middle one.",
           "Figure 3", "an auto-encoder is pre-trained, then its embedding is clustered."),
    Figure("figure4", "Adversarially constrained interpolation", interpolation,
           "Two encoded samples meet in a mixture, which is decoded and shown to a critic.",
           "Figure 4", "a critic that tells mixtures apart makes these look like samples."),
    Figure("figure5-7", "What samples reconstruct", targets,
           "Two chains of boxes from sample to target, one for each kind of sample.",
           "Figures 5, 7", "sure samples reconstruct the image of their centre, the others themselves."),
    Figure("figure8", "When thresholds drop", strategy,
           "A loop of boxes: train, count, compare, drop, stop.",
           "Figure 8", "centres and thresholds change when the number of conflicted samples no longer falls."),
)  # fmt: skip
