"""Matrices in the MatrixMarket format: text, a line of sizes and then a line for each value.

Read here rather than by scipy, whose reader ends the process on some damaged files (found by fuzzing, scipy 1.17).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from datasets.obtaining.files import DAMAGE, LIMIT, damaged, decompressed, too_large

FORMS = {"coordinate": 3, "array": 2}
Matrix = npt.NDArray[np.float64]

LONGEST_LINE = 2**16
COMMENTS = 2**24
"""Bytes that the comments before the sizes may have."""
BLOCK = 2**22
"""Bytes of values that are parsed at once."""


def read_matrix_market(path: Path, shape: tuple[int, int], limit: int = LIMIT) -> Matrix:
    """Return the real, general matrix of `shape` in the MatrixMarket file `path`, or raise DataError.

    Values that a coordinate file leaves out are 0; those that it gives twice are added. The sizes are compared with
    `shape` before a value is read, and values are parsed block by block, so that memory is that of the matrix.
    """
    with decompressed(path) as stream:
        try:
            form, count, used = _head(path, stream, shape)
            return _matrix(path, _entries(path, stream, limit - used, form), form, count, shape)
        except DAMAGE as error:
            raise damaged(path, error) from None


def _matrix(path: Path, blocks: Iterator[Matrix], form: str, count: int, shape: tuple[int, int]) -> Matrix:
    matrix, found = np.zeros(shape, order="F" if form == "array" else "C"), 0
    for entries in blocks:
        start, found = found, found + len(entries)
        if found > count:
            break
        if form == "array":
            matrix.reshape(-1, order="F")[start:found] = entries[:, 0]
        else:
            _add(path, matrix, entries)
    if found != count:
        raise damaged(path, f"{found} or more lines of values where {count} should be")
    return matrix


def _add(path: Path, matrix: Matrix, entries: Matrix) -> None:
    places, values = entries[:, :2], entries[:, 2]
    if (places != np.floor(places)).any() or (places < 1).any() or (places > matrix.shape).any():
        raise damaged(path, "a value has a place outside of the matrix")
    rows, columns = places.astype(np.int64).T - 1
    np.add.at(matrix, (rows, columns), values)


def _entries(path: Path, stream: IO[bytes], limit: int, form: str) -> Iterator[Matrix]:
    """Yield the numbers of the lines of values, (lines, columns), block by block."""
    rest, columns = b"", FORMS[form] if form == "coordinate" else 1
    while piece := stream.read(BLOCK):
        limit -= len(piece)
        if limit < 0:
            raise too_large(path, limit)
        lines, _, rest = (rest + piece).rpartition(b"\n")
        if len(rest) > LONGEST_LINE:
            raise damaged(path, f"a line is longer than {LONGEST_LINE} bytes")
        yield from _parsed(path, lines, columns)
    yield from _parsed(path, rest, columns)


def _parsed(path: Path, lines: bytes, columns: int) -> Iterator[Matrix]:
    import pandas as pd

    first = lines.lstrip().partition(b"\n")[0]
    if not first:
        return
    if len(first.split(None, columns)) != columns:  # pandas takes the first line's word for how many there are
        raise damaged(path, f"a line has not {columns} numbers")
    try:
        frame = pd.read_csv(io.BytesIO(lines), sep=r"\s+", header=None, dtype=np.float64, quoting=csv.QUOTE_NONE)
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        raise damaged(path, f"its values are no numbers, {error}") from None
    entries = frame.to_numpy()
    if entries.shape[1] != columns or not np.isfinite(entries).all():
        raise damaged(path, "a line has other than numbers")
    yield entries


def _head(path: Path, stream: IO[bytes], shape: tuple[int, int]) -> tuple[str, int, int]:
    """Return the form, the number of values, and the bytes read, sizes having been compared with `shape`."""
    banner = stream.readline(LONGEST_LINE)
    words = banner.decode("ascii", "replace").lower().split()
    if words[:2] != ["%%matrixmarket", "matrix"] or len(words) != 5 or words[2] not in FORMS:
        raise damaged(path, "it does not begin as a MatrixMarket matrix")
    if words[3] not in ("real", "integer") or words[4] != "general":
        raise damaged(path, f"a {words[4]} matrix of {words[3]} values where a general, real one should be")
    used, line = len(banner), b"%"
    while line and (not line.strip() or line.lstrip().startswith(b"%")):
        line = stream.readline(LONGEST_LINE)
        used += len(line)
        if used > COMMENTS or len(line) == LONGEST_LINE:
            raise damaged(path, f"its comments have more than {COMMENTS} bytes, or a line is too long")
    try:
        sizes = [int(word) for word in line.split()]
    except ValueError:
        sizes = []
    if len(sizes) != FORMS[words[2]] or tuple(sizes[:2]) != shape:
        raise damaged(path, f"its sizes are not {shape[0]} and {shape[1]}")
    count = sizes[2] if words[2] == "coordinate" else shape[0] * shape[1]
    if count < 1:
        raise damaged(path, f"it announces {count} values")
    return words[2], count, used
