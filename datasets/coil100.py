"""COIL-100: 100 objects from 72 angles, 128x128 RGB pixels in the official archive.

`coil-100` is reduced to 64x64 as in the authors' code, `coil100-128px` as the papers say (ledger C7). Two smaller
forms, complete and under names of their own, stand in where the archive cannot be had.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.registry import register_dataset
from datasets.arrays import Images, Raw
from datasets.base import Source
from datasets.coil import CoilArchive, channels_first
from datasets.obtaining.archives import read_npz
from datasets.obtaining.files import OfficialFile, damaged

ARCHIVE = "coil-100.zip"
ARCHIVE_SHA1 = "sha1:402d86b63cf3ace831f2af03bc9889e5e5c3dd1a"
MIRRORS = (
    "https://www.cs.columbia.edu/CAVE/databases/SLAM_coil-20_coil-100/coil-100/",
    "http://www1.cs.columbia.edu/CAVE/databases/SLAM_coil-20_coil-100/coil-100/",
)
LICENCE = "research use only (Columbia University)"
CITATION = "Nene, Nayar, Murase: Columbia Object Image Library (COIL-100), CUCS-006-96, 1996"


@dataclass(frozen=True, kw_only=True)
class HashedCoilArchive(CoilArchive):
    """A COIL archive identified by its published SHA-1, not by its arrays: `digest` is ``sha1:...`` of the file."""

    def identify(self, raw: Raw, paths: Mapping[str, Path]) -> str:
        """Return the SHA-1 of the archive."""
        with paths[self.files[0].name].open("rb") as stream:
            return f"sha1:{hashlib.file_digest(stream, 'sha1').hexdigest()}"


@dataclass(frozen=True, kw_only=True)
class ReducedCoil(Source):
    """Reduced images in an npz file: ``x`` (n, h, w, 3) uint8, ``y`` (n,) labels from 0, other arrays ignored."""

    raw_range: tuple[float, float] = (0, 255)

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the images (n, h, w, 3) uint8, and their labels."""
        path = paths[self.files[0].name]
        arrays = read_npz(path, ("x", "y"), self.files[0].limit)
        x, y = arrays["x"], arrays["y"]
        wanted = (*self.shape[1:], self.shape[0])
        if x.dtype != np.uint8 or x.shape[1:] != wanted or y.ndim != 1 or y.dtype.kind not in "iu":
            raise damaged(path, f"x is {x.dtype} of shape {x.shape} where uint8 images of shape {wanted} should be")
        return Raw(x, y.astype(np.int64))

    def scale(self, x: npt.NDArray[np.generic]) -> Images:
        """Return x / 255, (n, 3, h, w)."""
        return channels_first(x, self.raw_range[1])


def _reduced(side: int, how: str, digest: str) -> ReducedCoil:
    return ReducedCoil(
        name=f"coil100-{side}px",
        title=f"COIL-100, all 7200 images reduced to {side}x{side} ({how})",
        folder="coil100",
        files=(OfficialFile(f"coil100_{side}px_7200.npz", limit=2**27),),
        shape=(3, side, side),
        class_counts=(72,) * 100,
        digest=digest,
        licence=LICENCE,
        citation=CITATION,
        stand_in_for="coil-100",
    )


def _whole(name: str, title: str, side: int) -> HashedCoilArchive:
    block = 128 // side
    return HashedCoilArchive(
        name=name,
        title=title,
        folder="coil100",
        files=(OfficialFile(ARCHIVE, tuple(url + ARCHIVE for url in MIRRORS), ARCHIVE_SHA1, limit=2**28),),
        shape=(3, side, side),
        class_counts=(72,) * 100,
        raw_range=(0, block * block * 255),
        positions=range(0, 360, 5),
        reduction=block,
        digest=ARCHIVE_SHA1,
        licence=LICENCE,
        citation=CITATION,
    )


COIL100 = register_dataset(_whole("coil-100", "COIL-100, 128x128 reduced to 64x64", 64))
COIL100_128PX = register_dataset(_whole("coil100-128px", "COIL-100 as published, 128x128", 128))
COIL100_64PX = register_dataset(
    _reduced(
        64,
        "means of 2x2 pixels",
        "sha256:bc67f30cbdad68ac25f1fb628e51128bed979f31a406ac9243f6561ce3dd6b80",
    )
)
COIL100_32PX = register_dataset(
    _reduced(
        32,
        "means of the central 2x2 pixels of each 4x4",
        "sha256:49ff13d71eb1a811cf3bad33f3924c972c652a29d3ef768fcfb5dc2a1a935f93",
    )
)
