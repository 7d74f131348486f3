"""Methods that others are measured against: k-means, SEC, and ClustPy's own code."""

from methods.baselines.hierarchical import Hierarchical
from methods.baselines.k_means import KMeans
from methods.baselines.sec import SEC
from methods.baselines.spectral import Spectral

__all__ = ["SEC", "Hierarchical", "KMeans", "Spectral"]
