"""Methods: deep clustering and its baselines, usable with and without the harness."""

from methods.acai import ACAI
from methods.autoencoder import AEKMeans
from methods.baselines.ae_finch import AEFINCH
from methods.baselines.agglomerative import Agglomerative
from methods.baselines.factorisation import LSNMF
from methods.baselines.gaussian_mixture import GaussianMixture
from methods.baselines.k_means import KMeans
from methods.baselines.kernel_k_means import KernelKMeans
from methods.baselines.sec import SEC
from methods.baselines.spectral_neighbours import SpectralNeighbours
from methods.baselines.subspace import SSCOMP, EnSC
from methods.dc_star import DCStar
from methods.ddc import DDC, DDCAE
from methods.ddc_uco import DDCUCON, DDCUCOT
from methods.dec import DCEC, DEC, IDEC, DECConv
from methods.dec_uco import DECUCON, DECUCOT, DECConvUCON, DECConvUCOT
from methods.dynae import DynAE
from methods.pssc import PSSC
from methods.starred import DECStar, IDECStar

__all__ = ["DCEC", "DDC", "DDCAE", "DDCUCON", "DDCUCOT", "DEC", "DECUCON", "DECUCOT", "IDEC", "SEC"]
__all__ += ["AEKMeans", "DECConv", "DECConvUCON", "DECConvUCOT", "KMeans"]
__all__ += [
    "AEFINCH",
    "LSNMF",
    "SSCOMP",
    "Agglomerative",
    "EnSC",
    "GaussianMixture",
    "KernelKMeans",
    "SpectralNeighbours",
]
__all__ += ["ACAI", "PSSC", "DCStar", "DECStar", "DynAE", "IDECStar"]
