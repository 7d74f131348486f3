"""What all plants share."""

from __future__ import annotations

from plants.weeds import spread

SEASONS = 4


def registered(name: str):
    """Return a decorator."""
    return lambda plant: plant


class Plant:
    """A plant."""

    def age(self, years: float) -> float:
        """Return its age in seasons."""
        return self._seasons(years)

    def _seasons(self, years: float) -> float:
        return years * SEASONS

    def describe(self) -> str:
        """Return words; nothing that grows asks for them."""
        return spread("words")
