"""Sequences of different lengths as one array, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from datasets.arrays import Lengths

Values = npt.NDArray[np.float32]


def padded(sequences: Sequence[Values], steps: int) -> tuple[Values, Lengths]:
    """Return the sequences (length, values) as one array (n, steps, values), zeros after the end, and the lengths.

    >>> x, lengths = padded([np.ones((1, 1), np.float32), np.ones((2, 1), np.float32)], 3)
    >>> x[:, :, 0].tolist(), lengths.tolist()
    ([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]], [1, 2])
    """
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    x = np.zeros((len(sequences), steps, sequences[0].shape[1]), dtype=np.float32)
    for row, sequence in zip(x, sequences, strict=True):
        row[: len(sequence)] = sequence
    return x, lengths


def as_loaded(x: npt.NDArray[np.generic]) -> Values:
    """Return the padded sequences as they are: no paper says that it scales them."""
    return x.astype(np.float32, copy=False)
