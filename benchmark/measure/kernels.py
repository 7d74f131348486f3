"""How well a kernel matrix shows classes: its distance from the perfect one, and its contrast."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def perfect_kernel(classes: npt.ArrayLike) -> Floats:
    """Return the matrix (n, n) that is 1 where two samples are of one class, and 0 elsewhere.

    >>> perfect_kernel([0, 1, 0]).tolist()
    [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    """
    y = np.asarray(classes)
    found: Floats = (y[:, None] == y[None, :]).astype(np.float64)
    return found


def normalised_distance(kernel: npt.ArrayLike, classes: npt.ArrayLike) -> float:
    """Return d_NF, the Frobenius norm of the difference of both matrices scaled to norm 1 (dtkc2019 section 17.3)."""
    k, perfect = np.asarray(kernel, dtype=np.float64), perfect_kernel(classes)
    return float(np.linalg.norm(k / np.linalg.norm(k) - perfect / np.linalg.norm(perfect)))


def contrasts(kernel: npt.ArrayLike, classes: npt.ArrayLike) -> Floats:
    """Return for each sample (n,) its mean kernel value with others of its class minus that with all other classes.

    Samples without another of their class, or without other classes, have NaN.
    """
    k, same = np.asarray(kernel, dtype=np.float64), perfect_kernel(classes)
    others = 1 - same
    np.fill_diagonal(same, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = (k * same).sum(axis=1) / same.sum(axis=1) - (k * others).sum(axis=1) / others.sum(axis=1)
    return found
