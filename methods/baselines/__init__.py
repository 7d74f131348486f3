"""Methods that others are measured against: k-means, SEC, and ClustPy's own code."""

from methods.baselines.clustpy_baselines import ClustPyDEC, ClustPyIDEC
from methods.baselines.k_means import KMeans
from methods.baselines.sec import SEC

__all__ = ["SEC", "ClustPyDEC", "ClustPyIDEC", "KMeans"]
