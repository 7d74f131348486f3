"""Torch's global generators, held for one fit: several fits in one process draw from them as if each were alone."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from benchmark.training.phases import RunContext
from benchmark.training.stepping import Step

Found = TypeVar("Found")


class GlobalGenerators:
    """The states of the global generators of the CPU and of a CUDA device, as one fit left them.

    Within ``with`` they are in place, seeded at first from the stream `torch`; outside, those of everybody else are.
    """

    def __init__(self, context: RunContext) -> None:
        self._cuda = context.device if context.device.type == "cuda" else None
        seed = context.streams.seed("torch")
        outside = self._now()
        torch.default_generator.manual_seed(seed)
        if self._cuda is not None:
            index = torch.cuda.current_device() if self._cuda.index is None else self._cuda.index
            torch.cuda.default_generators[index].manual_seed(seed)
        self._held = self._now()
        self._put(outside)
        self._outside: list[list[Tensor]] = []

    def __enter__(self) -> None:
        self._outside.append(self._now())
        self._put(self._held)

    def __exit__(self, *error: object) -> None:
        self._held = self._now()
        self._put(self._outside.pop())

    def _now(self) -> list[Tensor]:
        cuda = [] if self._cuda is None else [torch.cuda.get_rng_state(self._cuda)]
        return [torch.default_generator.get_state(), *cuda]

    def _put(self, states: list[Tensor]) -> None:
        torch.default_generator.set_state(states[0])
        if self._cuda is not None:
            torch.cuda.set_rng_state(states[1], self._cuda)


def taking_turns(steps: Generator[Step, None, Found], context: RunContext) -> Generator[Step, None, Found]:
    """Yield the steps of a fit, and let it and each of them find the global generators as they were left."""
    own = GlobalGenerators(context)
    try:
        while True:
            with own:
                try:
                    step = next(steps)
                except StopIteration as end:
                    found: Found = end.value
                    return found
            yield replace(step, within=own)
    finally:
        steps.close()
