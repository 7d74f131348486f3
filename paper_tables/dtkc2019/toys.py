"""Figures of dtkc2019 that are computed from closed forms and small made-up data, with what they must show."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmark.figures import COLOURS, DASHES, MARKERS, Answer, Drawing, Figure, Numbers, canvas

Floats = npt.NDArray[np.float64]

A = np.array([[2, -1, 1, 1], [2, -1, -2, -1], [0, 0, -2, 2], [-2, 2, -2, 1]])
B = np.array([[0, 1, 2], [2, -2, -2], [-2, 1, -2]])
PRINTED = {
    "valid": np.array([[-13, 3], [-7, 12]]),
    "same": np.array([[-4, 3, -2, -9], [-2, -13, 3, 3], [2, -7, 12, 0], [8, 0, -4, 8]]),
    "full": np.array(
        [
            [0, 2, 3, -1, 3, 2],
            [4, -4, 3, -2, -9, -4],
            [0, -2, -13, 3, 3, 4],
            [-4, 2, -7, 12, 0, 0],
            [-4, 8, 0, -4, 8, -6],
            [4, -6, 10, -8, 5, -2],
        ]
    ),
}
"""The matrices of Figure 12, as they are printed."""


def says(holds: bool) -> Answer:
    """Return the answer of what is computed exactly, and has no spread."""
    return Answer("agrees" if holds else "contradicts", why="computed, nothing is random in it")


def blobs() -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return three groups of 40 points (120, 2), and the group of each."""
    from sklearn.datasets import make_blobs

    x, y = make_blobs(n_samples=[40, 40, 40], centers=[[-4, 0], [4, 0], [0, 6]], cluster_std=0.9, random_state=0)
    return x, y


