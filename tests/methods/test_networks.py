"""The fixed networks: layers, parameter counts, shapes and initial weights, and a forward pass in float64 SciPy."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d, correlate2d
from torch import nn

from benchmark.errors import UsageError
from benchmark.registry import NETWORKS
from benchmark.spec import Protocol
from benchmark.streams import Streams
from benchmark.training import RunContext
from methods import DDC, DDCAE, DDCUCON, DDCUCOT
from methods.ddc import DDCNetwork
from methods.parts.networks import CNN_SMALL, Backbone, BatchNorm, Decoder, initialise, network_named

KERAS = BatchNorm(0.99, 1e-3)
LAYERS = ("block1_conv1", "block1_conv2", "block1_pool", "block2_conv1", "block2_conv2", "block2_pool")

# Sides after each layer, from a valid 5x5, 5x5, pool, 3x3, 3x3, pool; the last gives the features of the dense layer,
# 288, 512 and 4608, as in the weight files that the authors of tkuco2024 published.
SIDES = {
    (1, 28, 28): (24, 20, 10, 8, 6, 3),
    (1, 32, 32): (28, 24, 12, 10, 8, 4),
    (3, 32, 32): (28, 24, 12, 10, 8, 4),
    (3, 64, 64): (60, 56, 28, 26, 24, 12),
    (1, 128, 128): (124, 120, 60, 58, 56, 28),
    (3, 128, 128): (124, 120, 60, 58, 56, 28),
}

# Convolution: size^2 * in * out + out. Batch normalisation: 2 * width. Linear: in * out + out.
# Backbone: (832 or 2432) + 25632 + 64 + 9248 + 9248 + 64. Head: features * 100 + 100 + 200 + 1010, for 10 clusters.
# Decoder: 9248 + 9248 + 64 + 25632 + (801 or 2403).
COUNTS = {
    (1, 28, 28): (45_088, 30_110, 44_993),
    (1, 32, 32): (45_088, 52_510, 44_993),
    (3, 32, 32): (46_688, 52_510, 46_595),
    (3, 64, 64): (46_688, 462_110, 46_595),
    (1, 128, 128): (45_088, 2_510_110, 44_993),
    (3, 128, 128): (46_688, 2_510_110, 46_595),
    (1, 112, 92): (45_088, 1_460_510, 44_993),
}


def network(cls: type[DDC] = DDC, shape: tuple[int, ...] = (1, 28, 28), replicate: int = 0, **params) -> DDCNetwork:
    """Return the initialised network of a method with 10 clusters."""
    context = RunContext(Streams("digits", replicate), Protocol())
    return cls(10).build(cls(10, **params).checked_params(), shape, context)


def randomised(model: nn.Module) -> nn.Module:
    """Return `model` in float64 and inference mode, with biases and batch normalisation that a test can see."""
    generator = torch.Generator().manual_seed(0)
    model = model.double().eval()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.ndim == 1:
                low = 0.5 if name.endswith(("running_var", "norm.weight")) else -0.3
                value.uniform_(low, low + 1, generator=generator)
    return model


def weights_of(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in model.state_dict().items()}


def normalised(x: np.ndarray, weights: dict[str, np.ndarray], prefix: str) -> np.ndarray:
    """Normalise (n, c, ...) with running statistics; epsilon .001 as in Keras."""
    mean, variance, scale, shift = (
        weights[f"{prefix}.{name}"].reshape(-1, *[1] * (x.ndim - 2))
        for name in ("running_mean", "running_var", "weight", "bias")
    )
    return scale * (x - mean) / np.sqrt(variance + 1e-3) + shift


def convolved(x: np.ndarray, weights: dict[str, np.ndarray], prefix: str) -> np.ndarray:
    """Correlate (n, c, h, w) with every filter, without padding."""
    kernels = weights[f"{prefix}.weight"]
    maps = [[sum(correlate2d(c, f, "valid") for c, f in zip(s, k, strict=True)) for k in kernels] for s in x]
    return np.array(maps) + weights[f"{prefix}.bias"][:, None, None]


def spread(x: np.ndarray, weights: dict[str, np.ndarray], prefix: str) -> np.ndarray:
    """Apply a transposed convolution: every input pixel adds its filter, here as a full convolution."""
    kernels = weights[f"{prefix}.weight"].swapaxes(0, 1)
    maps = [[sum(convolve2d(c, f, "full") for c, f in zip(s, k, strict=True)) for k in kernels] for s in x]
    return np.array(maps) + weights[f"{prefix}.bias"][:, None, None]


def pooled(x: np.ndarray) -> np.ndarray:
    return np.maximum.reduce([x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)])


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def test_small_cnn_has_the_layers_of_the_paper():
    assert NETWORKS["cnn-small"] is network_named("cnn-small") is CNN_SMALL
    kinds = {
        name: [type(part).__name__ for part in layer.modules()] for name, layer in network().backbone.layers.items()
    }
    plain, normal = ["Sequential", "Conv2d", "ReLU"], ["Sequential", "Conv2d", "BatchNorm2d", "ReLU"]
    blocks = (plain, normal, ["MaxPool2d"]) * 2
    assert kinds == dict(zip(LAYERS, blocks, strict=True))
    decoder = [type(layer).__name__ for layer in network(DDCAE).decoder.layers]
    up, spreading = "Upsample", "ConvTranspose2d"
    assert decoder == [up, spreading, "ReLU", spreading, "BatchNorm2d", "ReLU", up, spreading, "ReLU", spreading]


@pytest.mark.parametrize("shape", SIDES)
def test_taps_have_the_stated_shapes(shape):
    expected = dict(zip(LAYERS, [(32, side, side) for side in SIDES[shape]], strict=True))
    assert CNN_SMALL.tap_shapes(shape) == expected
    last, taps = Backbone(CNN_SMALL, shape, KERAS)(torch.zeros(2, *shape), tuple(reversed(LAYERS)))
    assert [tuple(tap.shape[1:]) for tap in taps] == list(reversed(expected.values()))
    assert tuple(last.shape[1:]) == expected["block2_pool"]


def test_faces_that_are_not_square_give_maps_that_are_not_either():
    sides = {"block1_conv1": (108, 88), "block1_conv2": (104, 84), "block1_pool": (52, 42)}
    sides |= {"block2_conv1": (50, 40), "block2_conv2": (48, 38), "block2_pool": (24, 19)}
    assert CNN_SMALL.tap_shapes((1, 112, 92)) == {name: (32, *side) for name, side in sides.items()}


@pytest.mark.parametrize("shape", COUNTS)
def test_parameter_counts_are_those_of_the_layer_formulas(shape):
    model = network(DDCAE, shape)
    parts = (model.backbone, model.head, model.decoder)
    assert tuple(sum(p.numel() for p in part.parameters()) for part in parts) == COUNTS[shape]


@pytest.mark.parametrize("shape", [*SIDES, (1, 112, 92), (1, 20, 20), (2, 24, 36)])
def test_decoder_gives_images_of_the_input_shape(shape):
    model = network(DDCAE, shape).eval()
    features = model.backbone(torch.zeros(2, *shape))[0]
    assert model.decoder(features).shape == (2, *shape)


def test_decoder_refuses_sizes_that_pooling_cuts_off():
    model = network(DDCAE, (1, 30, 30)).eval()
    with pytest.raises(ValueError, match=r"28, 28.*30, 30") as caught:
        model.decoder(model.backbone(torch.zeros(2, 1, 30, 30))[0])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 19, 64)])
def test_images_too_small_for_the_network_are_refused(shape):
    with pytest.raises(ValueError, match=rf"{shape[1]}x{shape[2]}.*too small.*block2") as caught:
        network(shape=shape)
    assert "\n" not in str(caught.value)


def test_vectors_and_unknown_networks_are_refused():
    with pytest.raises(ValueError, match="images"):
        CNN_SMALL.tap_shapes((784,))
    with pytest.raises(UsageError, match="did you mean 'cnn-small'"):
        network_named("cnn-smal")


# Limits of the uniform distribution: Glorot sqrt(6 / (in + out)), He sqrt(6 / in), with size^2 for convolutions.
FANS = {
    "backbone.layers.block1_conv1.0": (25, 800),
    "backbone.layers.block1_conv2.0": (800, 800),
    "backbone.layers.block2_conv1.0": (288, 288),
    "backbone.layers.block2_conv2.0": (288, 288),
    "head.hidden": (288, 100),
    "head.output": (100, 10),
    "decoder.layers.1": (288, 288),
    "decoder.layers.3": (288, 288),
    "decoder.layers.7": (800, 800),
    "decoder.layers.9": (800, 25),
}


@pytest.mark.parametrize("scheme", ["glorot", "he", "he-glorot"])
def test_initial_weights_fill_the_limits_of_their_scheme(scheme):
    weights = weights_of(network(DDCAE, initialisation=scheme))
    drawn = {name.removesuffix(".weight") for name, value in weights.items() if value.ndim > 1}
    assert drawn == set(FANS)
    for path, (fan_in, fan_out) in FANS.items():
        before_softmax = scheme == "he-glorot" and path == "head.output"
        limit = math.sqrt(6 / (fan_in + fan_out) if scheme == "glorot" or before_softmax else 6 / fan_in)
        values = weights[f"{path}.weight"]
        assert 0.98 * limit < np.abs(values).max() <= limit * (1 + 1e-6)
        assert abs(values.mean()) < 5 * limit / math.sqrt(3 * values.size)
        assert values.std() == pytest.approx(limit / math.sqrt(3), rel=4 / math.sqrt(values.size))
        assert not weights[f"{path}.bias"].any()
    norms = {name: value for name, value in weights.items() if value.ndim == 1 and name.endswith("weight")}
    assert len(norms) == 4
    assert all((value == 1).all() for value in norms.values())


def test_methods_share_the_initial_weights_of_what_they_share():
    reference = weights_of(network(replicate=3))
    for cls in (DDCAE, DDCUCON, DDCUCOT):
        torch.rand(1)  # what global generators say must not matter
        weights = weights_of(network(cls, replicate=3))
        assert {name for name in weights if not name.startswith("decoder.")} == set(reference)
        for name, value in reference.items():
            np.testing.assert_array_equal(weights[name], value)
    for one, other in pairwise(weights_of(network(DDCAE, replicate=replicate)) for replicate in range(3)):
        assert not any(np.array_equal(one[f"{path}.weight"], other[f"{path}.weight"]) for path in FANS)


def test_layers_of_one_shape_start_from_different_weights():
    layers = network().backbone.layers
    assert not torch.equal(layers["block2_conv1"][0].weight, layers["block2_conv2"][0].weight)


def test_another_data_set_starts_from_other_weights():
    one, other = nn.Linear(3, 4), nn.Linear(3, 4)
    initialise(one, "glorot", Streams("digits", 0))
    initialise(other, "glorot", Streams("mnist", 0))
    assert not torch.equal(one.weight, other.weight)


@pytest.mark.parametrize("images", [False, True])
def test_batch_normalisation_keeps_99_hundredths_of_the_old_statistics(images):
    layer = KERAS.layer(3, images)
    x = np.random.default_rng(0).normal(2, 3, size=(6, 3, 4, 4) if images else (6, 3))
    columns = np.moveaxis(x, 1, -1).reshape(-1, 3)
    out = layer(torch.from_numpy(x).float()).detach().numpy()
    assert layer.running_mean.numpy() == pytest.approx(0.01 * columns.mean(axis=0), rel=1e-5)
    assert layer.running_var.numpy() == pytest.approx(0.99 + 0.01 * columns.var(axis=0, ddof=1), rel=1e-5)
    expected = (columns - columns.mean(axis=0)) / np.sqrt(columns.var(axis=0) + 1e-3)
    np.testing.assert_allclose(np.moveaxis(out, 1, -1).reshape(-1, 3), expected, atol=1e-5)


def test_batch_normalisation_of_the_network_follows_the_parameters():
    model = network(DDCAE, batch_norm_momentum=0.9, batch_norm_epsilon=1e-5)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert [(norm.momentum, norm.eps) for norm in norms] == [(pytest.approx(0.1), 1e-5)] * 4


def test_forward_pass_equals_a_float64_computation_with_scipy():
    model = randomised(network())
    weights = weights_of(model)
    x = np.random.default_rng(1).normal(size=(2, 1, 28, 28))
    maps, taps = x, []
    for block in (1, 2):
        path = f"backbone.layers.block{block}_conv"
        maps = relu(convolved(maps, weights, f"{path}1.0"))
        maps = relu(normalised(convolved(maps, weights, f"{path}2.0"), weights, f"{path}2.1"))
        taps += [maps, maps := pooled(maps)]
    flat = maps.reshape(2, -1)
    hidden = relu(flat @ weights["head.hidden.weight"].T + weights["head.hidden.bias"])
    hidden = normalised(hidden, weights, "head.norm")
    logits = np.exp(hidden @ weights["head.output.weight"].T + weights["head.output.bias"])
    with torch.no_grad():
        output = model(torch.from_numpy(x), ("block1_conv2", "block1_pool", "block2_conv2", "block2_pool"))
    for tap, expected in zip(output.taps, taps, strict=True):
        np.testing.assert_allclose(tap, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(output.hidden, hidden, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(output.assignments, logits / logits.sum(axis=1, keepdims=True), rtol=1e-9, atol=1e-12)


def test_decoder_equals_a_float64_computation_with_scipy():
    decoder = randomised(Decoder(CNN_SMALL, (3, 28, 28), KERAS))
    weights = weights_of(decoder)
    x = np.random.default_rng(2).normal(size=(2, 32, 3, 3))
    image = x.repeat(2, axis=2).repeat(2, axis=3)
    image = relu(spread(image, weights, "layers.1"))
    image = relu(normalised(spread(image, weights, "layers.3"), weights, "layers.4"))
    image = image.repeat(2, axis=2).repeat(2, axis=3)
    image = spread(relu(spread(image, weights, "layers.7")), weights, "layers.9")
    with torch.no_grad():
        np.testing.assert_allclose(decoder(torch.from_numpy(x)), image, rtol=1e-9, atol=1e-9)
