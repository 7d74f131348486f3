"""The command `doctor`: what is wrong here, and what to do about it."""

from benchmark.cli.doctor.command import doctor

__all__ = ["doctor"]
