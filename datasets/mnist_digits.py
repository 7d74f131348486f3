"""MNIST restricted to its first four digits, as uco2021 Figure 2 takes it: 2000 images, drawn at random.

Which images the paper drew is not known; these are drawn by the name of the data set, from the training set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.registry import register_dataset
from datasets.base import Raw, subset_indices
from datasets.idx import IdxImages
from datasets.mnist import FILES


@dataclass(frozen=True, kw_only=True)
class FirstClasses(IdxImages):
    """A uniform draw of `drawn` images from the first classes of IDX files; the classes are chosen by label."""

    drawn: int

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the drawn images (n, height, width) uint8, in the order of the files, and their labels."""
        whole = super().parse(paths)
        chosen = np.flatnonzero(whole.y < self.n_clusters)
        chosen = chosen[subset_indices(self.name, len(chosen), self.drawn)]
        return Raw(whole.x[chosen], whole.y[chosen])


MNIST_0_TO_3 = register_dataset(
    FirstClasses(
        name="mnist-0-to-3",
        title="MNIST, 2000 training images of the digits 0 to 3",
        folder="mnist",
        files=FILES[:2],
        shape=(1, 28, 28),
        class_counts=(471, 546, 491, 492),
        digest="sha256:1524156c9c0b33fb9c2447eb0274aa38a541c9d8d5d2dfb076bd81e8792fc6d6",
        drawn=2000,
        licence="CC BY-SA 3.0",
        citation="LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, 1998",
    )
)
