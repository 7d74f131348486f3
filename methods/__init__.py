"""Methods: deep clustering and its baselines, usable with and without the harness."""

from methods.autoencoder import AEKMeans
from methods.baselines.hierarchical import Hierarchical
from methods.baselines.k_means import KMeans
from methods.baselines.sec import SEC
from methods.baselines.spectral import Spectral
from methods.context_prediction import ContextPrediction
from methods.ddc import DDC, DDCAE
from methods.ddc_ss import DDCSS, DTKCSS
from methods.ddc_uco import DDCUCON, DDCUCOT
from methods.dec import DCEC, DEC, IDEC, DECConv
from methods.dec_uco import DECUCON, DECUCOT, DECConvUCON, DECConvUCOT
from methods.dtkc_sm import DTKCSM
from methods.rddc import RDDC, RDTKC

__all__ = ["DCEC", "DDC", "DDCAE", "DDCUCON", "DDCUCOT", "DEC", "DECUCON", "DECUCOT", "IDEC", "SEC"]
__all__ += ["AEKMeans", "DECConv", "DECConvUCON", "DECConvUCOT", "KMeans"]
__all__ += ["DDCSS", "DTKCSM", "DTKCSS", "RDDC", "RDTKC", "ContextPrediction", "Hierarchical", "Spectral"]
