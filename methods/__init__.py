"""Methods: deep clustering and its baselines, usable with and without the harness."""

from methods.acai import ACAI
from methods.autoencoder import AEKMeans
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
from methods.context_prediction import ContextPrediction
from methods.dc_star import DCStar
from methods.ddc import DDC, DDCAE
from methods.ddc_ss import DDCSS, DTKCSS
from methods.ddc_uco import DDCUCON, DDCUCOT
from methods.dec import DCEC, DEC, IDEC, DECConv
from methods.dec_uco import DECUCON, DECUCOT, DECConvUCON, DECConvUCOT
from methods.dtkc_sm import DTKCSM
from methods.dynae import DynAE
from methods.pssc import PSSC
from methods.rddc import RDDC, RDTKC
from methods.starred import DECStar, IDECStar

__all__ = ["DCEC", "DDC", "DDCAE", "DDCUCON", "DDCUCOT", "DEC", "DECUCON", "DECUCOT", "IDEC", "SEC"]
__all__ += [
    "AEKMeans",
    "ClustPyDCN",
    "ClustPyDEC",
    "ClustPyIDEC",
    "ClustPyVaDE",
    "DECConv",
    "DECConvUCON",
    "DECConvUCOT",
    "KMeans",
]
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
__all__ += ["DDCSS", "DTKCSM", "DTKCSS", "RDDC", "RDTKC", "ContextPrediction", "Hierarchical", "Spectral"]
