"""The IDX format: a big-endian header, then unsigned bytes (the files of MNIST and of what followed it)."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datasets.obtaining.files import LIMIT, damaged, read_decompressed

UNSIGNED_BYTE = 0x08


def read_idx(path: Path, ndim: int, limit: int = LIMIT) -> npt.NDArray[np.uint8]:
    """Return the array of `ndim` dimensions in the IDX file `path` of at most `limit` bytes, or raise DataError."""
    content = read_decompressed(path, limit)
    magic, header = bytes((0, 0, UNSIGNED_BYTE, ndim)), 4 + 4 * ndim
    if content[:4] != magic or len(content) < header:
        raise damaged(path, f"it should begin with the IDX magic {magic.hex()}, but begins with {content[:4].hex()}")
    shape = struct.unpack(f">{ndim}I", content[4:header])
    if len(content) - header != math.prod(shape):
        raise damaged(path, f"{len(content) - header} bytes follow a header that says {shape}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
