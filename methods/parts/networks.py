"""Fixed networks, declared as data: layers by name, from which modules, tap shapes and parameter counts follow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from benchmark.registry import NETWORKS, register_network
from benchmark.streams import Streams


@dataclass(frozen=True)
class Convolution:
    """A convolution without padding: `size` x `size`, then batch normalisation if asked, then ReLU."""

    name: str
    filters: int
    size: int
    batch_norm: bool = False


@dataclass(frozen=True)
class Pool:
    """A 2 x 2 maximum pooling."""

    name: str


@dataclass(frozen=True)
class Network:
    """A fixed convolutional network: `layers` of the backbone, in order, and the units of the hidden layer."""

    layers: tuple[Convolution | Pool, ...]
    hidden: int

    def tap_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, int, int]]:
        """Return the output shape (channels, height, width) of every layer for samples of `shape`.

        Raises
        ------
        ValueError
            When the samples are no images, or too small for the network.
        """
        if len(shape) != 3:
            raise ValueError(
                f"the network takes images (channels, height, width), not samples of shape {shape}: {_mend(shape)}."
            )
        channels, height, width = shape
        if width in CHANNELS and height == channels > max(CHANNELS):
            raise ValueError(
                f"the network takes images (channels, height, width); samples of shape {shape} seem to have their "
                "channels last: give X.transpose(0, 3, 1, 2)."
            )
        shapes = {}
        for layer in self.layers:
            if isinstance(layer, Pool):
                height, width = height // 2, width // 2
            else:
                channels, height, width = layer.filters, height - layer.size + 1, width - layer.size + 1
            if min(height, width) < 1:
                raise ValueError(
                    f"images of {shape[1]}x{shape[2]} pixels are too small: nothing is left at {layer.name}."
                )
            shapes[layer.name] = (channels, height, width)
        return shapes

    def backbone(self, shape: tuple[int, ...], norm: BatchNorm) -> Backbone:
        """Return the backbone for images of `shape`."""
        return Backbone(self, shape, norm)

    def decoder(self, shape: tuple[int, ...], norm: BatchNorm) -> Decoder:
        """Return the mirror of the backbone."""
        return Decoder(self, shape, norm)


CHANNELS = (1, 2, 3, 4)
"""How many channels images have: where they come last, images of another order were given."""


def _mend(shape: tuple[int, ...]) -> str:
    """Return how samples of `shape`, which are no images, become some."""
    if len(shape) == 2:
        return "X[:, None] gives them a channel"
    if len(shape) == 1:
        side = math.isqrt(shape[0])
        size = f"{side}, {side}" if side**2 == shape[0] else "height, width"
        return f"X.reshape(-1, 1, {size}) makes images of vectors that are some, network='mlp-small' takes vectors"
    return "X[:, None] gives a channel to images without one, X.reshape(len(X), channels, height, width) orders others"


CNN_SMALL = Network(
    layers=(
        Convolution("block1_conv1", 32, 5),
        Convolution("block1_conv2", 32, 5, batch_norm=True),
        Pool("block1_pool"),
        Convolution("block2_conv1", 32, 3),
        Convolution("block2_conv2", 32, 3, batch_norm=True),
        Pool("block2_pool"),
    ),
    hidden=100,
)
"""The network of uco2021 Table 1, dtkc2019 Table 3 and tkuco2024. Convolutions and pooling without padding."""

register_network("cnn-small")(CNN_SMALL)


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation: `momentum` is the share of the old running statistics that is kept, as Keras has it."""

    momentum: float
    epsilon: float

    def layer(self, width: int, images: bool) -> nn.Module:
        """Return the layer for `width` channels or features."""
        kind = nn.BatchNorm2d if images else nn.BatchNorm1d
        return kind(width, eps=self.epsilon, momentum=1 - self.momentum)


class Backbone(nn.Module):
    """The convolutional part: maps images to the outputs of the layers asked for."""

    def __init__(self, network: Network, shape: tuple[int, ...], norm: BatchNorm) -> None:
        super().__init__()
        self.shapes = network.tap_shapes(shape)
        channels = shape[0]
        self.layers = nn.ModuleDict()
        for layer in network.layers:
            if isinstance(layer, Pool):
                self.layers[layer.name] = nn.MaxPool2d(2)
                continue
            parts: list[nn.Module] = [nn.Conv2d(channels, layer.filters, layer.size)]
            if layer.batch_norm:
                parts.append(norm.layer(layer.filters, images=True))
            self.layers[layer.name] = nn.Sequential(*parts, nn.ReLU())
            channels = layer.filters

    def forward(self, x: Tensor, taps: Sequence[str] = ()) -> tuple[Tensor, list[Tensor]]:
        """Return the last output and those of `taps`, in their order."""
        outputs = {}
        for name, layer in self.layers.items():
            x = layer(x)
            outputs[name] = x
        return x, [outputs[name] for name in taps]


