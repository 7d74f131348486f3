"""Sparse matrices in npz files: the arrays data, indices, indptr and shape, with others beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy import sparse

from datasets.arrays import Array
from datasets.obtaining.files import damaged

PARTS = ("indices", "indptr", "shape")


def csr(path: Path, arrays: Mapping[str, Array], data: str, shape: tuple[int, int]) -> sparse.csr_array:
    """Return the matrix of `shape` whose values are the array `data`, its indices checked and sorted, or DataError.

    Entries of a row may come in any order, and in pieces that add up: the matrix is the same.
    """
    values, indices, indptr, found = (arrays[name] for name in (data, *PARTS))
    if any(array.dtype.kind not in "iu" or array.ndim != 1 for array in (values, indices, indptr, found)):
        raise damaged(path, "a sparse matrix should consist of vectors of integers")
    starts = indptr.astype(np.int64)
    whole = len(starts) == shape[0] + 1 and starts[0] == 0 and starts[-1] == len(values) == len(indices)
    if tuple(found) != shape or not whole or (np.diff(starts) < 0).any() or (indices >= shape[1]).any():
        raise damaged(path, f"the parts of the sparse matrix do not make one of shape {shape}")
    if (indices.astype(np.int64) < 0).any():
        raise damaged(path, "a sparse matrix should have no negative indices")
    # A copy: what comes from a file is read-only, and is put in order here.
    matrix = sparse.csr_array((values.copy(), indices.astype(np.int32), starts), shape=shape)
    matrix.sum_duplicates()
    return matrix
