"""The data sets of the suite: one module for each, found by name.

>>> digits = load_dataset("digits")
>>> digits.x.shape, digits.n_clusters
((1797, 1, 28, 28), 10)
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from benchmark.registry import DATASETS, LoadedData, plugin_modules
from datasets.arrays import Dataset

__all__ = ["Dataset", "load_dataset"]


def load_dataset(name: str, data_dir: Path | str | None = None) -> LoadedData:
    """Return the data set `name`, its files looked for in `data_dir`, else in RECLUST_DATA, then in the cache.

    Parameters
    ----------
    name
        A name such as ``digits``, ``mnist`` or ``coil-20``.
    data_dir
        A folder with one sub-folder for each data set.

    Returns
    -------
    LoadedData
        A `Dataset` with the fields x (float32, images in [0, 1]), y (labels 0..k-1), lengths (of sequences), name,
        n_clusters and digest.

    Raises
    ------
    benchmark.errors.UsageError
        If there is no data set of that name.
    benchmark.errors.DataError
        If its files are missing, damaged or not what they should be.
    """
    for module in plugin_modules(sys.modules[__name__]):
        importlib.import_module(module)
    return DATASETS[name].load(data_dir)