class ClusteringHead(nn.Module):
    """The clustering module of DDC: a hidden layer (ReLU, then batch normalisation) and a softmax layer."""

    def __init__(self, features: int, hidden: int, n_clusters: int, norm: BatchNorm) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, hidden)
        self.relu = nn.ReLU()
        self.norm = norm.layer(hidden, images=False)
        self.output = nn.Linear(hidden, n_clusters)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map features (b, ...) to hidden representations (b, h) and soft assignments (b, k)."""
        hidden = self.norm(self.relu(self.hidden(x.flatten(1))))
        return hidden, torch.softmax(self.output(hidden), dim=1)


class Decoder(nn.Module):
    """The mirror of a backbone: nearest-neighbour upsampling and transposed convolutions (uco2021 section 3.1).

    The last layer is linear; batch normalisation follows the transposed convolution that mirrors the first of a
    block, except the last of all, as in the authors' code (protocols 1.1).
    """

    def __init__(self, network: Network, shape: tuple[int, ...], norm: BatchNorm) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        mirrored = list(reversed(network.layers))
        channels = network.tap_shapes(shape)[mirrored[0].name][0]
        for position, layer in enumerate(mirrored):
            last = position == len(mirrored) - 1
            if isinstance(layer, Pool):
                layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
                continue
            filters = shape[0] if last else layer.filters
            layers.append(nn.ConvTranspose2d(channels, filters, layer.size))
            if not last:
                layers += [norm.layer(filters, images=True)] if not layer.batch_norm else []
                layers.append(nn.ReLU())
            channels = filters
        self.layers = nn.Sequential(*layers)
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """Map the backbone's last output to images of the input's shape."""
        image: Tensor = self.layers(x)
        if image.shape[1:] != self.shape:
            raise ValueError(f"the mirrored decoder gives {tuple(image.shape[1:])}, not {self.shape}: use even sizes.")
        return image


class AnyNetwork(Protocol):
    """What methods ask of a network, whatever its samples are: images, vectors or sequences."""

    @property
    def hidden(self) -> int:
        """Units of the hidden layer of the clustering head."""
        ...

    def tap_shapes(self, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        """Return the output shape of every layer for samples of `shape`, in order; ValueError where it cannot be."""
        ...

    def backbone(self, shape: tuple[int, ...], norm: BatchNorm) -> nn.Module:
        """Return the module that maps samples and names of layers to the last output and the outputs of these."""
        ...

    def decoder(self, shape: tuple[int, ...], norm: BatchNorm) -> nn.Module:
        """Return the mirror of the backbone; ValueError where there is none."""
        ...


def network_named(name: str) -> AnyNetwork:
    """Return the registered network `name`, or raise a UsageError with the nearest names."""
    network: AnyNetwork = NETWORKS[name]
    return network


def check_taps(network: Any, layers: Iterable[str], taps: Iterable[str]) -> None:
    """Raise ValueError where one of `taps` is none of the `layers` of a network, which may be given by its name."""
    known, name = list(layers), network if isinstance(network, str) else "the network"
    for tap in taps:
        if tap not in known:
            raise ValueError(f"{name} has no layer {tap!r} to tap: {', '.join(known)}.")


def initialise(model: nn.Module, scheme: str, streams: Streams) -> None:
    """Draw all weights in place by the named `scheme`, zero biases, unit batch normalisation (ledger C4).

    Uniform between -b and b, with b from the numbers of inputs and outputs of a unit: "glorot", root 6 / (in + out);
    "he", root 6 / in; "fan-in", root 1 / in (Keras' VarianceScaling of 1/3). "he-glorot" is "glorot" in layers before a
    softmax, which are called `output`, and in recurrent ones, and "he" in all others. "normal" has mean 0 and
    deviation .01. The recurrent weights of a gate are an orthogonal matrix, as Keras draws them. Every module has a
    stream of its own, `init:<module path>`, so that models that share a part start it alike. What keeps the weights
    that it came with (`keeps_weights`, a module of one's own) is left alone.
    """
    whole = scheme
    kept = tuple(f"{path}." for path, module in model.named_modules() if getattr(module, "keeps_weights", False))
    for path, module in model.named_modules():
        if path.startswith(kept):
            continue
        if whole == "he-glorot":
            last = path.rpartition(".")[2] == "output"
            scheme = "glorot" if last or isinstance(module, nn.GRU) else "he"
        if isinstance(module, nn.GRU):
            _initialise_gru(module, scheme, streams.torch(f"init:{path}"))
            continue
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            continue
        generator = streams.torch(f"init:{path}")
        with torch.no_grad():
            module.weight.copy_(_drawn(module.weight.shape, *_fans(module), scheme, generator))
            if module.bias is not None:
                module.bias.zero_()


def _drawn(shape: torch.Size, fan_in: int, fan_out: int, scheme: str, generator: torch.Generator) -> Tensor:
    if scheme == "normal":
        return torch.empty(shape).normal_(0.0, 0.01, generator=generator)
    bound = _bound(fan_in, fan_out, scheme)
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def _bound(fan_in: int, fan_out: int, scheme: str) -> float:
    squares = {"glorot": 6 / (fan_in + fan_out), "he": 6 / fan_in, "fan-in": 1 / fan_in}
    return float(squares[scheme] ** 0.5)


def _initialise_gru(module: nn.GRU, scheme: str, generator: torch.Generator) -> None:
    """Draw the weights of every gate of a layer of gated recurrent units, as if each were a layer of its own."""
    units = module.hidden_size
    for name, weights in module.named_parameters():
        for gate in weights.detach().split(units):  # type: ignore[no-untyped-call]
            if name.startswith("bias"):
                gate.zero_()
            elif name.startswith("weight_hh"):
                gate.copy_(nn.init.orthogonal_(torch.empty(units, units), generator=generator))
            else:
                bound = _bound(gate.shape[1], units, scheme)
                gate.copy_(torch.empty(gate.shape).uniform_(-bound, bound, generator=generator))


def _fans(module: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> tuple[int, int]:
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    area = module.kernel_size[0] * module.kernel_size[1]
    return module.in_channels * area, module.out_channels * area
