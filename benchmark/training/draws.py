"""Random values of steps: drawn on the CPU, so that all devices see the same, and found by captured steps in one place.

A step that is captured on a GPU cannot draw on the CPU while it is replayed. What it drew when it was last taken one
operation after another is drawn again, in the same order, before each replay, and copied to where the step reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

Draw = Callable[[], Tensor]
"""Draws values on the CPU; of the same shape whenever it is called."""


class Draws:
    """The random values that the steps of a phase draw; `last` are those of the step under way, and where they lie."""

    def __init__(self) -> None:
        self.last: list[tuple[Draw, Tensor]] = []
        self._places: list[Tensor] | None = None

    def begin(self) -> None:
        """Begin a step."""
        self.last = []

    def __call__(self, draw: Draw, device: torch.device) -> Tensor:
        """Return what `draw` gives, on a device."""
        if self._places is not None:
            return self._places.pop(0)
        with _disable_current_modes():  # what is drawn here is no part of what is captured
            value = draw().to(device)
        self.last.append((draw, value))
        return value

    @contextmanager
    def found_in(self, places: Sequence[Tensor]) -> Iterator[None]:
        """Give the tensors `places` meanwhile, in order, in place of what would be drawn."""
        self._places = list(places)
        try:
            yield
        finally:
            self._places = None
