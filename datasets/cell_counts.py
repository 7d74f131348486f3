"""Counts of transcripts per cell and gene, scaled as ClusterGAN does."""

from __future__ import annotations

import numpy as np

from datasets.arrays import Array, Images


def log_scaled(counts: Array) -> Images:
    """Return log2(x + 1) over its largest value, float32, computed in float64.

    >>> log_scaled(np.array([[0, 1], [3, 15]])).tolist()
    [[0.0, 0.25], [0.5, 1.0]]
    """
    logs = np.log2(counts + 1.0)
    scaled: Images = (logs / logs.max()).astype(np.float32)
    return scaled
