"""Gray images in IDX files: MNIST, and the data sets that came in its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.errors import DataError
from datasets.arrays import Images, Raw
from datasets.base import Source
from datasets.formats.idx import read_idx
from datasets.obtaining.files import OfficialFile

LIMIT = 2**26


def idx_file(name: str, urls: tuple[str, ...], known_hash: str) -> OfficialFile:
    """Return the official file `name`, such as ``a-idx3-ubyte.gz``, also known as ``a.idx3-ubyte``.

    So archivers name what they unpack: the name that the gzip file remembers.
    """
    other = name.replace("-idx", ".idx")
    return OfficialFile(name, urls, known_hash, LIMIT, (other, other.removesuffix(".gz")))


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
