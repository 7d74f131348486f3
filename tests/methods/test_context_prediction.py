"""Patches of an image, the network that tells their positions, and what becomes of it on whole images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from benchmark.registry import METHODS, load_plugins
from benchmark.spec import Budget, Protocol
from methods.context_prediction import grid_of
from methods.parts.context_networks import ContextNetwork, PatchLayer, patch_maps, patch_shape
from methods.parts.networks import BatchNorm
from methods.parts.patches import Grid, cut, position_loss, widest_gap

load_plugins()
NORM = BatchNorm(0.99, 1e-3)
TABLE_2 = {  # sides, patch, jitter (dtkc2019 Table 2), and the gap of ours
    "mnist": ((28, 28), 7, 1, 2),
    "svhn": ((32, 32), 7, 1, 3),
    "usps": ((16, 16), 5, 0, 0),
    "coil": ((128, 128), 24, 4, 12),
    "umist": ((112, 92), 24, 4, 6),
}


@pytest.fixture(params=list(TABLE_2))
def grid(request) -> Grid:
    (height, width), size, jitter, gap = TABLE_2[request.param]
    assert widest_gap(height, width, size, jitter) == gap
    return Grid(height, width, size, gap, jitter)


def test_no_patch_leaves_the_image_and_every_possible_place_is_drawn(grid):
    drawn = grid.draw(40_000, torch.Generator().manual_seed(0))
    corners = torch.cat([drawn[:, :2], drawn[:, 2:4]])
    assert corners.min() >= 0
    assert bool((corners + grid.size <= torch.tensor([grid.height, grid.width])).all())
    margin = grid.size + grid.gap + grid.jitter
    for axis, side in enumerate((grid.height, grid.width)):
        places = set(drawn[:, axis].tolist())
        assert places == set(range(margin, side - grid.size - margin + 1))


def test_the_second_patch_lies_in_the_direction_of_its_position_within_the_jitter(grid):
    drawn = grid.draw(20_000, torch.Generator().manual_seed(1))
    shift = (drawn[:, 2:4] - drawn[:, :2]).numpy()
    directions = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
    for position, direction in enumerate(directions):
        moved = shift[drawn[:, 4].numpy() == position] - (grid.size + grid.gap) * np.array(direction)
        assert len(moved) > 20_000 / 8 * 0.9
        assert set(map(tuple, moved.tolist())) == {
            (a, b) for a in range(-grid.jitter, grid.jitter + 1) for b in range(-grid.jitter, grid.jitter + 1)
        }


def test_the_third_position_is_above_and_to_the_right_as_the_thesis_numbers_them():
    grid = Grid(28, 28, 7, 2, 0)
    drawn = grid.draw(1000, torch.Generator().manual_seed(2))
    third = drawn[drawn[:, 4] == 2]
    assert bool((third[:, 2] < third[:, 0]).all() and (third[:, 3] > third[:, 1]).all())


def test_patches_are_the_pixels_at_their_corners():
    images = torch.arange(2 * 3 * 9 * 8, dtype=torch.float32).reshape(2, 3, 9, 8)
    corners = torch.tensor([[0, 5], [6, 2]])
    found = cut(images, corners, 3)
    assert torch.equal(found[0], images[0, :, 0:3, 5:8])
    assert torch.equal(found[1], images[1, :, 6:9, 2:5])


@pytest.mark.parametrize(("side", "size", "jitter"), [(20, 7, 0), (28, 7, 4), (12, 5, 0)])
def test_a_grid_that_does_not_fit_is_refused(side, size, jitter):
    with pytest.raises(ValueError, match="too small for patches"):
        Grid(side, side, size, 0, jitter)


def test_the_loss_is_the_printed_bernoulli_sum_or_the_usual_one():
    logits = np.random.default_rng(0).normal(size=(6, 8))
    position = np.array([0, 7, 3, 3, 1, 2])
    p, y = np.exp(log_softmax(logits, axis=1)), np.eye(8)[position]
    printed = -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum(axis=1).mean()
    given = torch.from_numpy(logits), torch.from_numpy(position)
    assert float(position_loss(*given)) == pytest.approx(printed, rel=1e-12)
    usual = -log_softmax(logits, axis=1)[np.arange(6), position].mean()
    assert float(position_loss(*given, "categorical")) == pytest.approx(usual, rel=1e-12)
    with pytest.raises(ValueError, match="form must be"):
        position_loss(*given, "other")


@pytest.mark.parametrize(("size", "side"), [(5, 2), (7, 2), (24, 6)])
def test_padding_leaves_maps_even_of_the_smallest_patches(size, side):
    """7 -> pool 4 -> pool 2; 5 -> 3 -> 2; 24 -> 12 -> 6: the sizes of "same" padding, worked out by hand."""
    model = ContextNetwork("cnn-small", (1, 128, 128), 24, NORM)
    assert patch_shape(model.backbone, (1, 128, 128), size) == (32, side, side)


def test_the_padded_maps_are_those_of_convolutions_with_same_padding():
    backbone = ContextNetwork("cnn-small", (1, 28, 28), 7, NORM).backbone.eval()
    x = torch.from_numpy(np.random.default_rng(3).normal(size=(2, 1, 7, 7)).astype(np.float32))
    expected = x
    for name, layer in backbone.layers.items():
        if name.endswith("pool"):
            expected = torch.nn.functional.max_pool2d(expected, 2, ceil_mode=True)
            continue
        convolution, *rest = layer
        expected = torch.nn.functional.conv2d(expected, convolution.weight, convolution.bias, padding="same")
        for part in rest:
            expected = part(expected)
    torch.testing.assert_close(patch_maps(backbone, x), expected)


def test_the_layer_as_a_convolution_equals_the_dense_one_at_every_position():
    layer = PatchLayer((4, 2, 3), 10, NORM).eval()
    maps = torch.from_numpy(np.random.default_rng(4).normal(size=(2, 4, 5, 6)).astype(np.float32))
    everywhere = layer.positions(maps)
    assert everywhere.shape == (2, 10, 4, 4)
    for row in range(4):
        for column in range(4):
            window = maps[:, :, row : row + 2, column : column + 3]
            torch.testing.assert_close(everywhere[:, :, row, column], layer.hidden(window.flatten(1)))
    torch.testing.assert_close(layer.image(maps[:, :, :2, :3]), layer(maps[:, :, :2, :3]))


def images(n: int = 60) -> np.ndarray:
    from benchmark.registry import DATASETS

    return DATASETS["digits"].load().prepare(("minmax",), n).x


def protocol(name: str, pretext: int, train: int = 1) -> Protocol:
    amounts = {"pretext": pretext, "train": train}
    phases = METHODS[name].default_protocol.phases
    changed = {
        key: phase.model_copy(update={"batch_size": 20, "budget": Budget(amount=amounts[key]), "evaluate_every": 1})
        for key, phase in phases.items()
    }
    return Protocol(phases=changed)


def test_positions_are_learned_above_chance_on_digits():
    estimator = METHODS["context-prediction"](10, protocol=protocol("context-prediction", 12)).fit(images(400))
    assert estimator.outcome_.losses["accuracy"] > 0.3  # chance is 1/8


@pytest.mark.parametrize("transfer", ["convolutional-fc", "convolutions"])
def test_what_is_taken_over_is_what_the_pretext_trained(transfer):
    parent = METHODS["context-prediction"](10, protocol=protocol("context-prediction", 2)).fit(images())
    child = METHODS["ddc-ss"](10, transfer=transfer, protocol=protocol("ddc-ss", 2, 0)).fit(images())
    before, after = parent.model_.state_dict(), child.model_.state_dict()
    for name in before:
        assert torch.equal(before[name], after[name]), name
    if transfer == "convolutional-fc":
        np.testing.assert_allclose(child.embedding_, parent.embedding_, rtol=1e-5, atol=1e-5)
    else:
        assert child.embedding_.shape == (60, 100)


def test_clustering_trains_all_layers_but_those_of_the_pretext():
    start = METHODS["dtkc-ss"](10, protocol=protocol("dtkc-ss", 1, 0)).fit(images()).model_.state_dict()
    end = METHODS["dtkc-ss"](10, protocol=protocol("dtkc-ss", 1, 1)).fit(images()).model_.state_dict()
    changed = {name for name in start if name.endswith("weight") and not torch.equal(start[name], end[name])}
    assert {name for name in start if name.endswith("weight")} - changed == {
        "pretext.first.weight",
        "pretext.second.weight",
        "pretext.output.weight",
    }


def test_the_gap_follows_from_the_image_unless_it_is_given():
    params = METHODS["context-prediction"](10).checked_params()
    assert grid_of(params, (1, 28, 28)).gap == 2
    assert grid_of(params.model_copy(update={"gap": 0}), (1, 28, 28)).gap == 0
