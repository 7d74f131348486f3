"""Trees: a toy package whose code is digested by tests. Nothing here is executed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from plants import leaf
from plants.base import Plant, registered
from plants.roots import drink
from plants.roots.deep import FLOW

if TYPE_CHECKING:
    from plants.shade import Shade

RINGS = 3
UNUSED = 4


@dataclass(frozen=True)
class Soil:
    """What a tree stands in."""

    depth: float = 1.5
    colour: str = "brown"

    def wet(self) -> float:
        """Return how wet it is."""
        return self.depth * FLOW

    def sold(self) -> float:
        """Return its price; no tree asks for it."""
        return 9.0


def width(age: float, slow: bool = False) -> float:
    """Return the width of the trunk."""
    return math.sqrt(age) * RINGS  # centimetres


def market(age: float) -> float:
    """Return a price; no tree asks for it."""
    return age * UNUSED


def register_tree(name: str):
    """Return a decorator that registers a tree."""
    return registered(name)


@register_tree("oak")
class Oak(Plant):
    """An oak."""

    kind: ClassVar[str] = "oak"
    leaves = 7
    label = "an oak"

    def grow(self, years: float, soil: Soil, shade: Shade | None = None) -> float:
        """Grow for some years.

        The result is a height.
        """
        from plants.roots.deep import depth_of

        trunk = width(years, slow=True)
        return trunk + self.age(years) + soil.wet() + drink(self.leaves) + leaf.AREA + depth_of(years)

    def _prune(self) -> float:
        return 0.5


@register_tree("elm")
class Elm(Plant):
    """An elm."""

    def grow(self, years: float, soil: Soil) -> float:
        """Grow."""
        return years