def clustering(numbers: Numbers) -> Drawing:
    """Figure 2: points without and with the groups that k-means finds."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    x, y = blobs()
    found = KMeans(3, n_init=10, random_state=0).fit_predict(x)
    figure, (plain, grouped) = canvas(1, 2, width=6.4, height=3)
    plain.scatter(*x.T, s=14, color="#9a9a9a")
    for group in range(3):
        grouped.scatter(*x[found == group].T, s=16, color=COLOURS[group], marker=MARKERS[group])
    index = float(adjusted_rand_score(y, found))
    told = f"three made-up groups of 40 points; adjusted Rand index of k-means {index:.2f}."
    return Drawing(figure, told, answers=(("k-means finds the natural groups", says(index == 1.0)),))


def prototypes(numbers: Numbers) -> Drawing:
    """Figure 4: a point, a line and a spiral as prototypes of clusters."""
    rng = np.random.default_rng(0)
    angle = np.linspace(0.5, 3.5 * np.pi, 60)
    spiral = (0.25 * angle)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    along = np.linspace(-2.5, 2.5, 60)
    straight = np.stack([along, 0.5 * along], axis=1) + 0.2 * rng.normal(size=(60, 2))
    curled = spiral + 0.08 * rng.normal(size=(60, 2))
    figure, sheets = canvas(1, 3, width=7.4, height=2.6)
    shown = (curled, straight, curled)
    for sheet, points in zip(sheets, shown, strict=True):
        sheet.scatter(*points.T, s=10, color="#9a9a9a")
    sheets[0].scatter(*curled.mean(axis=0), s=60, color=COLOURS[1], marker="X")
    sheets[1].plot(along, 0.5 * along, color=COLOURS[1])
    sheets[2].plot(*spiral.T, color=COLOURS[1])
    for sheet, title in zip(sheets, ("a point", "a line", "a spiral"), strict=True):
        sheet.set_title(title, fontsize=9)
    told = "made-up points; the first and the last panel show the same ones."
    answers = (("the same points have a point and a spiral as prototypes", says(shown[0] is shown[2])),)
    return Drawing(figure, told, answers=answers)


def level_curves(numbers: Numbers) -> Drawing:
    """Figure 5: the points at distance 1 from the origin for p = 1, 2 and infinity."""
    angle = np.linspace(0, 2 * np.pi, 721)
    directions = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    figure, sheets = canvas(1, 3, width=7.2, height=2.6)
    curves = {}
    for sheet, p in zip(sheets, (1.0, 2.0, np.inf), strict=True):
        curves[p] = directions / np.linalg.norm(directions, ord=p, axis=1, keepdims=True)
        sheet.plot(*curves[p].T, color="#000000")
        sheet.scatter(0, 0, color=COLOURS[1], marker="X", s=50)
        sheet.set_title("$p = \\infty$" if np.isinf(p) else f"$p = {p:.0f}$", fontsize=9)
        sheet.set_aspect("equal")
    on_curve = np.allclose(np.abs(curves[1.0]).sum(axis=1), 1) and np.allclose(np.abs(curves[np.inf]).max(axis=1), 1)
    told = "computed with the modulus, which the printed formula lacks (T7)."
    return Drawing(figure, told, answers=(("each curve is where the distance is 1", says(on_curve)),))


def swiss_roll(numbers: Numbers) -> Drawing:
    """Figure 6: the Swiss roll, and its embedding by LLE."""
    from scipy.stats import spearmanr
    from sklearn.datasets import make_swiss_roll
    from sklearn.manifold import LocallyLinearEmbedding

    x, position = make_swiss_roll(1500, noise=0.0, random_state=0)
    flat = LocallyLinearEmbedding(n_neighbors=12, n_components=2, random_state=0).fit_transform(x)
    order = max(abs(float(spearmanr(flat[:, axis], position).statistic)) for axis in (0, 1))
    figure, (rolled, unrolled) = canvas(1, 2, width=7, height=3)
    rolled.remove()
    solid = figure.add_subplot(1, 2, 1, projection="3d")
    solid.scatter(x[:, 0], x[:, 1], zs=x[:, 2], c=position, s=4, cmap="viridis")  # type: ignore[call-arg]
    unrolled.scatter(*flat.T, c=position, s=4, cmap="viridis")
    told = f"scikit-learn's roll of 1500 points; rank correlation of an axis with the position {order:.2f}."
    return Drawing(figure, told, answers=(("an axis of the embedding follows the roll", says(order > 0.95)),))


def dendrograms(numbers: Numbers) -> Drawing:
    """Figure 8: single, average and complete linkage of twelve points."""
    from scipy.cluster.hierarchy import dendrogram, fcluster, linkage

    x = np.random.default_rng(3).normal(scale=0.6, size=(12, 2)) + np.repeat([[0, 0], [5, 0], [2, 5]], 4, axis=0)
    figure, sheets = canvas(1, 3, width=7.4, height=2.6)
    heights, groups = [], []
    for sheet, method in zip(sheets, ("single", "average", "complete"), strict=True):
        merges = linkage(x, method)
        dendrogram(merges, ax=sheet, color_threshold=0, above_threshold_color="#000000", leaf_font_size=7)
        sheet.set_title(method, fontsize=9)
        heights.append(float(merges[-1, 2]))
        parts = fcluster(merges, 3, "maxclust")
        groups.append({frozenset(np.flatnonzero(parts == part).tolist()) for part in set(parts.tolist())})
    same = groups[0] == groups[1] == groups[2]
    told = "twelve made-up points; last merges at " + ", ".join(f"{height:.1f}" for height in heights) + "."
    answers = (
        ("all three give the same three clusters", says(same)),
        ("the last merge is lowest with single and highest with complete linkage", says(heights == sorted(heights))),
    )
    return Drawing(figure, told, answers=answers)


def xor(numbers: Numbers) -> Drawing:
    """Figure 9: the four points of XOR with two lines, and what two threshold units make of them."""
    points = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    kind = points.sum(axis=1) % 2
    images = np.stack([points.sum(axis=1) > 0.5, points.sum(axis=1) > 1.5], axis=1).astype(float)
    figure, (before, after) = canvas(1, 2, width=6, height=2.8)
    for sheet, where in ((before, points), (after, images)):
        for value in (0, 1):
            sheet.scatter(
                *where[kind == value].T, s=60, color=COLOURS[value], marker=MARKERS[value], label=f"XOR {value}"
            )
        sheet.set_xlim(-0.5, 1.6)
        sheet.set_ylim(-0.5, 1.6)
    at = np.array([-0.5, 1.6])
    for place, level in enumerate((0.5, 1.5)):
        before.plot(at, level - at, color="#000000", linestyle=DASHES[place], label=f"$g_{place + 1} = 0$")
    after.plot(at, at - 0.5, color="#000000")
    # Within the axes it would hide a point.
    figure.legend(*before.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    side = images[:, 0] - images[:, 1] - 0.5
    separated = bool(((side > 0) == (kind == 1)).all())
    told = "computed; a line parts the images (1, 0) from (0, 0) and (1, 1)."
    return Drawing(figure, told, answers=(("a line separates the images", says(separated)),))


def convolutions(numbers: Numbers) -> Drawing:
    """Figure 12: valid, same and full convolution of the printed matrices."""
    from scipy.signal import convolve2d

    figure, sheets = canvas(1, 5, width=9, height=2.2)
    found = {mode: convolve2d(A, B, mode=mode) for mode in PRINTED}
    shown = {"A": A, "B": B, **found}
    for sheet, (name, matrix) in zip(sheets, shown.items(), strict=True):
        sheet.imshow(np.zeros_like(matrix), cmap="Greys", vmin=0, vmax=1)
        for (row, column), value in np.ndenumerate(matrix):
            sheet.text(column, row, str(value), ha="center", va="center", fontsize=6.5)
        sheet.set_title(name, fontsize=9)
        sheet.set_xticks([])
        sheet.set_yticks([])
        sheet.grid(visible=False)
    equal = all(np.array_equal(found[mode], matrix) for mode, matrix in PRINTED.items())
    answers = (("the three results are those printed", says(equal)),)
    return Drawing(figure, "computed by scipy from the printed matrices.", answers=answers)


FIGURES = (
    Figure("figure2", "Clustering of points in the plane", clustering,
           "Two panels of the same points, grey on the left, in three colours and shapes on the right.",
           "Figure 2", "clustering finds the natural groups of points without being told."),
    Figure("figure4", "Prototypes of clusters", prototypes,
           "Three panels of points with a cross, a line and a spiral drawn over them.",
           "Figure 4", "the same points can be described by a point, or better by a curve."),
    Figure("figure5", "Points at equal distance from a prototype", level_curves,
           "A diamond, a circle and a square around a cross.",
           "Figure 5", "what lies equally near depends on the distance."),
    Figure("figure6", "The Swiss roll and its embedding", swiss_roll,
           "A rolled sheet of points in space beside a flat one, both coloured along the roll.",
           "Figure 6", "locally linear embedding unrolls the Swiss roll."),
    Figure("figure8", "Dendrograms of three linkages", dendrograms,
           "Three trees over the same twelve points.",
           "Figure 8", "the trees differ in their heights while they cut into the same clusters."),
    Figure("figure9", "XOR before and after two threshold units", xor,
           "Four points and two lines on the left, their three images and one line on the right.",
           "Figure 9", "a hidden layer makes XOR linearly separable."),
    Figure("figure12", "Padding of a convolution", convolutions,
           "Five grids of numbers: two matrices and their valid, same and full convolution.",
           "Figure 12", "without padding the result shrinks, with full padding it grows."),
)  # fmt: skip
