"""The IDX format: a big-endian header, then unsigned bytes (the files of MNIST and of what followed it)."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.registry import DataError
from datasets.base import Images, Raw, Source
from datasets.files import LIMIT, damaged, read_decompressed

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


@dataclass(frozen=True, kw_only=True)
class IdxImages(Source):
    """Gray images and labels in IDX files: `files` are images, labels, images, labels... joined in this order."""

    raw_range: tuple[float, float] = (0, 255)

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the images (n, height, width) uint8, and their labels."""
        pixels = self.shape[1] * self.shape[2]
        most = 2**16 + 2 * self.n_samples  # far more than a file can have, and still no bomb
        images = np.concatenate([self._images(paths[file.name], most * pixels) for file in self.files[0::2]])
        labels = np.concatenate([read_idx(paths[file.name], 1, most) for file in self.files[1::2]])
        return Raw(images, labels.astype(np.int64))

    def scale(self, x: npt.NDArray[np.generic]) -> Images:
        """Return x / 255, (n, 1, height, width)."""
        images: Images = np.divide(x, np.float32(255), dtype=np.float32)
        return images[:, None]

    def _images(self, path: Path, limit: int) -> npt.NDArray[np.uint8]:
        images = read_idx(path, 3, limit)
        if images.shape[1:] != self.shape[1:]:
            raise DataError(
                f"{path} holds images of {images.shape[1:]} pixels where {self.name!r} has {self.shape[1:]}: "
                "replace it by the official file."
            )
        return images
