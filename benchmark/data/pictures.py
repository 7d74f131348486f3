"""Pictures of data sets: contact sheets of images, courses of sequences, spectra of vectors."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.errors import UsageError
from benchmark.registry import DataSource, LoadedData

CLASSES = 20
"""Classes that a picture shows, the first ones."""
EACH = 10
"""Samples of each class."""
SPECTRUM = 1000
"""Samples whose spectrum is taken."""


def draw_samples(data: LoadedData, source: DataSource, target: Path) -> Path:
    """Draw a data set to `target`, whose suffix says the format, and return it."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever a matplotlibrc of the user says
        return _drawn(data, source, target)


def _drawn(data: LoadedData, source: DataSource, target: Path) -> Path:
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    if target.suffix.lstrip(".") not in figure.canvas.get_supported_filetypes():
        raise UsageError(f"--picture {target}: a picture is written as png, svg or pdf.")
    axes = figure.add_subplot()
    if len(source.shape) == 3:
        _contact_sheet(axes, data, figure)
    elif len(source.shape) == 2:
        _courses(axes, data, source)
    else:
        _spectrum(axes, data)
    title = source.title + (" (stand-in)" if source.stand_in_for else "")
    axes.set_title(textwrap.fill(title, 70), fontsize=8)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=120)
    return target


def first_of_each(y: NDArray[Any], classes: int, each: int) -> list[NDArray[np.int64]]:
    """Return the indices of the first `each` samples of each of the first `classes` classes."""
    return [np.flatnonzero(y == label)[:each] for label in range(classes)]


def _contact_sheet(axes: Axes, data: LoadedData, figure: Figure) -> None:
    """Show the first images of each class, a class in a row."""
    rows = first_of_each(data.y, min(data.n_clusters, CLASSES), EACH)
    channels, height, width = data.x.shape[1:]
    sheet = np.ones((len(rows) * height, EACH * width, channels), dtype=np.float32)
    for r, indices in enumerate(rows):
        for c, image in enumerate(data.x[indices]):
            sheet[r * height : (r + 1) * height, c * width : (c + 1) * width] = np.moveaxis(image, 0, -1)
    figure.set_size_inches(5, 5 * sheet.shape[0] / sheet.shape[1] + 0.4)
    axes.imshow(sheet if channels == 3 else sheet[:, :, 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks((np.arange(len(rows)) + 0.5) * height, [str(r) for r in range(len(rows))], fontsize=6)


def _courses(axes: Axes, data: LoadedData, source: DataSource) -> None:
    """Show the first sequence of each class, all its values over the steps, one class above the other."""
    names = getattr(source, "class_names", ()) or tuple(map(str, range(data.n_clusters)))
    indices = [found[0] for found in first_of_each(data.y, min(data.n_clusters, CLASSES), 1)]
    gap = float(np.ptp(data.x[indices]))
    lengths: Any = getattr(data, "lengths", None)
    for row, index in enumerate(indices):
        steps = data.x.shape[1] if lengths is None else lengths[index]
        for number, course in enumerate(data.x[index, :steps].T):
            axes.plot(course - row * gap, linewidth=0.6, color=f"C{number % 10}")
    axes.set_yticks([-row * gap for row in range(len(indices))], names[: len(indices)], fontsize=6)
    axes.set_xlabel("step")


def _spectrum(axes: Axes, data: LoadedData) -> None:
    """Show the variances along the principal axes of a uniform subset, in decreasing order."""
    x = np.asarray(data.prepare((), SPECTRUM).x, dtype=np.float64)
    centred = x - x.mean(axis=0)
    gram = centred @ centred.T if len(x) < x.shape[1] else centred.T @ centred
    variances = np.linalg.eigvalsh(gram)[::-1]
    shares = (variances / variances.sum())[variances > 1e-9 * variances[0]]
    axes.loglog(np.arange(1, len(shares) + 1), shares, linewidth=1)
    axes.set_xlabel("principal axis")
    axes.set_ylabel(f"share of the variance ({len(x)} samples)")
