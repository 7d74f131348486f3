"""Roots: the face of a sub-package."""

from plants.roots.thirst import drink

__all__ = ["drink"]
