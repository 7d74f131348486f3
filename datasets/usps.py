"""USPS: handwritten digits of the United States Postal Service, 16x16 gray pixels, training and then test set.

The files are LIBSVM text, with the labels 1..10 for the digits 0..9 and values from -1 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.registry import register_dataset
from datasets.arrays import Images, Labels, Raw
from datasets.base import Source
from datasets.formats.libsvm import read_libsvm_rows
from datasets.obtaining.files import OfficialFile, damaged

MIRRORS = (
    "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/",
    "http://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/",
)
PUBLISHED = {
    "usps.bz2": "sha256:3771e9dd6ba685185f89867b6e249233dd74652389f263963b3b741e994b034f",
    "usps.t.bz2": "sha256:a9c0164e797d60142a50604917f0baa604f326e9a689698763793fa5d12ffc4e",
}
FILES = tuple(
    OfficialFile(name, tuple(url + name for url in MIRRORS), sha256, limit=2**26) for name, sha256 in PUBLISHED.items()
)


def read_libsvm(
    path: Path, n_features: int, n_classes: int, limit: int, most: int
) -> tuple[npt.NDArray[np.float32], Labels]:
    """Return the samples (n, n_features) and labels 0..n_classes-1 in the LIBSVM file `path`, labelled from 1 there.

    Features that a line leaves out are 0, as the format has it. More than `most` lines are refused: a line of two bytes
    is a whole sample once it is dense.
    """
    x, y = read_libsvm_rows(path, n_features, limit, most, most * n_features)
    if not np.isin(y, np.arange(1, n_classes + 1)).all():
        raise damaged(path, f"labels should be 1 to {n_classes}, but are {y.min():g} to {y.max():g}")
    return x.toarray().astype(np.float32), y.astype(np.int64) - 1


@dataclass(frozen=True, kw_only=True)
class LibsvmImages(Source):
    """Gray images in LIBSVM files with values from -1 to 1, joined in the order of `files`."""

    raw_range: tuple[float, float] = (-1, 1)

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the images (n, height, width) as float32, and their labels."""
        pixels = self.shape[1] * self.shape[2]
        most = 2 * self.n_samples
        parts = [read_libsvm(paths[file.name], pixels, self.n_clusters, file.limit, most) for file in self.files]
        x = np.concatenate([x for x, _ in parts])
        return Raw(x.reshape(-1, *self.shape[1:]), np.concatenate([y for _, y in parts]))

    def scale(self, x: npt.NDArray[np.generic]) -> Images:
        """Return (x + 1) / 2, (n, 1, height, width)."""
        return ((x.astype(np.float32) + np.float32(1)) / np.float32(2))[:, None]


USPS = register_dataset(
    LibsvmImages(
        name="usps",
        title="USPS, training and test set",
        folder="usps",
        files=FILES,
        shape=(1, 16, 16),
        class_counts=(1553, 1269, 929, 824, 852, 716, 834, 792, 708, 821),
        digest="sha256:44b6ebb2b5e5addc968cbef8b13b201cd2e83e2cd7e00c6a87984b19f4882989",
        licence="not stated by its publishers; research use",
        citation="Hull: A database for handwritten text recognition research, IEEE TPAMI 16(5), 1994",
    )
)
