"""Matrices in the MatrixMarket format: text, a line of sizes and then a line for each value.

Read here rather than by scipy, whose reader ends the process on some damaged files (found by fuzzing, scipy 1.17).
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datasets.obtaining.files import LIMIT, damaged, read_decompressed

FORMS = {"coordinate": 3, "array": 2}
Matrix = npt.NDArray[np.float64]


def read_matrix_market(path: Path, shape: tuple[int, int], limit: int = LIMIT) -> Matrix:
    """Return the real, general matrix of `shape` in the MatrixMarket file `path`, or raise DataError.

    Values that a coordinate file leaves out are 0; those that it gives twice are added.
    """
    import pandas as pd

    form, count, values = _parts(path, read_decompressed(path, limit), shape)
    try:
        frame = pd.read_csv(io.BytesIO(values), sep=r"\s+", header=None, dtype=np.float64, quoting=csv.QUOTE_NONE)
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        raise damaged(path, f"its values are no numbers, {error}") from None
    entries = frame.to_numpy()
    columns = FORMS[form] if form == "coordinate" else 1
    if entries.shape != (count, columns) or not np.isfinite(entries).all():
        raise damaged(path, f"{len(entries)} lines of values where {count} should be, or values that are no numbers")
    return entries.reshape(shape, order="F") if form == "array" else _filled(path, entries, shape)


def _filled(path: Path, entries: Matrix, shape: tuple[int, int]) -> Matrix:
    places, values = entries[:, :2], entries[:, 2]
    if (places != np.floor(places)).any() or (places < 1).any() or (places > shape).any():
        raise damaged(path, "a value has a place outside of the matrix")
    matrix = np.zeros(shape)
    rows, columns = places.astype(np.int64).T - 1
    np.add.at(matrix, (rows, columns), values)
    return matrix


def _parts(path: Path, content: bytes, shape: tuple[int, int]) -> tuple[str, int, bytes]:
    """Return the form, the number of values, and their lines, sizes having been compared with `shape`."""
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
    count = sizes[2] if words[2] == "coordinate" else shape[0] * shape[1]
    if not 0 < count <= len(values):
        raise damaged(path, f"it announces {count} values in {len(values)} bytes")
    return words[2], count, values
