"""How papers preprocess data sets, as data: `recipes.toml`."""

from __future__ import annotations

import importlib.resources
import tomllib
from functools import cache

Recipes = dict[str, dict[str, dict[str, list[str]]]]


@cache
def recipes() -> Recipes:
    """Return the steps by paper, data set and reading."""
    text = importlib.resources.files("datasets").joinpath("recipes.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def recipes_of(name: str) -> dict[str, tuple[str, ...]]:
    """Return the steps that papers take with the data set `name`, by ``PAPER`` or ``PAPER/READING``.

    >>> recipes_of("reuters10k")
    {'idec2017': ('sqrt_dim',)}
    """
    found = {}
    for paper, sets in recipes().items():
        readings = sets.get(name, {})
        for reading, steps in readings.items():
            found[paper if len(readings) == 1 else f"{paper}/{reading}"] = tuple(steps)
    return found
