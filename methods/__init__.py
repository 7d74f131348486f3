"""Methods: deep clustering and its baselines, usable with and without the harness."""

from methods.ddc import DDC, DDCAE
from methods.ddc_uco import DDCUCON, DDCUCOT
from methods.k_means import KMeans
from methods.sec import SEC

__all__ = ["DDC", "DDCAE", "DDCUCON", "DDCUCOT", "SEC", "KMeans"]
