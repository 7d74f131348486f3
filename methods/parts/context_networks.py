"""Networks of context prediction, and what they become when they cluster whole images (dtkc2019 sections 9.5, 17.7)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.parts.networks import Backbone, BatchNorm, network_named
from methods.parts.patches import POSITIONS


def patch_maps(backbone: Backbone, patches: Tensor) -> Tensor:
    """Return the last feature maps of patches (b, c, p, p), which are padded with zeros so that no convolution shrinks.

    Small patches leave nothing of a network without padding (ledger T1); the weights do not depend on it. Pooling keeps
    the rest of an odd side.
    """
    maps = patches
    for layer in backbone.layers.values():
        if isinstance(layer, nn.MaxPool2d):
            maps = functional.max_pool2d(maps, 2, ceil_mode=True)
            continue
        convolution = layer.get_submodule("0")
        assert isinstance(convolution, nn.Conv2d)
        side = convolution.kernel_size[0] // 2
        maps = layer(functional.pad(maps, (side, side, side, side)))
    return maps


def patch_shape(backbone: Backbone, shape: tuple[int, ...], size: int) -> tuple[int, int, int]:
    """Return the shape (channels, height, width) of the last feature map of a patch of `size` x `size` pixels."""
    training = backbone.training
    backbone.eval()
    with torch.no_grad():
        maps = patch_maps(backbone, torch.zeros(1, shape[0], size, size))
    backbone.train(training)
    return int(maps.shape[1]), int(maps.shape[2]), int(maps.shape[3])


class PatchLayer(nn.Module):
    """The fully connected layer on the maps of a patch, and on those of a whole image as a convolution.

    ReLU, then batch normalisation. On an image, the outputs of the ReLU at all positions are averaged before (T2).
    """

    def __init__(self, shape: tuple[int, int, int], units: int, norm: BatchNorm) -> None:
        super().__init__()
        self.shape = shape
        self.hidden = nn.Linear(math.prod(shape), units)
        self.relu = nn.ReLU()
        self.norm = norm.layer(units, images=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Map the maps of patches (b, c, h, w), of the declared shape, to (b, units)."""
        found: Tensor = self.norm(self.relu(self.hidden(maps.flatten(1))))
        return found

    def positions(self, maps: Tensor) -> Tensor:
        """Map those of images (b, c, H, W) to outputs (b, units, H - h + 1, W - w + 1): the layer at every position."""
        return functional.conv2d(maps, self.hidden.weight.view(-1, *self.shape), self.hidden.bias)

    def image(self, maps: Tensor) -> Tensor:
        """Map those of images (b, c, H, W) to (b, units): the mean over positions, normalised."""
        found: Tensor = self.norm(self.relu(self.positions(maps)).mean(dim=(2, 3)))
        return found


class TellsPositions(nn.Module):
    """A network that tells the position of a patch from another.

    `backbone`, the shared layer `patch` on each patch, and `pretext`: three layers on both, the last with an output for
    each position (ledger T18).
    """

    backbone: Backbone
    patch: PatchLayer
    pretext: nn.Sequential

    def add_pretext(self, network: str, shape: tuple[int, ...], size: int, norm: BatchNorm) -> None:
        """Make the parts for images of `shape` and patches of `size` x `size`; ValueError for a network of others."""
        declared = network_named(network)
        declared.tap_shapes(shape)
        backbone = declared.backbone(shape, norm)
        if not isinstance(backbone, Backbone):
            raise ValueError(f"patches are cut from images, which {network} does not take.")
        self.backbone, units = backbone, declared.hidden
        self.patch = PatchLayer(patch_shape(backbone, shape, size), units, norm)
        self.pretext = nn.Sequential()
        for name, width in (("first", 2 * units), ("second", units)):
            self.pretext.add_module(name, nn.Linear(width, units))
            self.pretext.add_module(f"{name}_relu", nn.ReLU())
        self.pretext.add_module("output", nn.Linear(units, POSITIONS))

    def of_pretext(self) -> list[nn.Parameter]:
        """Return the parameters that telling positions trains."""
        return [p for part in (self.backbone, self.patch, self.pretext) for p in part.parameters()]

    def positions(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the inputs (b, 8) of the softmax over positions, for two patches of each image (b, c, p, p)."""
        both = [self.patch(patch_maps(self.backbone, patches)) for patches in (first, second)]
        logits: Tensor = self.pretext(torch.cat(both, dim=1))
        return logits

    def represent(self, x: Tensor) -> Tensor:
        """Return the representation (b, units) of whole images."""
        return self.patch.image(self.backbone(x)[0])


class ContextNetwork(TellsPositions):
    """The network of the pre-training."""

    def __init__(self, network: str, shape: tuple[int, ...], size: int, norm: BatchNorm) -> None:
        super().__init__()
        self.add_pretext(network, shape, size, norm)


class SoftmaxLayer(nn.Module):
    """The last layer of a clustering network alone: hidden representations (b, h) to soft assignments (b, k)."""

    def __init__(self, hidden: int, n_clusters: int) -> None:
        super().__init__()
        self.output = nn.Linear(hidden, n_clusters)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the softmax."""
        return torch.softmax(self.output(hidden), dim=1)
