"""What classical baselines share: flattened samples go in; labels, an embedding and one loss come out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from benchmark.training import Outcome, require_memory

Found = tuple[np.ndarray, np.ndarray, Outcome]


def flattened(x: np.ndarray, needed_bytes: Callable[[int, int], float]) -> np.ndarray:
    """Return samples (n, ...) as vectors (n, d); NeedsMemory where what a method needs for them is not free."""
    flat = x.reshape(len(x), -1)
    require_memory(needed_bytes(*flat.shape), len(flat))
    return flat


def found(labels: np.ndarray, embedding: np.ndarray, name: str, loss: float) -> Found:
    """Return what a method found: labels (n,), embedding (n, e), and its one loss, under its name."""
    value = float(loss)
    return np.asarray(labels, dtype=np.int64), embedding, Outcome(value, value, {name: value})


def within_scatter(x: np.ndarray, labels: np.ndarray) -> float:
    """Return the sum of squared distances of samples (n, d) to the means of their clusters, in float64.

    >>> within_scatter(np.array([[0.0], [2.0], [5.0]]), np.array([0, 0, 1]))
    2.0
    """
    total = 0.0
    for label in np.unique(labels):
        members = x[labels == label].astype(np.float64)
        total += float(np.square(members - members.mean(axis=0)).sum())
    return total


@contextmanager
def stopping_at_its_limit() -> Iterator[None]:
    """Let an iteration end at its declared limit without a warning: the limit is part of the method's parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
