"""MATLAB files, read without trusting them: checked from outside before scipy decodes them.

A file of format 5 to 7 is a header of 128 bytes and then elements, each a tag (type, bytes) and its content; a
compressed element is a zlib stream of one matrix. `read_mat` unpacks within a limit, and follows the tags of every
matrix to see that they fit into each other and that the values are as many as the dimensions say. Only then does scipy
see them: numbers, text, sparse matrices, cells and structures, no objects and no functions.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets.arrays import Array
from datasets.obtaining.files import LIMIT, damaged, read_decompressed, too_large

HEADER = 128
MATRIX, COMPRESSED = 14, 15
BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
"""Bytes of one value by the type of an element."""
CELL, STRUCT, CHAR, SPARSE = 1, 2, 4, 5
NUMERIC = range(6, 16)
COMPLEX = 0x800
"""The flag of a matrix that has imaginary parts."""
DEEPEST = 8
MOST_ELEMENTS = 2**17
"""Elements that a file may have in all, and values that empty matrices may pretend to."""
HDF5 = b"MATLAB 7.3"
MOST_DIMENSIONS = 32


class Element(NamedTuple):
    """An element: its type, and where its content lies."""

    kind: int
    start: int
    end: int


def read_mat(path: Path, names: Iterable[str], limit: int = LIMIT, sparse: bool = False) -> dict[str, Array]:
    """Return the variables `names` of the MATLAB file `path`, or raise DataError.

    Sparse variables are refused too, unless `sparse`.
    """
    from scipy.io import loadmat

    wanted = list(names)
    plain = _Plain(path, read_decompressed(path, limit), limit).content
    try:
        found = loadmat(io.BytesIO(plain), variable_names=wanted)  # type: ignore[arg-type]  # it reads streams
    except Exception as error:  # scipy has no class for its errors; what it reads is checked, and none is hidden
        raise damaged(path, f"it is no whole MATLAB file, {type(error).__name__}") from None
    if absent := [name for name in wanted if name not in found]:
        raise damaged(path, f"it lacks the variables {' and '.join(absent)}")
    if not sparse and any(not isinstance(found[name], np.ndarray) for name in wanted):
        raise damaged(path, f"one of {' and '.join(wanted)} is a sparse matrix")
    return {name: found[name] for name in wanted}


class _Plain:
    """The content of a MATLAB file with all matrices unpacked and checked."""

    def __init__(self, path: Path, content: bytes, limit: int) -> None:
        self.path, self.elements = path, 0
        if content.startswith(HDF5):
            raise damaged(path, "it is a MATLAB file of version 7.3: save it with -v7, or take the official one")
        self.order = {b"IM": "<", b"MI": ">"}.get(content[126:128], "")
        if len(content) < HEADER or not self.order or struct.unpack(f"{self.order}H", content[124:126])[0] != 0x100:
            raise damaged(path, "it is no MATLAB file of format 5 to 7")
        matrices: list[bytes] = []
        left = limit
        for element in self._elements(content, HEADER, len(content), padded=False):
            matrix = content[element.start : element.end]
            if element.kind == COMPRESSED:
                matrix = self._unpacked(matrix, left)
                (inner,) = self._elements(matrix, 0, len(matrix)) or (Element(0, 0, 0),)
                kind, matrix = inner.kind, matrix[inner.start : inner.end]
            else:
                kind = element.kind
            left -= len(matrix)
            if kind != MATRIX:
                raise self._wrong(f"an element of type {kind} where a matrix should be")
            self._check_matrix(matrix, 0, len(matrix), 0)
            padding = b"\0" * (-len(matrix) % 8)
            matrices.append(struct.pack(f"{self.order}II", MATRIX, len(matrix) + len(padding)) + matrix + padding)
        self.content = content[:HEADER] + b"".join(matrices)

    def _wrong(self, reason: str) -> Exception:
        return damaged(self.path, f"it is no whole MATLAB file, {reason}")

    def _unpacked(self, content: bytes, limit: int) -> bytes:
        stream = zlib.decompressobj()
        try:
            matrix = stream.decompress(content, max(limit, 1))
        except zlib.error as error:
            raise self._wrong(str(error)) from None
        if stream.unconsumed_tail:
            raise too_large(self.path, limit)
        if not stream.eof:
            raise self._wrong("a compressed matrix ends too soon")
        return matrix

    def _elements(self, content: bytes, start: int, end: int, padded: bool = True) -> list[Element]:
        """Return the elements that fill `content` from `start` to `end`."""
        return list(self._walk(content, start, end, padded))

    def _walk(self, content: bytes, start: int, end: int, padded: bool) -> Iterator[Element]:
        while end - start >= 8:
            kind, size = struct.unpack_from(f"{self.order}II", content, start)
            if kind >> 16:  # small: type and bytes share four bytes, the content is the next four
                element = Element(kind & 0xFFFF, start + 4, start + 4 + (kind >> 16))
                following = start + 8
                if kind >> 16 > 4:
                    raise self._wrong("a small element is too large")
            else:
                element = Element(kind, start + 8, start + 8 + size)
                following = element.end + (-size % 8 if padded and kind != COMPRESSED else 0)
            self.elements += 1
            if self.elements > MOST_ELEMENTS:
                raise self._wrong(f"more than {MOST_ELEMENTS} elements")
            if element.end > end:
                raise self._wrong(f"an element of {size} bytes where {end - start - 8} are left")
            yield element
            start = min(following, end)
        if start != end:
            raise self._wrong(f"{end - start} bytes are left over")

    def _check_matrix(self, content: bytes, start: int, end: int, depth: int) -> None:
        """Raise DataError unless what lies from `start` to `end` is a whole matrix."""
        if depth > DEEPEST:
            raise self._wrong("matrices in matrices without end")
        if start == end and depth:
            return  # an empty cell
        parts = self._elements(content, start, end)
        if len(parts) < 3 or [p.kind for p in parts[:2]] != [6, 5] or parts[0].end - parts[0].start != 8:
            raise self._wrong("a matrix without its class and dimensions")
        flags = struct.unpack_from(f"{self.order}I", content, parts[0].start)[0]
        kind, parts_of_number = flags & 0xFF, 2 if flags & COMPLEX else 1
        if kind in (CELL, STRUCT, CHAR) and parts_of_number == 2:
            raise self._wrong(f"a matrix of class {kind} with imaginary parts")
        size = (parts[1].end - parts[1].start) // 4
        dimensions = struct.unpack_from(f"{self.order}{size}i", content, parts[1].start)
        if not 2 <= size <= MOST_DIMENSIONS or min(dimensions) < 0 or parts[2].kind not in (1, 2, 16):
            raise self._wrong("a matrix with impossible dimensions or name")
        count, values = math.prod(dimensions), parts[3:]
        if kind != SPARSE and math.prod(filter(None, dimensions)) > max(count, MOST_ELEMENTS):
            raise self._wrong(f"an empty matrix of the dimensions {dimensions}")
        if kind in NUMERIC or kind == CHAR:
            self._check_values(values, count, parts_of_number)
        elif kind == SPARSE:
            self._check_sparse(content, values, dimensions, parts_of_number)
        elif kind in (CELL, STRUCT):
            self._check_nested(content, values, count, kind, depth)
        else:
            raise self._wrong(f"a matrix of class {kind}, which is no data")

    def _values(self, element: Element) -> int:
        if element.kind not in BYTES:
            raise self._wrong(f"values of type {element.kind}")
        return (element.end - element.start) // BYTES[element.kind]

    def _check_values(self, values: list[Element], count: int, parts: int) -> None:
        """Refuse other than `count` values, or other than the real part, and the imaginary one where there are two.

        scipy 1.17 ends the process where the flags announce an imaginary part that is not there.
        """
        counts = [self._values(value) for value in values]
        if counts != [count] * parts:
            raise self._wrong(f"{counts} values where the dimensions and flags say {[count] * parts}")

    def _check_sparse(self, content: bytes, values: list[Element], dimensions: tuple[int, ...], parts: int) -> None:
        if len(values) != 2 + parts or len(dimensions) != 2 or [v.kind for v in values[:2]] != [5, 5]:
            raise self._wrong("a sparse matrix that lacks a part")
        entries, columns = self._values(values[0]), self._values(values[1])
        if columns != dimensions[1] + 1 or any(self._values(value) > entries for value in values[2:]):
            raise self._wrong("a sparse matrix whose parts do not fit together")
        (last,) = struct.unpack_from(f"{self.order}i", content, values[1].end - 4)
        if not 0 <= last <= self._values(values[2]):
            raise self._wrong("a sparse matrix whose parts do not fit together")

    def _check_nested(self, content: bytes, values: list[Element], count: int, kind: int, depth: int) -> None:
        if kind == STRUCT:
            if len(values) < 2 or values[0].kind != 5 or values[0].end - values[0].start != 4:
                raise self._wrong("a structure without field names")
            (width,) = struct.unpack_from(f"{self.order}i", content, values[0].start)
            fields, rest = divmod(values[1].end - values[1].start, width) if 0 < width <= 64 else (0, 1)
            if rest:
                raise self._wrong("a structure without field names")
            if not fields and count > MOST_ELEMENTS:
                raise self._wrong(f"{count} structures of no fields")
            count, values = count * fields, values[2:]
        if len(values) != count or any(value.kind != MATRIX for value in values):
            raise self._wrong(f"{len(values)} matrices where {count} should be")
        for value in values:
            self._check_matrix(content, value.start, value.end, depth + 1)
