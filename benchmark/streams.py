"""Named random streams: every random choice of a run has a name, and its seed depends on nothing else.

The seed is SHA-256(data set, replicate, stream name). Paper, reading and method are never hashed, so that methods
that share a network start replicate r from the same weights and see the same batches (ledger C12).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import torch


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

    def seed(self, name: str) -> int:
        """Return the 63-bit seed of the stream `name`, and note in `used` that it was asked for."""
        self.used.add(name)
        text = "\x1f".join((self.dataset, str(self.replicate), name))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def torch(self, name: str) -> torch.Generator:
        """Return a fresh CPU generator of the stream `name` (on the CPU, so that all devices agree)."""
        return torch.Generator().manual_seed(self.seed(name))

    def numpy(self, name: str) -> np.random.Generator:
        """Return a fresh NumPy generator of the stream `name`."""
        return np.random.Generator(np.random.PCG64(self.seed(name)))

    def integer(self, name: str) -> int:
        """Return a 32-bit seed of the stream `name`, for libraries that take a `random_state`."""
        return self.seed(name) % 2**32
