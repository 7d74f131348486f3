"""SVHN: house numbers photographed from the street, 32x32 RGB, the training and then the test set, without `extra`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.registry import register_dataset
from datasets.arrays import Array, Images, Raw
from datasets.coil import channels_first
from datasets.formats.matfile import read_mat
from datasets.identity import HashedFiles, published_hash
from datasets.obtaining.files import OfficialFile, damaged

URL = "http://ufldl.stanford.edu/housenumbers/"
PUBLISHED = {
    "train_32x32.mat": "sha256:435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
    "test_32x32.mat": "sha256:cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
}
FILES = tuple(OfficialFile(name, (URL + name,), sha256, limit=2**28) for name, sha256 in PUBLISHED.items())
TRAIN_COUNTS = (4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659)
TEST_COUNTS = (1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595)


@dataclass(frozen=True, kw_only=True)
class HouseNumbers(HashedFiles):
    """Images in MATLAB files: ``X`` (height, width, 3, n) uint8, ``y`` (n, 1), where 10 stands for the digit 0."""

    raw_range: tuple[float, float] = (0, 255)

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the images (n, height, width, 3) uint8, and the digits."""
        parts = [self._part(paths[file.name], file.limit) for file in self.files]
        return Raw(np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts]))

    def scale(self, x: Array) -> Images:
        """Return x / 255, (n, 3, height, width)."""
        return channels_first(x, self.raw_range[1])

    def _part(self, path: Path, limit: int) -> tuple[Array, Array]:
        found = read_mat(path, ("X", "y"), limit)
        x, y = found["X"], found["y"].ravel()
        wanted = (*self.shape[1:], self.shape[0])
        if x.dtype != np.uint8 or x.ndim != 4 or x.shape[:3] != wanted or x.shape[3] != len(y):
            raise damaged(
                path, f"X is {x.dtype} of shape {x.shape} with {len(y)} labels, where uint8 {wanted} should be"
            )
        if y.dtype.kind not in "iuf" or not np.isin(y, np.arange(1, 11)).all():
            raise damaged(path, "y should hold the labels 1 to 10")
        return np.moveaxis(x, 3, 0), y.astype(np.int64) % 10


SVHN = register_dataset(
    HouseNumbers(
        name="svhn",
        title="SVHN, training and test set without extra",
        folder="svhn",
        files=FILES,
        shape=(3, 32, 32),
        class_counts=tuple(train + test for train, test in zip(TRAIN_COUNTS, TEST_COUNTS, strict=True)),
        digest=published_hash(FILES),
        licence="non-commercial use only",
        citation="Netzer, Wang, Coates, Bissacco, Wu, Ng: Reading digits in natural images, NIPS workshop, 2011",
    )
)
