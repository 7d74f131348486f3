"""Methods that others are measured against: without training, on an auto-encoder, and ClustPy's own code."""

from methods.baselines.ae_finch import AEFINCH
from methods.baselines.agglomerative import Agglomerative
from methods.baselines.clustpy_baselines import ClustPyDEC, ClustPyIDEC
from methods.baselines.clustpy_dcn_vade import ClustPyDCN, ClustPyVaDE
from methods.baselines.factorisation import LSNMF
from methods.baselines.gaussian_mixture import GaussianMixture
from methods.baselines.hierarchical import Hierarchical
from methods.baselines.k_means import KMeans
from methods.baselines.kernel_k_means import KernelKMeans
from methods.baselines.sec import SEC
from methods.baselines.spectral import Spectral
from methods.baselines.spectral_neighbours import SpectralNeighbours
from methods.baselines.subspace import SSCOMP, EnSC

__all__ = ["AEFINCH", "LSNMF", "SEC", "SSCOMP", "Agglomerative", "EnSC", "GaussianMixture", "KMeans", "KernelKMeans"]
__all__ += ["SpectralNeighbours"]
__all__ += ["Hierarchical", "Spectral"]
__all__ += ["ClustPyDCN", "ClustPyDEC", "ClustPyIDEC", "ClustPyVaDE"]
