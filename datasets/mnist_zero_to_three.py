"""2000 random images of the digits 0 to 3 of MNIST's training set, as uco2021 Figure 2 uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.registry import register_dataset
from datasets.arrays import Raw, subset_indices
from datasets.idx_images import IdxImages
from datasets.mnist import CITATION, FILES, LICENCE

DIGITS = 4


@dataclass(frozen=True, kw_only=True)
class FirstDigits(IdxImages):
    """A uniform subset of the images of the first digits; which ones depends on the name alone."""

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the chosen images (n, height, width) uint8, in the order of the file, and their labels."""
        x, y, _ = super().parse(paths)
        among = np.flatnonzero(y < self.n_clusters)
        chosen = among[subset_indices(self.name, len(among), self.n_samples)]
        return Raw(x[chosen], y[chosen])


MNIST_ZERO_TO_THREE = register_dataset(
    FirstDigits(
        name="mnist-0-3",
        title="MNIST, 2000 of the digits 0 to 3 of the training set",
        folder="mnist",
        files=FILES[:2],
        shape=(1, 28, 28),
        class_counts=(471, 561, 471, 497),
        digest="sha256:b72e95c691632940207a82e01d380d91dada735fe78aa54187215c5045e35338",
        licence=LICENCE,
        citation=CITATION,
        note="uco2021 does not say which 2000: they are drawn here, with a generator seeded by the name.",
    )
)
