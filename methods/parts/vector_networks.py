"""Networks for vectors, declared as data: fully connected layers, from which modules and tap shapes follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from benchmark.registry import register_network
from methods.parts.networks import BatchNorm


@dataclass(frozen=True)
class Dense:
    """A fully connected layer of `units`, then ReLU."""

    name: str
    units: int


@dataclass(frozen=True)
class VectorNetwork:
    """A fixed multilayer perceptron: `layers` of the backbone, in order, and the units of the hidden layer."""

    layers: tuple[Dense, ...]
    hidden: int

    def tap_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int]]:
        """Return the output shape (units,) of every layer for samples of `shape`; ValueError where it is no vector."""
        if len(shape) != 1:
            raise ValueError(
                f"the network takes vectors, not samples of shape {shape}: flatten them first, X.reshape(len(X), -1)."
            )
        return {layer.name: (layer.units,) for layer in self.layers}

    def backbone(self, shape: tuple[int, ...], norm: BatchNorm) -> DenseBackbone:
        """Return the backbone for vectors of `shape`."""
        return DenseBackbone(self, shape)

    def decoder(self, shape: tuple[int, ...], norm: BatchNorm) -> nn.Sequential:
        """Return the mirror of the backbone; its last layer is linear."""
        widths = [*(layer.units for layer in reversed(self.layers)), shape[0]]
        steps: list[nn.Module] = []
        for inputs, units in pairwise(widths):
            steps += [nn.Linear(inputs, units), nn.ReLU()]
        return nn.Sequential(*steps[:-1])


class DenseBackbone(nn.Module):
    """The fully connected part: maps vectors (b, d) to the outputs of the layers asked for."""

    def __init__(self, network: VectorNetwork, shape: tuple[int, ...]) -> None:
        super().__init__()
        network.tap_shapes(shape)
        widths = pairwise((shape[0], *(layer.units for layer in network.layers)))
        self.layers = nn.ModuleDict(
            {
                layer.name: nn.Sequential(nn.Linear(inputs, units), nn.ReLU())
                for layer, (inputs, units) in zip(network.layers, widths, strict=True)
            }
        )

    def forward(self, x: Tensor, taps: Sequence[str] = ()) -> tuple[Tensor, list[Tensor]]:
        """Return the last output and those of `taps`, in their order."""
        outputs = {}
        for name, layer in self.layers.items():
            x = layer(x)
            outputs[name] = x
        return x, [outputs[name] for name in taps]


MLP_SMALL = VectorNetwork(layers=(Dense("layer1", 1024), Dense("layer2", 1024), Dense("layer3", 1024)), hidden=100)
"""Ours, for Reuters and 10x73k (ledger C14): neither tkuco2024 nor its code says which network they use.

The sizes are those of the shortest list of fully connected layers that lies unused in the authors' code, which taps the
first two; the clustering head is that of the other data sets.
"""

register_network("mlp-small")(MLP_SMALL)

MLP_DEC = VectorNetwork(layers=(Dense("layer1", 500), Dense("layer2", 500), Dense("layer3", 2000)), hidden=100)
"""The encoder of DEC and IDEC (idec2017 section 4.2) up to its embedding of 10 units: d-500-500-2000."""

register_network("mlp-dec")(MLP_DEC)
