"""Two rings of points, one inside the other: a data set without files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.registry import register_dataset
from datasets.arrays import Images, Raw
from datasets.base import Source


class Rings(Source):
    """100 points on a circle of radius 1/4 and 100 on one of radius 1/2, round the middle of the unit square."""

    def parse(self, paths: Mapping[str, Path]) -> Raw:
        """Return the points (200, 2), rounded so that they are equal on all machines, and their ring."""
        angle = np.linspace(0, 2 * np.pi, 100, endpoint=False)
        points = [0.5 + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1) for radius in (0.25, 0.5)]
        return Raw(np.concatenate(points).round(6).astype(np.float32), np.repeat([0, 1], 100))

    def scale(self, x: npt.NDArray[np.generic]) -> Images:
        """Return the points as they are."""
        return x.astype(np.float32)


RINGS = register_dataset(
    Rings(
        name="rings",
        title="Two rings",
        shape=(2,),
        class_counts=(100, 100),
        raw_range=(0, 1),
        digest="sha256:5da2eab4dff97ffdbe241e18eae984301458ca3042163cb18ab1d8581beafda1",
        licence="MIT",
        citation="made here",
    )
)
