"""The archives of the Columbia Object Image Library: one PNG for each view of an object on a turntable."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from datasets.arrays import Images, Raw
from datasets.base import Source
from datasets.obtaining.archives import opened, read_member
from datasets.obtaining.files import DAMAGE, LIMIT, damaged

VIEW = re.compile(r"(?:.*/)?obj(\d+)__(\d+)\.png")
Pixels = npt.NDArray[np.uint8]


def read_views(
    path: Path, objects: range, positions: range, mode: str, size: int, limit: int = LIMIT
) -> Iterator[Pixels]:
    """Yield the images (size, size[, 3]) uint8 of the zip archive `path`, by object and then position.

    Members are read one by one in memory. `mode` is that of Pillow: ``L`` or ``RGB``.

    Raises
    ------
    DataError
        If the archive is damaged, a view is missing, or one is not a PNG image of that mode and size.
    """
    with opened(path, limit) as archive:
        names = (VIEW.fullmatch(name) for name in archive.namelist())
        views = {(int(name[1]), int(name[2])): name[0] for name in names if name}
        for key in ((o, p) for o in objects for p in positions):
            if key not in views:
                raise damaged(path, "it lacks obj{}__{}.png".format(*key))
            yield decode_image(read_member(archive, views[key]), path / views[key], "PNG", mode, (size, size))


def decode_image(content: bytes, place: Path, kind: str, mode: str, size: tuple[int, int]) -> Pixels:
    """Return the pixels (height, width[, 3]) of an image of one format, mode and size (width, height)."""
    try:
        with Image.open(io.BytesIO(content), formats=[kind]) as image:
            if (image.mode, image.size) != (mode, size):
                raise ValueError(f"mode {image.mode} and size {image.size} instead of {mode} and {size}")
            return np.asarray(image, dtype=np.uint8)
    except (*DAMAGE, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        reason = f"no {kind} image" if isinstance(error, UnidentifiedImageError) else error
        raise damaged(place, reason) from None


def block_sums(image: Pixels, side: int) -> npt.NDArray[np.uint16]:
    """Return the sums over blocks of `side` x `side` pixels, (h, w, ...) -> (h / side, w / side, ...).

    Sums rather than means, so that they are exact.

    >>> block_sums(np.array([[1, 2], [3, 255]], dtype=np.uint8), 2).tolist()
    [[261]]
    """
    height, width, *channels = image.shape
    blocks = image.reshape(height // side, side, width // side, side, *channels)
    sums: npt.NDArray[np.uint16] = blocks.sum(axis=(1, 3), dtype=np.uint16)
    return sums


@dataclass(frozen=True, kw_only=True)
class CoilArchive(Source):
    """A COIL data set in its official zip archive.

    Attributes
    ----------
    positions
        The second number in the names of the views: an index of the pose, or an angle in degrees.
    size
        Side of the official images, in pixels.
    reduction
        Side of the blocks of pixels whose means are taken; 1 leaves the images as they are.
    """

    positions: range
    size: int = 128
    reduction: int = 1

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the images (n, h, w[, 3]), as uint8 or as block sums, and their labels: the objects from 0."""
        objects = range(1, self.n_clusters + 1)
        mode = "RGB" if self.shape[0] == 3 else "L"
        file = self.files[0]
        views = read_views(paths[file.name], objects, self.positions, mode, self.size, file.limit)
        images = views if self.reduction == 1 else (block_sums(view, self.reduction) for view in views)
        y = np.repeat(np.arange(self.n_clusters, dtype=np.int64), len(self.positions))
        return Raw(np.stack(list(images)), y)

    def scale(self, x: npt.NDArray[np.generic]) -> Images:
        """Return the means of the blocks over 255, (n, channels, h, w)."""
        return channels_first(x, self.raw_range[1])


def channels_first(x: npt.NDArray[np.generic], largest: float) -> Images:
    """Return x / largest as float32, (n, h, w[, 3]) -> (n, channels, h, w)."""
    images = np.moveaxis(x, -1, 1) if x.ndim == 4 else x[:, None]
    scaled: Images = np.divide(images, np.float32(largest), dtype=np.float32, order="C")
    return scaled
