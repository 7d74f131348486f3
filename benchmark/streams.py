"""Named random streams: every random choice of a run has a name, and its seed depends on nothing else.

The seed is SHA-256(data set, replicate, stream name). Paper, reading and method are never hashed, so that methods
that share a network start replicate r from the same weights and see the same batches (ledger C12).
"""

from __future__ import annotations

import hashlib
import weakref
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:  # who only asks for seeds waits for no torch
    import torch

_G = TypeVar("_G", "torch.Generator", np.random.Generator)


class _Generator(np.random.Generator):
    """A NumPy generator that can be referred to weakly."""


@dataclass(frozen=True)
class Streams:
    """The random streams of replicate `replicate` on the data set `dataset`.

    >>> Streams("digits", 0).seed("kmeans") == Streams("digits", 0).seed("kmeans")
    True
    >>> Streams("digits", 0).seed("kmeans") == Streams("digits", 1).seed("kmeans")
    False
    """

    dataset: str
    replicate: int
    used: set[str] = field(default_factory=set, compare=False, repr=False)
    _given: dict[str, list[weakref.ref[Any]]] = field(default_factory=dict, compare=False, repr=False)
    _resumed: dict[tuple[str, int], Any] = field(default_factory=dict, compare=False, repr=False)

    def seed(self, name: str) -> int:
        """Return the 63-bit seed of the stream `name`, and note in `used` that it was asked for."""
        self.used.add(name)
        text = "\x1f".join((self.dataset, str(self.replicate), name))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def torch(self, name: str) -> torch.Generator:
        """Return a fresh CPU generator of the stream `name` (on the CPU, so that all devices agree)."""
        return self._watched(name, _torch_generator()().manual_seed(self.seed(name)))

    def numpy(self, name: str) -> np.random.Generator:
        """Return a fresh NumPy generator of the stream `name`."""
        generator: np.random.Generator = _Generator(np.random.PCG64(self.seed(name)))
        return self._watched(name, generator)

    def integer(self, name: str) -> int:
        """Return a 32-bit seed of the stream `name`, for libraries that take a `random_state`."""
        return self.seed(name) % 2**32

    def states(self) -> list[tuple[str, int, Any]]:
        """Return the state of every generator that is still in use: stream, how many came before it, and state.

        The state is a uint8 tensor for torch, and for NumPy a dictionary that JSON can hold.
        """
        held = [(name, number, ref()) for name, refs in self._given.items() for number, ref in enumerate(refs)]
        return [(name, number, _state(generator)) for name, number, generator in held if generator is not None]

    def resume(self, states: list[tuple[str, int, Any]]) -> None:
        """Put generators into the `states` of an earlier process: those in use now, and others when they are made."""
        for name, number, state in states:
            given = self._given.get(name, [])
            generator = given[number]() if number < len(given) else None
            if generator is None:
                self._resumed[name, number] = state
            else:
                _set_state(generator, state)

    def _watched(self, name: str, generator: _G) -> _G:
        given = self._given.setdefault(name, [])
        if (name, len(given)) in self._resumed:
            _set_state(generator, self._resumed.pop((name, len(given))))
        given.append(weakref.ref(generator))
        return generator


@cache
def _torch_generator() -> type[torch.Generator]:
    """Return the class of torch's generators that can be referred to weakly, as torch's own cannot in 2.11."""
    import torch

    class Generator(torch.Generator):
        pass

    return Generator


def _state(generator: Any) -> Any:
    import torch

    return generator.get_state() if isinstance(generator, torch.Generator) else generator.bit_generator.state


def _set_state(generator: Any, state: Any) -> None:
    import torch

    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state
