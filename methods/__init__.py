"""Methods: deep clustering and its baselines, usable with and without the harness."""

from methods.autoencoder import AEKMeans
from methods.baselines.clustpy_baselines import ClustPyDEC, ClustPyIDEC
from methods.baselines.k_means import KMeans
from methods.baselines.sec import SEC
from methods.ddc import DDC, DDCAE
from methods.ddc_uco import DDCUCON, DDCUCOT
from methods.dec import DCEC, DEC, IDEC, DECConv
from methods.dec_uco import DECUCON, DECUCOT, DECConvUCON, DECConvUCOT

__all__ = ["DCEC", "DDC", "DDCAE", "DDCUCON", "DDCUCOT", "DEC", "DECUCON", "DECUCOT", "IDEC", "SEC"]
__all__ += ["AEKMeans", "ClustPyDEC", "ClustPyIDEC", "DECConv", "DECConvUCON", "DECConvUCOT", "KMeans"]
