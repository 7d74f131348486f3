"""Networks for vectors and sequences: layers, sizes, what they compute, and DDC on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from torch import nn

from benchmark.measure import clustering_accuracy
from benchmark.streams import Streams
from methods import DDC, DDCAE, DDCUCON, DDCUCOT
from methods.parts.kernels import squared_distances
from methods.parts.networks import BatchNorm, initialise, network_named
from methods.parts.recurrent_networks import GRU_2X32
from methods.parts.vector_networks import MLP_SMALL

KERAS = BatchNorm(0.99, 1e-3)
TAPS = ("layer1", "layer2")


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("values", [2000, 720])
def test_mlp_small_is_three_layers_of_1024_with_relu(values: int) -> None:
    assert network_named("mlp-small") is MLP_SMALL and MLP_SMALL.hidden == 100
    assert MLP_SMALL.tap_shapes((values,)) == {"layer1": (1024,), "layer2": (1024,), "layer3": (1024,)}
    backbone = MLP_SMALL.backbone((values,), KERAS)
    assert parameters(backbone) == (values + 1) * 1024 + 2 * 1025 * 1024
    assert [type(part) for layer in backbone.layers.values() for part in layer] == [nn.Linear, nn.ReLU] * 3


def test_mlp_small_computes_what_numpy_does() -> None:
    backbone = MLP_SMALL.backbone((5,), KERAS)
    initialise(backbone, "glorot", Streams("digits", 0))
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    with torch.no_grad():
        last, taps = backbone(torch.from_numpy(x), ("layer2", "layer1"))
    outputs = []
    for layer in backbone.layers.values():
        weight, bias = (p.detach().double().numpy() for p in layer[0].parameters())
        x = np.maximum(x @ weight.T + bias, 0)
        outputs.append(x)
    np.testing.assert_allclose(last, outputs[2], atol=1e-5)
    np.testing.assert_allclose(taps[0], outputs[1], atol=1e-5)
    np.testing.assert_allclose(taps[1], outputs[0], atol=1e-5)


def test_the_decoder_of_vectors_mirrors_the_backbone_and_ends_linear() -> None:
    decoder = MLP_SMALL.decoder((720,), KERAS)
    assert [type(part) for part in decoder] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert parameters(decoder) == 2 * 1025 * 1024 + 1025 * 720
    assert decoder(torch.zeros(2, 1024)).shape == (2, 720)


@pytest.mark.parametrize(("name", "shape"), [("mlp-small", (1, 28, 28)), ("gru-2x32-bidirectional", (784,))])
def test_samples_of_another_kind_are_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"takes (vectors|sequences)") as caught:
        network_named(name).tap_shapes(shape)
    assert "\n" not in str(caught.value)


def test_gru_2x32_is_two_bidirectional_layers() -> None:
    assert network_named("gru-2x32-bidirectional") is GRU_2X32 and GRU_2X32.hidden == 100
    assert GRU_2X32.tap_shapes((93, 13)) == {"layer1": (64,), "layer2": (64,)}
    backbone = GRU_2X32.backbone((93, 13), KERAS)
    # Three gates, in each direction: weights of the input and of the state, and two biases.
    layers = [2 * 3 * (32 * inputs + 32 * 32 + 2 * 32) for inputs in (13, 64)]
    assert [parameters(layer) for layer in backbone.layers.values()] == layers
    with pytest.raises(ValueError, match="no decoder"):
        GRU_2X32.decoder((93, 13), KERAS)


def gru() -> nn.Module:
    backbone = GRU_2X32.backbone((20, 3), KERAS)
    initialise(backbone, "glorot", Streams("digits", 0))
    return backbone.double()


def test_padding_has_no_effect_where_lengths_are_given() -> None:
    random = np.random.default_rng(0)
    lengths = torch.tensor([20, 4, 11])
    x = torch.from_numpy(random.normal(size=(3, 20, 3)))
    backbone = gru()
    with torch.no_grad():
        last, (first,) = backbone(x, ("layer1",), lengths)
        for row, length in enumerate(lengths):
            alone, (tap,) = backbone(x[row : row + 1, :length], ("layer1",))
            torch.testing.assert_close(last[row], alone[0])
            torch.testing.assert_close(first[row], tap[0])


def test_the_state_of_a_layer_is_that_after_the_last_step_and_after_the_first_backwards() -> None:
    backbone = gru()
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 20, 3)))
    with torch.no_grad():
        steps, _ = backbone.layers["layer1"](x)
        _, (state,) = backbone(x, ("layer1",))
    torch.testing.assert_close(state, torch.cat([steps[:, -1, :32], steps[:, 0, 32:]], dim=1))


def test_recurrent_weights_are_orthogonal_and_input_weights_fill_the_glorot_limit() -> None:
    for name, weights in gru().named_parameters():
        for gate in weights.detach().split(32):
            if "weight_hh" in name:
                torch.testing.assert_close(gate @ gate.T, torch.eye(32, dtype=torch.float64), atol=1e-5, rtol=0)
            elif "weight_ih" in name:
                limit = (6 / (gate.shape[1] + 32)) ** 0.5
                assert 0.9 * limit < gate.abs().max() <= limit * (1 + 1e-6)
            else:
                assert not gate.any()


X, Y = make_blobs(480, 30, centers=4, cluster_std=1.0, random_state=0)
X = (X / np.abs(X).max()).astype(np.float32)


@pytest.mark.parametrize("method", [DDC, DDCAE, DDCUCON, DDCUCOT])
def test_ddc_and_its_companions_find_separated_clusters_of_vectors(method: type[DDC]) -> None:
    more = {"taps": TAPS} if "taps" in method.Params.model_fields else {}
    found = method(4, network="mlp-small", epochs=3, random_state=0, **more).fit(X)
    assert clustering_accuracy(Y, found.labels_) > 0.7
    assert found.embedding_.shape == (480, 100)


def test_ddc_takes_sequences_with_the_recurrent_network() -> None:
    steps = np.sin(np.linspace(0, 6, 12)[:, None] * np.array([1.0, 2.0, 4.0, 7.0]))[:, Y % 4].T[:, :, None]
    found = DDC(4, network="gru-2x32-bidirectional", epochs=2, random_state=0).fit(steps.astype(np.float32))
    assert found.labels_.shape == (480,)


def test_taps_that_are_no_layers_are_refused_with_the_layers() -> None:
    with pytest.raises(ValueError, match="mlp-small has no layer 'block1_pool' to tap: layer1, layer2, layer3"):
        DDCUCOT(4, network="mlp-small", epochs=1).fit(X)


def test_companions_on_vectors_compare_lines_unless_the_gaussian_is_asked_for() -> None:
    """Ledger K5: the squared distance of projectors on lines is 2 (1 - cos^2), blind to sign and length."""
    tap = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 9)))
    method = DDCUCOT(4)
    unit = tap / tap.norm(dim=1, keepdim=True)
    expected = 2 * (1 - (unit @ unit.T) ** 2)
    for form in ("projector", "trace"):
        params = DDCUCOT.Params(n_clusters=4, projector_form=form)
        torch.testing.assert_close(method.block_distances(tap, params), expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(method.block_distances(-3 * tap, params), expected, atol=1e-5, rtol=0)
    gaussian = DDCUCOT.Params(n_clusters=4, vector_kernel="gaussian")
    torch.testing.assert_close(method.block_distances(tap, gaussian), squared_distances(tap))
