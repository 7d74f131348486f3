"""Marks on a ruler: a data set with a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.registry import register_dataset
from datasets.arrays import Images, Raw
from datasets.base import Source
from datasets.obtaining.files import OfficialFile
from reclust_example.inches import INCH


class Ruler(Source):
    """Marks in inches, one on each line of the file, with their class."""

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the marks (8, 1) in inches, and their class."""
        table = np.loadtxt(paths["ruler.txt"], dtype=np.float64)
        return Raw(table[:, :1], table[:, 1].astype(np.int64))

    def scale(self, x: npt.NDArray[np.float64]) -> Images:
        """Return the marks in centimetres."""
        return (x * INCH).astype(np.float32)


RULER = register_dataset(
    Ruler(
        name="ruler",
        title="Marks on a ruler",
        shape=(1,),
        class_counts=(4, 4),
        raw_range=(0, 12),
        digest="sha256:f526dfec3cc1b862b09554fb931f4320e3161f79931edfbbef3b5ba8a1f303f4",
        licence="MIT",
        citation="made here",
        folder="ruler",
        files=(OfficialFile("ruler.txt"),),
    )
)
