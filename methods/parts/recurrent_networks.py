"""Networks for sequences, declared as data: bidirectional layers of gated recurrent units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from benchmark.registry import register_network
from methods.parts.networks import BatchNorm


@dataclass(frozen=True)
class Recurrent:
    """A bidirectional layer of gated recurrent units, `units` in each direction."""

    name: str
    units: int


@dataclass(frozen=True)
class SequenceNetwork:
    """A fixed recurrent network: `layers` of the backbone, in order, and the units of the hidden layer."""

    layers: tuple[Recurrent, ...]
    hidden: int

    def tap_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int]]:
        """Return the shape (2 x units,) of the last state of every layer; ValueError where samples are no sequences."""
        if len(shape) != 2:
            mend = "X[:, :, None] for one value at each step" if len(shape) == 1 else "X.reshape(len(X), steps, -1)"
            raise ValueError(f"the network takes sequences (steps, values), not samples of shape {shape}: {mend}.")
        return {layer.name: (2 * layer.units,) for layer in self.layers}

    def backbone(self, shape: tuple[int, ...], norm: BatchNorm) -> RecurrentBackbone:
        """Return the backbone for sequences of `shape`."""
        return RecurrentBackbone(self, shape)

    def decoder(self, shape: tuple[int, ...], norm: BatchNorm) -> nn.Module:
        """Raise ValueError: no paper decodes sequences."""
        raise ValueError("recurrent networks have no decoder: choose a method without reconstruction.")


class RecurrentBackbone(nn.Module):
    """The recurrent part: maps sequences (b, steps, values) to the last states of the layers asked for.

    The last state of a layer is that of both directions, concatenated: the forward one after the last step of a
    sequence, the backward one after its first.
    """

    def __init__(self, network: SequenceNetwork, shape: tuple[int, ...]) -> None:
        super().__init__()
        network.tap_shapes(shape)
        self.layers = nn.ModuleDict()
        width = shape[1]
        for layer in network.layers:
            self.layers[layer.name] = nn.GRU(width, layer.units, batch_first=True, bidirectional=True)
            width = 2 * layer.units

    def forward(
        self, x: Tensor, taps: Sequence[str] = (), lengths: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the last state (b, 2 x units) of the last layer and those of `taps`, in their order.

        With `lengths` (b,), steps from a sequence's own length on are padding and have no effect; without, every step
        counts.
        """
        steps = x if lengths is None else pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        outputs = {}
        for name, layer in self.layers.items():
            steps, states = layer(steps)
            outputs[name] = torch.cat([states[0], states[1]], dim=1)
        return outputs[name], [outputs[tap] for tap in taps]


GRU_2X32 = SequenceNetwork(layers=(Recurrent("layer1", 32), Recurrent("layer2", 32)), hidden=100)
"""The network of dtkc2019 section 17.9: two bidirectional layers of 32 units, and the head of the other data sets."""

register_network("gru-2x32-bidirectional")(GRU_2X32)
