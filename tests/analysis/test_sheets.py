"""Pictures that runs leave: what they hold, and the numbers beside them where the answer is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.analysis.sheets import SheetContent, read_sheet, sheet_bytes
from benchmark.execution.kernel_observer import chosen_samples, record_kernels
from benchmark.measure.kernels import contrasts, normalised_distance, perfect_kernel
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.registry import DATASETS, METHODS, OBSERVERS, load_plugins
from benchmark.repeat.sheets import (
    averaged,
    between_share,
    border_share,
    guided_gradients,
    make_kernels,
    make_members,
    make_parameters,
    make_saliency,
)
from benchmark.training import Snapshot

load_plugins()
RNG = np.random.default_rng(0)


def test_a_picture_is_read_as_it_was_written_and_equal_ones_have_equal_bytes():
    content = SheetContent(
        RNG.integers(0, 255, (4, 5)).astype(np.uint8),
        {"a": (np.arange(3.0), np.ones(3))},
        {"n": np.ones(2)},
        "clusters",
    )
    assert sheet_bytes(content) == sheet_bytes(content)
    found = read_sheet(sheet_bytes(content))
    np.testing.assert_array_equal(found.image, content.image)
    np.testing.assert_array_equal(found.lines["a"], content.lines["a"])
    assert found.numbers["n"].tolist() == [1, 1] and found.counted == "clusters"


CLASSES = np.repeat([0, 1, 2], [5, 7, 9])


def test_the_perfect_kernel_has_no_distance_and_full_contrast_and_a_flat_one_has_none():
    assert normalised_distance(3 * perfect_kernel(CLASSES), CLASSES) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(contrasts(perfect_kernel(CLASSES), CLASSES), 1)
    flat = np.ones((21, 21))
    np.testing.assert_allclose(contrasts(flat, CLASSES), 0)
    perfect = perfect_kernel(CLASSES)
    expected = np.sqrt(2 - 2 * (flat * perfect).sum() / (21 * np.sqrt(perfect.sum())))
    assert normalised_distance(flat, CLASSES) == pytest.approx(expected)


def test_the_share_between_clusters_is_one_minus_that_within_by_an_analysis_of_variance():
    values, clusters = RNG.normal(size=(40, 2)), RNG.integers(0, 3, 40)
    within = sum(((values[clusters == c] - values[clusters == c].mean(axis=0)) ** 2).sum() for c in range(3))
    assert between_share(values, clusters) == pytest.approx(1 - within / ((values - values.mean(axis=0)) ** 2).sum())
    assert between_share(np.ones((4, 1)), np.array([0, 0, 1, 1])) == 0


def test_matrices_are_averaged_over_squares():
    matrix = np.arange(36.0).reshape(6, 6)
    np.testing.assert_allclose(averaged(matrix, 3)[0, 0], matrix[:2, :2].mean())
    assert averaged(matrix, 6).shape == (6, 6)


def test_the_border_share_is_that_of_the_outer_two_pixels():
    maps = np.ones((1, 10, 12))
    assert border_share(maps)[0] == pytest.approx(1 - 6 * 8 / 120)
    maps[0, 3:5, 3:5] = -100
    assert border_share(maps)[0] == pytest.approx((120 - 48) / (120 - 4 + 400))
    assert border_share(np.zeros((1, 9, 9)))[0] == 0


def test_guided_backpropagation_of_a_small_network_is_that_worked_out_by_hand():
    """Two ReLU layers: the gradient passes where the unit was active and what comes back is positive."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    x = torch.randn(8, 1, 2, 3)
    first, second, last = net[1], net[3], net[5]
    a = first(x.flatten(1))
    b = second(a.relu())
    out = last(b.relu())
    back = last.weight[out.argmax(dim=1)]
    back = (back * (b > 0)).clamp_min(0) @ second.weight
    back = (back * (a > 0)).clamp_min(0) @ first.weight
    found = guided_gradients(net, last, x)
    torch.testing.assert_close(found, back.reshape(x.shape).detach())
    plain = x.clone().requires_grad_()
    net(plain).max(dim=1).values.sum().backward()
    assert not torch.allclose(found, plain.grad)
    assert not any(module._backward_hooks for module in net.modules())


