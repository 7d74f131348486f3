"""The IDX format: a big-endian header, then unsigned bytes (the files of MNIST and of what followed it)."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datasets.obtaining.files import DAMAGE, LIMIT, damaged, decompressed, read_at_most, too_large

UNSIGNED_BYTE = 0x08


def read_idx(path: Path, ndim: int, limit: int = LIMIT) -> npt.NDArray[np.uint8]:
    """Return the array of `ndim` dimensions in the IDX file `path` of at most `limit` bytes, or raise DataError.

    The header is read first, and then no more than it announces.
    """
    magic, size = bytes((0, 0, UNSIGNED_BYTE, ndim)), 4 + 4 * ndim
    with decompressed(path) as stream:
        try:
            header = read_at_most(stream, size)
            if header[:4] != magic or len(header) < size:
                raise damaged(path, f"it should begin with the IDX magic {magic.hex()}, but has {header[:4].hex()}")
            shape = struct.unpack(f">{ndim}I", header[4:])
            if size + math.prod(shape) > limit:
                raise too_large(path, limit)
            content = read_at_most(stream, math.prod(shape) + 1)
        except DAMAGE as error:
            raise damaged(path, error) from None
    if len(content) != math.prod(shape):
        more = "more than " if len(content) > math.prod(shape) else ""
        found = min(len(content), math.prod(shape))
        raise damaged(path, f"{more}{found} bytes follow a header that says {shape}")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)
