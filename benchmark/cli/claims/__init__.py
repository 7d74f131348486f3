"""The command `claims`, and its answers as text and as plain values."""

from benchmark.cli.claims.command import claims

__all__ = ["claims"]
