"""Ties: which accuracies, losses and differences count as equal, in one place.

An accuracy is a count over n, in per cent 100 count / n, and equal counts may come out different in the last bit; so
may equal differences of counts. Different counts lie 1 / n apart, thousands of times the tolerance.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

TOLERANCE = 1e-9
"""Numbers tie where they differ by no more than this times the largest number that they were made of."""


def tied(a: float, b: float, scale: float | None = None) -> bool:
    """Whether two numbers are equal but for rounding.

    `scale` is the largest number that they were made of, such as the accuracies of which they are differences.

    >>> tied(100 * 0.7, 70.0), tied(70.0, 70.001)
    (True, False)
    """
    largest = max(abs(a), abs(b)) if scale is None else scale
    return a == b or abs(a - b) <= TOLERANCE * largest


def levels(numbers: npt.ArrayLike, scale: float | None = None) -> npt.NDArray[np.int64]:
    """Return (n,) whole numbers, 0 for the lowest, that order finite `numbers` (n,) and are equal where those tie.

    >>> levels([0.3, 0.1 + 0.2, 0.1])
    array([1, 1, 0])
    """
    array = np.asarray(numbers, dtype=np.float64)
    largest = float(np.abs(array).max(initial=0.0)) if scale is None else scale
    order = np.argsort(array, kind="stable")
    found = np.zeros(len(array), dtype=np.int64)
    found[order[1:]] = np.cumsum(np.diff(array[order]) > TOLERANCE * largest)
    return found