@pytest.fixture(scope="module", params=["ddc", "ddc-ss", "dtkc-sm"])
def shown(request):
    data = DATASETS["digits"].load().prepare(("minmax",), 60)
    method = METHODS[request.param]
    phases = {
        name: phase.model_copy(
            update={"batch_size": 20, "budget": phase.budget.model_copy(update={"amount": 1}), "evaluate_every": 1}
        )
        for name, phase in method.default_protocol.phases.items()
    }
    fitted = method(10, protocol=method.default_protocol.model_copy(update={"phases": phases})).fit(data.x)
    return SimpleNamespace(estimator=fitted, data=data, model=fitted.model_, clusters=fitted.labels_, epoch=None)


def test_every_maker_makes_a_picture_of_a_trained_run(shown):
    members = read_sheet(make_members(shown, {"clusters": 3, "members": 4}))
    assert members.image.shape[1] == 4 * 28 and (members.numbers["purity of the three purest"] <= 1).all()
    kernels = read_sheet(make_kernels(shown, {"block": 2}))
    assert kernels.image.shape == (60, 60) and kernels.image[::-1].diagonal().min() == 255
    saliency = read_sheet(make_saliency(shown, {"images": 5}))
    assert saliency.image.shape == (5 * 28, 2 * 28) and len(saliency.numbers["border"]) == 5
    parameters = read_sheet(make_parameters(shown, {}))
    weights = [p.detach().flatten() for n, p in shown.model.backbone.named_parameters() if ".block1_" in n]
    spread = float(torch.cat(weights).double().std())
    assert parameters.numbers["spread of layer 1"][0] == pytest.approx(spread, rel=1e-5)
    x, density = parameters.lines["layer 1"]
    assert np.trapezoid(density, x) == pytest.approx(1, abs=0.05)
    assert set(parameters.lines) == {"layer 1", "layer 2"}


def test_the_observer_records_distance_and_contrast_of_both_blocks(shown):
    snapshot = Snapshot("train", 1, 1, 0.0, {}, shown.clusters, model=lambda: shown.model)
    found = record_kernels(snapshot, shown.estimator, shown.data)
    assert set(found) == {f"kernel_{what}_{block}" for what in ("distance", "contrast") for block in (1, 2)}
    assert OBSERVERS["kernels"].saw(found)
    kernel = shown.estimator.block_kernels(shown.model, torch.from_numpy(shown.data.x.copy()))[1].detach()
    assert found["kernel_distance_2"] == pytest.approx(normalised_distance(kernel, shown.data.y), rel=1e-4)


@pytest.mark.parametrize("reading", ["paper", "code"])
def test_kernels_of_models_with_and_without_companions_are_measured_alike_from_the_same_weights(shown, reading):
    cells = plan_cells(Request("cpu", tables=("dtkc2019/table4",), datasets=("mnist",), readings=(reading,)))
    specs = {cell.row: cell.specs[0] for cell in cells if cell.row in ("ddc", "dtkc")}
    assert specs["dtkc"].params["transpose"] == (reading == "paper"), "the readings differ in the kernel of companions"
    snapshot = Snapshot("train", 1, 1, 0.0, {}, shown.clusters, model=lambda: shown.model)
    found = {}
    for row, spec in specs.items():
        estimator = METHODS[spec.method](**spec.params)
        found[row] = record_kernels(snapshot, estimator, shown.data)
        assert estimator.get_params().items() >= spec.params.items(), "it is measured by a copy"
    assert found["ddc"] == found["dtkc"] and len(found["ddc"]) == 4


def test_samples_of_kernels_are_the_same_in_every_run_and_know_no_labels():
    np.testing.assert_array_equal(chosen_samples(3000), chosen_samples(3000))
    assert len(chosen_samples(3000)) == 1024 and len(chosen_samples(50)) == 50
