"""Figure 18 of dtkc2019: a patch of a real image and the eight positions around it, as the pretext task has them."""

from __future__ import annotations

import numpy as np

from benchmark.figures import COLOURS, Drawing, Figure, NoNumbers, Numbers, ShownImages, canvas
from paper_tables.dtkc2019.toys import says

COLUMNS = {"coil-20": (24, 12, 4), "mnist": (7, 2, 1), "digits": (7, 2, 1)}
"""Where an image is taken from, the first that is here: side of a patch, gap and jitter (Table 2; gaps T19)."""

OFFSETS = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if (row, column) != (0, 0)]


def corners(side: int, size: int, gap: int, jitter: int) -> tuple[tuple[int, int], np.ndarray]:
    """Return the upper left corner of the middle patch of a square image, and of the eight around it (8, 2)."""
    middle = (side - size) // 2
    moved = np.random.default_rng(0).integers(-jitter, jitter + 1, size=(8, 2))
    return (middle, middle), middle + np.array(OFFSETS) * (size + gap) + moved


def first_here(numbers: Numbers) -> tuple[str, ShownImages]:
    """Return the first column of `COLUMNS` whose images are on this machine, with these."""
    for column in COLUMNS:
        try:
            return column, numbers.samples(column)
        except NoNumbers:
            continue
    raise NoNumbers("no images are here: `python -m benchmark data fetch mnist`.")


def patches(numbers: Numbers) -> Drawing:
    """Figure 18: the middle patch and the eight numbered positions of the second."""
    from matplotlib.patches import Rectangle

    column, data = first_here(numbers)
    size, gap, jitter = COLUMNS[column]
    image = data.images[0]
    side = min(image.shape[1:])
    middle, around = corners(side, size, gap, jitter)
    figure, (axes,) = canvas(width=3.6, height=3.6)
    axes.imshow(np.moveaxis(image, 0, -1) if len(image) == 3 else image[0], cmap="gray", interpolation="nearest")
    for place, (row, left) in enumerate([middle, *around.tolist()]):
        colour = COLOURS[1] if place == 0 else COLOURS[5]
        axes.add_patch(Rectangle((left - 0.5, row - 0.5), size, size, fill=False, edgecolor=colour, linewidth=1.6))
        axes.text(
            left + size / 2 - 0.5, row + size / 2 - 0.5, str(place or "x"), color=colour, ha="center", va="center"
        )
    axes.axis("off")
    inside = bool((around >= 0).all() and (around + size <= side).all())
    third = bool(around[2, 0] < middle[0] and around[2, 1] > middle[1])
    answers = (
        ("the third position is above and to the right", says(third)),
        ("no patch leaves the image", says(inside)),
    )
    told = f"patches of {size}x{size} pixels, {gap} apart, moved by up to {jitter}; the thesis shows a photograph."
    return Drawing(figure, told, (f"an image of {data.label}",), answers)


FIGURES = (
    Figure("figure18", "A pair of patches for the pretext task", patches,
           "A picture with a square in its middle and eight numbered squares around it.",
           "Figure 18", "the network must tell in which of eight positions the second patch lies."),
)  # fmt: skip
