"""The 1797 handwritten digits that come with scikit-learn, enlarged from 8x8 to 28x28.

They need no download, and have the size that networks for MNIST expect: the data set of the quick profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.registry import register_dataset
from datasets.arrays import Images, Raw
from datasets.base import Source
from datasets.preprocessing import resize


@dataclass(frozen=True, kw_only=True)
class EmbeddedDigits(Source):
    """scikit-learn's digits; the digest is that of the original images (n, 8, 8) with values 0..16, as uint8."""

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the original images (n, 8, 8) as uint8, and their labels."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        return Raw(digits.images.astype(np.uint8), digits.target.astype(np.int64))

    def scale(self, x: npt.NDArray[np.generic]) -> Images:
        """Return x / 16, enlarged to `shape` by bilinear interpolation."""
        small = np.divide(x, np.float32(16), dtype=np.float32)[:, None]
        return resize(small, "x".join(map(str, self.shape[1:])))

    def fetch(self, data_dir: Path | str | None = None) -> Path:
        """Return the folder of scikit-learn, where the images are; there is nothing to download."""
        import sklearn

        return Path(sklearn.__file__).parent


DIGITS = register_dataset(
    EmbeddedDigits(
        name="digits",
        title="Digits of scikit-learn, 8x8 enlarged to 28x28",
        shape=(1, 28, 28),
        class_counts=(178, 182, 177, 183, 181, 182, 181, 179, 174, 180),
        raw_range=(0, 16),
        digest="sha256:86e5bcb61653a5450932f43da883d41e99bd99b1bfd75e8da6cc33101bb29ba8",
        licence="CC BY 4.0",
        citation="Alpaydin, Kaynak: Optical recognition of handwritten digits, UCI Machine Learning Repository, 1998",
    )
)
