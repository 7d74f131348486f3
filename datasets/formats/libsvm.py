"""LIBSVM text: a line for each sample, a number for its label and ``feature:value`` for each value that is not 0."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from datasets.obtaining.files import damaged, read_lines

LONGEST_VALUE = 32
"""Bytes that one ``feature:value`` may take, with the space before it."""


def read_libsvm_rows(
    path: Path, n_features: int, limit: int, most: int, most_values: int
) -> tuple[Any, npt.NDArray[np.float64]]:
    """Return the samples of the LIBSVM file `path` as a sparse matrix (n, n_features), and their numbers (n,).

    Raises
    ------
    DataError
        If a line is not LIBSVM's, or there are more than `most` lines, `most_values` values or `limit` bytes; this is
        seen before a line is parsed.
    """
    from sklearn.datasets import load_svmlight_file

    content = b"".join(read_lines(path, limit, most, LONGEST_VALUE * (n_features + 2)))
    if content.count(b":") > most_values:
        raise damaged(path, f"it has more than {most_values} values")
    try:
        x, numbers = load_svmlight_file(io.BytesIO(content), n_features=n_features, zero_based=False)
    except (ValueError, OverflowError) as error:
        raise damaged(path, f"a line is not LIBSVM's, {error}") from None
    return x, numbers
