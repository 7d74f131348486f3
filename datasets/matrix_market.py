"""Matrices in the MatrixMarket format: text, a line of sizes and then a line for each value."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.io
from scipy import sparse

from datasets.files import LIMIT, damaged, read_decompressed

FORMS = {"coordinate": 3, "array": 2}


def read_matrix_market(path: Path, shape: tuple[int, int], limit: int = LIMIT) -> npt.NDArray[np.float64]:
    """Return the real, general matrix of `shape` in the MatrixMarket file `path`, or raise DataError.

    Sizes are compared with what may be there before scipy reads values into arrays of these sizes.
    """
    content = read_decompressed(path, limit)
    _check_sizes(path, content, shape)
    try:
        matrix = scipy.io.mmread(io.BytesIO(content))
    except (ValueError, TypeError, OverflowError, RuntimeError, OSError) as error:
        raise damaged(path, f"it is no whole MatrixMarket file, {error}") from None
    dense = np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, dtype=np.float64)
    if dense.shape != shape or not np.isfinite(dense).all():
        raise damaged(path, f"a matrix of shape {dense.shape} where finite values of shape {shape} should be")
    return dense


def _check_sizes(path: Path, content: bytes, shape: tuple[int, int]) -> None:
    banner, *_ = content[:1024].splitlines() or [b""]
    words = banner.decode("ascii", "replace").lower().split()
    if words[:2] != ["%%matrixmarket", "matrix"] or len(words) != 5 or words[2] not in FORMS:
        raise damaged(path, "it does not begin as a MatrixMarket matrix")
    if words[3] not in ("real", "integer") or words[4] != "general":
        raise damaged(path, f"a {words[4]} matrix of {words[3]} values where a general, real one should be")
    body = content[len(banner) :].lstrip()
    while body.startswith(b"%"):
        body = body.partition(b"\n")[2].lstrip()
    line, _, values = body.partition(b"\n")
    try:
        sizes = [int(word) for word in line.split()]
    except ValueError:
        sizes = []
    if len(sizes) != FORMS[words[2]] or tuple(sizes[:2]) != shape:
        raise damaged(path, f"its sizes are not {shape[0]} and {shape[1]}")
    if not 0 <= sizes[-1] <= len(values):
        raise damaged(path, f"it announces {sizes[-1]} values in {len(values)} bytes")
