"""The 8x8 digits of scikit-learn as sequences: 8 steps, the rows of an image, of 8 values.

No real sequences come with a package that is installed; these let models of sequences run without a download.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.registry import register_dataset
from datasets.arrays import Raw
from datasets.digits import DIGITS, EmbeddedDigits
from datasets.sequences import Values


@dataclass(frozen=True, kw_only=True)
class DigitRows(EmbeddedDigits):
    """scikit-learn's digits, a row of an image as a step; every sequence has all steps."""

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the images (n, 8, 8) as uint8, their labels, and their lengths, which are all 8."""
        raw = super().parse(paths)
        return Raw(raw.x, raw.y, np.full(len(raw.y), self.shape[0], dtype=np.int64))

    def scale(self, x: npt.NDArray[np.generic]) -> Values:
        """Return x / 16, the steps (n, 8, 8)."""
        scaled: Values = np.divide(x, np.float32(16), dtype=np.float32)
        return scaled


DIGITS_ROWS = register_dataset(
    DigitRows(
        name="digits-8x8-rows",
        title="Digits of scikit-learn, 8x8, as sequences of 8 rows",
        shape=(8, 8),
        class_counts=DIGITS.class_counts,
        raw_range=DIGITS.raw_range,
        lengths_range=(8, 8),
        digest="sha256:2b5f33c6c6761b9dfb607d5894679815780e93291f5d5e6e12cb14d652efad33",
        licence=DIGITS.licence,
        citation=DIGITS.citation,
    )
)
