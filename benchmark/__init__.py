"""A reproducibility benchmark suite for deep clustering."""

__version__ = "0.1.0"
