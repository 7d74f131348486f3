"""Methods that others are measured against: k-means, SEC, and ClustPy's own code."""

from methods.baselines.k_means import KMeans
from methods.baselines.sec import SEC

__all__ = ["SEC", "KMeans"]
