"""Figures of dtkc2019 on filters, kernel densities and divergences: computed from closed forms and made-up data."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmark.figures import COLOURS, Drawing, Figure, Numbers, canvas, legend
from paper_tables.dtkc2019.toys import says

Floats = npt.NDArray[np.float64]

AMISE = 0.338
"""The rule of thumb in Figure 23 for its five observations, as printed."""

MEANS = 1.26
"""The distance of the two means in Figure 24: of our own, as the divergence is then 10 at a width of .2."""


def filters(numbers: Numbers) -> Drawing:
    """Figure 13: a picture, its mean over 11 x 11 pixels, and its edges by a 3 x 3 Laplacian."""
    from scipy.signal import convolve2d

    picture = made_up_picture()
    laplacian = -np.ones((3, 3))
    laplacian[1, 1] = 8
    smooth = convolve2d(picture, np.full((11, 11), 1 / 121), mode="same", boundary="symm")
    edges = convolve2d(picture, laplacian, mode="same", boundary="symm")
    figure, sheets = canvas(1, 3, width=7, height=2.6)
    for sheet, image, title in zip(sheets, (picture, smooth, edges), ("original", "smoothed", "edges"), strict=True):
        sheet.imshow(image, cmap="gray", interpolation="nearest")
        sheet.set_title(title, fontsize=9)
        sheet.axis("off")
    answers = (
        ("smoothing lowers the variance", says(bool(smooth.var() < picture.var()))),
        ("edges have a mean near zero", says(bool(abs(edges.mean()) < 1e-2))),
    )
    told = (
        f"a picture of our own; variance {picture.var():.3f} before and {smooth.var():.3f} after smoothing, "
        f"mean of the edges {edges.mean():.1e}."
    )
    return Drawing(figure, told, answers=answers)


def made_up_picture(side: int = 96) -> Floats:
    """Return a picture (side, side) of a disc, a bar and a checkerboard."""
    row, column = np.mgrid[:side, :side] / side
    picture = 0.15 + 0.2 * column
    picture[(row - 0.35) ** 2 + (column - 0.35) ** 2 < 0.06] = 0.9
    picture[(row > 0.75) & (row < 0.85)] = 0.6
    board = (row < 0.4) & (column > 0.65)
    picture[board] = 0.9 * (((8 * row).astype(int) + (16 * column).astype(int)) % 2)[board]
    found: Floats = picture
    return found


def observations() -> Floats:
    """Return five points (5,) whose sample deviation gives the printed width by its rule of thumb."""
    points = np.array([-0.62, -0.38, 0.05, 0.12, 0.52])
    return (points - points.mean()) / points.std(ddof=1) * AMISE / (4 / 15) ** 0.2


def density(points: Floats, width: float, at: Floats) -> tuple[Floats, Floats]:
    """Return the Gaussian kernel density at (t,), and what each of the points contributes, (n, t)."""
    parts = np.exp(-0.5 * ((at - points[:, None]) / width) ** 2) / (width * np.sqrt(2 * np.pi) * len(points))
    return parts.sum(axis=0), parts


def kernel_density(numbers: Numbers) -> Drawing:
    """Figure 23: the density of five observations at four widths."""
    points = observations()
    rule = float(points.std(ddof=1) * (4 / (3 * len(points))) ** 0.2)
    widths = (0.07, 0.15, rule, 0.55)
    at = np.linspace(-2.5, 2.5, 2001)
    figure, sheets = canvas(2, 2, width=6.6, height=4.4)
    modes = []
    for sheet, width in zip(sheets, widths, strict=True):
        whole, parts = density(points, width, at)
        sheet.plot(at, whole, color=COLOURS[1])
        for part in parts:
            sheet.plot(at, part, color="#555555", linestyle="--", linewidth=0.9)
        sheet.scatter(points, np.zeros(len(points)), color="#000000", s=14, zorder=3)
        sheet.set_title(f"$\\sigma$ = {width:.3g}", fontsize=9)
        modes.append(int((np.diff(np.sign(np.diff(whole))) < 0).sum()))
    answers = (
        ("the rule of thumb gives .338", says(f"{rule:.3f}" == f"{AMISE:.3f}")),
        ("the wider the kernel, the fewer modes", says(modes == sorted(modes, reverse=True) and modes[0] > modes[-1])),
    )
    told = f"five points of our own; modes from the narrowest to the widest kernel: {', '.join(map(str, modes))}."
    return Drawing(figure, told, answers=answers)


def divergence(width: Floats | float, distance: float = MEANS) -> Floats:
    """Return the Cauchy-Schwarz divergence of two Gaussians of equal width: mu^2 / (4 sigma^2)."""
    found: Floats = distance**2 / (4 * np.asarray(width, dtype=np.float64) ** 2)
    return found


def divergence_of_gaussians(numbers: Numbers) -> Drawing:
    """Figure 24: the divergence of two Gaussians against their width."""
    widths = np.linspace(0.2, 1.0, 161)
    values = divergence(widths)
    figure, (axes,) = canvas(width=5.8, height=3.6)
    axes.plot(widths, values, color=COLOURS[0], label="$D_{cs} = \\mu^2 / (4 \\sigma^2)$")
    axes.set_xlabel("$\\sigma$")
    axes.set_ylim(0, 10.5)
    axes.set_ylabel("divergence")
    at = np.linspace(-2, 3.5, 200)
    for place, width in enumerate((0.3, 0.6, 0.9)):
        small = axes.inset_axes((0.35 + 0.21 * place, 0.45, 0.18, 0.25))
        for mean in (0.0, MEANS):
            small.plot(at, np.exp(-0.5 * ((at - mean) / width) ** 2) / width, linewidth=1)
        small.set_title(f"$\\sigma$ = {width}", fontsize=7)
        small.set_xticks([])
        small.set_yticks([])
    legend(axes)
    answers = (
        ("the divergence falls with the width, as the densities overlap", says(bool((np.diff(values) < 0).all()))),
    )
    return Drawing(figure, f"closed form for means {MEANS} apart, a choice of ours.", answers=answers)


FIGURES = (
    Figure("figure13", "A picture filtered by convolution", filters,
           "Three pictures: sharp, blurred, and its edges dark and bright on grey.",
           "Figure 13", "one filter smooths a picture, another finds its edges."),
    Figure("figure23", "Kernel density estimates of four widths", kernel_density,
           "Four panels: an orange curve over five dots with dashed bumps below it, smoother from panel to panel.",
           "Figure 23", "narrow kernels give a ragged density, wide ones a smooth one."),
    Figure("figure24", "Cauchy-Schwarz divergence of two Gaussians", divergence_of_gaussians,
           "A falling curve, with three small pictures of two bells that overlap more and more.",
           "Figure 24", "the divergence falls as two densities overlap more."),
)  # fmt: skip
