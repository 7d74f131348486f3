"""DEC and its relatives: refinement recomputed in NumPy, the stopping rule at its edges, shared starts, bad input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.registry import METHODS, NETWORKS, load_plugins
from benchmark.spec import Budget, Optimiser, Phase, Protocol
from benchmark.streams import Streams
from benchmark.training import Diverged, RunContext
from benchmark.training.weights import Misfit
from datasets.digits import DIGITS
from methods import dec as module
from methods.dec import DEC, IDEC
from methods.parts.refinement import Targets
from methods.parts.vector_networks import Dense, VectorNetwork

load_plugins()
N, K, BATCH, INTERVAL = 43, 3, 10, 4
RATE = Optimiser(name="sgd", lr=0.1, momentum=0.9)
ENCODER = (*(f"backbone.layers.layer{number}.0" for number in (1, 2, 3)), "embed")
DECODER = ("expand", "decoder.0", "decoder.2", "decoder.4")
"""Linear layers by path, in order; ReLU follows all but the last of each."""
ON_VECTORS = ("dec", "idec", "dec-uco-n", "dec-uco-t")
ON_IMAGES = ("dec-conv", "dcec", "dec-conv-uco-n", "dec-conv-uco-t")


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    network = VectorNetwork(layers=(Dense("layer1", 8), Dense("layer2", 6), Dense("layer3", 7)), hidden=3)
    monkeypatch.setitem(NETWORKS._entries, "tiny", network)


def samples() -> np.ndarray:
    """Return three overlapping groups (n, 5)."""
    rng = np.random.default_rng(0)
    return (2 * np.eye(3, 5)[np.arange(N) % 3] + rng.normal(size=(N, 5))).astype(np.float32)


def images() -> np.ndarray:
    return DIGITS.load().prepare(("symmetric",), N).x[:, :, 2:26, 2:26].copy()


def protocol(steps: int, pretrain: int = 30, **changes: Any) -> Protocol:
    """Return the phases `pretrain` and `cluster`, with so many steps, and changes to the last."""
    common: dict[str, Any] = {"batch_size": BATCH, "drop_last": False, "keep": "last", "evaluate_every": 1000}
    start = Phase(optimiser=Optimiser(lr=0.01), budget=Budget(unit="steps", amount=pretrain), **common)
    values = {**common, "optimiser": RATE, "sampler": "fixed", **changes}
    return Protocol(phases={"pretrain": start, "cluster": Phase(budget=Budget(unit="steps", amount=steps), **values)})


def small(method: Any, run: Protocol, n_clusters: int = K, **arguments: Any) -> Any:
    given: dict[str, Any] = {"pretraining": "end-to-end", "starts": 3, "initialisation": "glorot"}
    given |= {"update_interval": INTERVAL, "tolerance": 0.0}
    if method.method_name in ON_VECTORS:
        given |= {"network": "tiny", "embedding": 2}
    return method(n_clusters, protocol=run, **{**given, **arguments})


def suited(name: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Return samples that the network of a method takes, and arguments with which SGD does not run away on them."""
    return (images() if name in ON_IMAGES else samples()), ({"reconstruction": "mean"} if name == "dcec" else {})


def state(model: Any) -> dict[str, np.ndarray]:
    return {name: value.numpy().astype(np.float64) for name, value in model.model_.state_dict().items()}


# Refinement in NumPy's float64


def outputs(weights: dict[str, np.ndarray], paths: Sequence[str], x: np.ndarray) -> list[np.ndarray]:
    """Return `x` and the outputs of a chain of layers."""
    found = [x]
    for path in paths:
        linear = found[-1] @ weights[f"{path}.weight"].T + weights[f"{path}.bias"]
        found.append(linear if path == paths[-1] else np.maximum(linear, 0))
    return found


def backward(
    weights: dict[str, np.ndarray], paths: Sequence[str], found: list[np.ndarray], upstream: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the gradients of a chain's weights and of its input, given that of its output."""
    gradients = {}
    for path, x, out in zip(paths[::-1], found[-2::-1], found[:0:-1], strict=True):
        upstream = upstream if path == paths[-1] else upstream * (out > 0)
        gradients |= {f"{path}.weight": upstream.T @ x, f"{path}.bias": upstream.sum(axis=0)}
        upstream = upstream @ weights[f"{path}.weight"]
    return gradients, upstream


def assigned(z: np.ndarray, centres: np.ndarray) -> np.ndarray:
    kernel = 1 / (1 + ((z[:, None] - centres[None]) ** 2).sum(axis=2))
    return kernel / kernel.sum(axis=1, keepdims=True)


def sharpened(q: np.ndarray) -> np.ndarray:
    p = q**2 / q.sum(axis=0)
    return p / p.sum(axis=1, keepdims=True)


def refined(
    start: dict[str, np.ndarray], steps: int, gamma: float = 1.0, reconstruction: float = 0.0
) -> dict[str, np.ndarray]:
    """Return the weights after so many steps of idec2017 Algorithm 1, by Eq. 9 to 13 and SGD with momentum."""
    x, weights = samples().astype(np.float64), dict(start)
    velocities = {name: np.zeros_like(value) for name, value in weights.items()}
    order = np.array_split(np.arange(N), range(BATCH, N, BATCH))
    p = np.empty(0)
    for step in range(steps):
        if step % INTERVAL == 0:
            p = sharpened(assigned(outputs(weights, ENCODER, x)[-1], weights["centres"]))
        index = order[step % len(order)]
        found = outputs(weights, ENCODER, x[index])
        z, centres = found[-1], weights["centres"]
        away = z[:, None] - centres[None]
        pull = 2 * (p[index] - assigned(z, centres)) / (1 + (away**2).sum(axis=2)) * gamma / len(index)
        gradients = {"centres": -np.einsum("ij,ijd->jd", pull, away)}  # Eq. 10
        upstream = np.einsum("ij,ijd->id", pull, away)  # Eq. 9
        if reconstruction:
            decoded = outputs(weights, DECODER, z)
            error = 2 * reconstruction * (decoded[-1] - x[index]) / len(index)
            more, through = backward(weights, DECODER, decoded, error)
            gradients, upstream = gradients | more, upstream + through
        gradients |= backward(weights, ENCODER, found, upstream)[0]
        for name, gradient in gradients.items():
            velocities[name] = RATE.momentum * velocities[name] + gradient
            weights[name] = weights[name] - RATE.lr * velocities[name]
    return weights


def assert_close(found: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> None:
    assert found.keys() == truth.keys()
    for name, value in found.items():
        np.testing.assert_allclose(value, truth[name], rtol=1e-3, atol=5e-5, err_msg=name)


@pytest.mark.parametrize("steps", [1, INTERVAL, 13])
def test_dec_takes_the_steps_of_algorithm_1(steps):
    start = state(small(DEC, protocol(0)).fit(samples()))
    found = state(small(DEC, protocol(steps)).fit(samples()))
    assert_close(found, refined(start, steps))
    assert not np.allclose(found["centres"], start["centres"], atol=1e-4)
    for name in found:  # DEC has no use for the decoder
        if name.startswith(("expand", "decoder")):
            np.testing.assert_array_equal(found[name], start[name])


@pytest.mark.parametrize(("rule", "factor"), [("sum", 1.0), ("mean", 1 / 5)])
def test_idec_goes_on_to_reconstruct(rule, factor):
    weights = {"clustering_weight": 0.3, "reconstruction_weight": 0.2, "reconstruction": rule}
    start = state(small(IDEC, protocol(0), **weights).fit(samples()))
    found = state(small(IDEC, protocol(9), **weights).fit(samples()))
    assert_close(found, refined(start, 9, gamma=0.3, reconstruction=0.2 * factor))
    assert not np.allclose(found["decoder.4.weight"], start["decoder.4.weight"], atol=1e-4)


def test_idec_with_gamma_1_and_no_reconstruction_is_dec():
    # idec2017 section 3: with gamma = 1 and L_r = 0, IDEC's objective is DEC's.
    same = small(IDEC, protocol(9), clustering_weight=1.0, reconstruction_weight=0.0).fit(samples())
    first, second = state(same), state(small(DEC, protocol(9)).fit(samples()))
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def test_losses_are_those_of_all_samples_with_the_targets_in_use():
    model = small(IDEC, protocol(0), clustering_weight=0.5, reconstruction_weight=2.0, reconstruction="sum").fit(
        samples()[:40]
    )
    weights, x = state(model), samples()[:40].astype(np.float64)
    z = outputs(weights, ENCODER, x)[-1]
    q = assigned(z, weights["centres"])
    p = sharpened(q)
    squares = ((outputs(weights, DECODER, z)[-1] - x) ** 2).sum() / 40
    losses = model.outcome_.losses
    assert losses["clustering"] == pytest.approx((p * np.log(p / q)).sum() / 40, rel=1e-4)
    assert losses["reconstruction"] == pytest.approx(squares, rel=1e-4)
    assert model.outcome_.loss == pytest.approx(0.5 * losses["clustering"] + 2 * losses["reconstruction"], rel=1e-6)
    np.testing.assert_array_equal(model.labels_, q.argmax(axis=1))


def test_refinement_starts_from_the_best_of_several_k_means_on_the_embedding():
    model = small(DEC, protocol(0), starts=20).fit(samples())
    z, centres = model.embedding_.astype(np.float64), state(model)["centres"]
    nearest = ((z[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, model.labels_)
    for cluster in range(K):
        np.testing.assert_allclose(centres[cluster], z[nearest == cluster].mean(axis=0), atol=1e-5)


@pytest.mark.parametrize(("unit", "interval", "expected"), [("steps", 3, [0, 3, 6, 9]), ("epochs", 2, [0, 10])])
def test_targets_are_renewed_every_so_many_steps_or_epochs(unit, interval, expected, monkeypatch):
    renewed: list[int] = []
    original = Targets.renew

    def recorded(self: Targets, step: int) -> None:
        renewed.append(step)
        original(self, step)

    monkeypatch.setattr(Targets, "renew", recorded)
    small(DEC, protocol(12), update_interval=interval, update_unit=unit).fit(samples())  # 5 batches in an epoch
    assert sorted(set(renewed)) == expected


# The stopping rule


def scripted(monkeypatch: pytest.MonkeyPatch, changes: Sequence[int], n: int) -> None:
    """Let so many of n labels change at each renewal, the first being at step 0; none once the script has ended.

    Labels before the first step are those of k-means. The evaluation before the first step renews the targets too.
    """
    labels: list[Tensor] = []

    def assignments(model: Any, x: Tensor) -> Tensor:
        if len(labels) < 2:
            found = original(model, x).argmax(dim=1)
            found = found if not labels else labels[-1]
        else:
            found = labels[-1].clone()
            moved = changes[len(labels) - 2] if len(labels) - 2 < len(changes) else 0
            found[:moved] = (found[:moved] + 1) % K
        labels.append(found)
        return 0.8 * torch.nn.functional.one_hot(found, K) + 0.2 / K

    original: Callable[..., Tensor] = module._assignments
    monkeypatch.setattr(module, "_assignments", assignments)


@pytest.mark.parametrize(
    ("tolerance", "changes", "steps"),
    [
        (0.1, [5, 5, 3, 5], 3 * INTERVAL),  # 3 of 40 are less than a tenth: no step follows that renewal
        (0.1, [4, 4, 3], 3 * INTERVAL),  # 4 of 40 are exactly a tenth, which is not less
        (0.1, [4, 4, 4, 4, 4, 4], 26),  # and so the budget ends it
        (0.1, [0], INTERVAL),
        (0.0, [0, 0, 0, 0], 26),  # nothing is less than nothing
        (0.1, [9] * 5 + [0], 6 * INTERVAL),  # two steps before the end of the budget
    ],
)
def test_refinement_stops_at_the_renewal_at_which_fewer_labels_changed(tolerance, changes, steps, monkeypatch):
    scripted(monkeypatch, changes, 40)
    model = small(DEC, protocol(26), tolerance=tolerance).fit(samples()[:40])
    assert model.outcome_.steps == steps


def test_refinement_does_not_stop_at_its_start_where_no_label_differs_from_those_of_k_means():
    # Algorithm 1 read literally would: the labels of the start are those of the nearest centres.
    model = small(DEC, protocol(26, optimiser=Optimiser(name="sgd", lr=1e-9)), tolerance=0.5).fit(samples())
    assert model.outcome_.steps == INTERVAL


def test_a_budget_that_ends_where_targets_are_due_ends_without_a_renewal(monkeypatch):
    scripted(monkeypatch, [9, 0], 40)
    ended = small(DEC, protocol(2 * INTERVAL), tolerance=0.1).fit(samples()[:40])
    assert ended.outcome_.steps == 2 * INTERVAL


def test_a_stop_leaves_the_weights_of_the_last_step_and_a_snapshot_of_them():
    seen: list[Any] = []
    run = protocol(100, optimiser=Optimiser(name="sgd", lr=1e-9), evaluate_every=3)
    context = RunContext(Streams("toy", 0), run, observers=(seen.append,))
    model = small(DEC, run, tolerance=0.5).fit(samples(), run=context)
    steps = [snapshot.step for snapshot in seen if snapshot.phase == "cluster"]
    assert steps == [0, 3, INTERVAL]
    np.testing.assert_array_equal(seen[-1].assignments, model.labels_)


@pytest.mark.parametrize(("moved", "n"), [(1, 1000), (7, 7000), (70, 70000), (9, 9298)])
def test_a_thousandth_is_held_to_the_last_digit(moved, n):
    before = torch.zeros(n, dtype=torch.int64)
    after = before.clone()
    after[:moved] = 1
    now = [before]
    targets = Targets(lambda: torch.nn.functional.one_hot(now[0], 2).float() + 0.1, before, 140, 0.001)
    now[0] = after
    targets.renew(140)
    assert targets.settled(140) == (moved * 1000 < n)
    assert not targets.settled(141)  # asked between two renewals
    assert not targets.settled(0)


# Shared pre-training


@pytest.mark.parametrize(
    ("name", "pretraining"),
    [(name, "end-to-end") for name in ON_VECTORS + ON_IMAGES] + [(name, "layer-wise") for name in ON_VECTORS],
)
def test_shared_and_fresh_pre_training_give_equal_children(name, pretraining):
    x, own = suited(name)
    run = protocol(6, pretrain=4)
    layer = run.phases["pretrain"].model_copy(update={"budget": Budget(unit="steps", amount=3)})
    run = Protocol(phases={"layer": layer, **run.phases})
    child = small(METHODS[name], run, pretraining=pretraining, **own)
    parent = METHODS[child.pretrained_by]
    params = {field: getattr(child, field) for field in parent.Params.model_fields}
    streams = [RunContext(Streams("toy", 5), run) for _ in range(3)]
    weights = parent(**params).fit(x, run=streams[0]).model_.state_dict()
    kept = {key: value.clone() for key, value in weights.items()}
    fresh = child.fit(x, run=streams[1])
    shared = small(METHODS[name], run, pretraining=pretraining, **own)
    shared.fit(x, run=RunContext(streams[2].streams, run, parent=weights))
    np.testing.assert_array_equal(fresh.labels_, shared.labels_)
    assert fresh.outcome_ == shared.outcome_
    for key, value in fresh.model_.state_dict().items():
        assert value.numpy().tobytes() == shared.model_.state_dict()[key].numpy().tobytes(), key
    for key, value in weights.items():  # the parent's own are not written into
        assert torch.equal(value, kept[key])
    assert fresh.outcome_.steps == 6  # those of its own phase


def test_children_of_one_parent_start_from_the_same_centres():
    first, second = (state(small(method, protocol(0)).fit(samples())) for method in (DEC, IDEC))
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


def test_weights_of_another_network_are_refused():
    other = small(DEC, protocol(0), embedding=4).fit(samples()).model_.state_dict()
    weights = {name: value for name, value in other.items() if name != "centres"}
    with pytest.raises(Misfit, match=r"embed\.weight of the shape \(2, 7\), the weights to start from \(4, 7\)"):
        small(DEC, protocol(1)).fit(samples(), run=RunContext(Streams("toy", 0), protocol(1), parent=weights))


# Input and data that make trouble


def test_a_cluster_that_loses_its_samples_stays_and_may_leave_fewer_labels():
    x = samples()
    run = protocol(60, optimiser=Optimiser(name="sgd", lr=2.0, momentum=0.9))
    model = small(DEC, run, n_clusters=12).fit(x)
    assert len(set(model.labels_)) < 12
    assert state(model)["centres"].shape == (12, 2)
    assert np.isfinite(model.outcome_.loss) and np.isfinite(model.embedding_).all()
    np.testing.assert_array_equal(model.predict(x), model.labels_)


@pytest.mark.parametrize("name", ON_VECTORS)
def test_constant_features_are_allowed(name):
    x = samples()
    x[:, 1:3] = 4.0
    model = small(METHODS[name], protocol(6)).fit(x)
    assert np.isfinite(model.outcome_.loss) and np.isfinite(model.embedding_).all()


@pytest.mark.parametrize("name", ON_VECTORS)
def test_samples_all_alike_are_refused_in_one_sentence(name):
    with pytest.raises(ValueError, match="fewer than 3 distinct points") as caught:
        small(METHODS[name], protocol(6)).fit(np.ones((N, 5), dtype=np.float32))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ON_VECTORS)
def test_more_clusters_than_samples_are_refused(name):
    with pytest.raises(ValueError, match="2 samples cannot form 3 clusters"):
        small(METHODS[name], protocol(6)).fit(samples()[:2])


@pytest.mark.parametrize("name", ON_VECTORS + ON_IMAGES)
def test_fewer_samples_than_a_batch_make_one_smaller_batch_where_no_batch_is_dropped(name):
    x, own = suited(name)
    x = x[: BATCH - 1]
    assert small(METHODS[name], protocol(3, pretrain=2), **own).fit(x).outcome_.steps == 3
    with pytest.raises(ValueError, match=f"batch of {BATCH}"):
        small(METHODS[name], protocol(3, pretrain=2, drop_last=True), **own).fit(x)


@pytest.mark.parametrize("name", ON_VECTORS + ON_IMAGES)
def test_a_last_batch_of_one_sample_does_no_harm(name):
    x, own = suited(name)
    model = small(METHODS[name], protocol(6, pretrain=3), **own).fit(x[: 2 * BATCH + 1])
    assert np.isfinite(model.outcome_.loss)
    assert all(np.isfinite(value).all() for value in state(model).values())


def test_a_training_that_loses_its_way_is_diverged_not_labelled():
    wild = protocol(30, optimiser=Optimiser(name="sgd", lr=1e12))
    with pytest.raises(Diverged):
        small(IDEC, wild, reconstruction_weight=1.0).fit(samples())


@pytest.mark.parametrize("name", ON_IMAGES)
def test_convolutional_networks_are_not_trained_layer_by_layer(name):
    with pytest.raises(ValueError, match="pretraining='end-to-end'"):
        small(METHODS[name], protocol(1), pretraining="layer-wise").fit(images())


@pytest.mark.parametrize("name", ["dec-uco-n", "dec-uco-t"])
def test_a_tap_that_the_network_lacks_is_refused_with_those_it_has(name):
    with pytest.raises(ValueError, match="layer9") as caught:
        small(METHODS[name], protocol(1), taps=("layer9",)).fit(samples())
    assert "layer2" in str(caught.value)


def test_the_centres_are_those_that_prediction_is_nearest_to():
    x = np.random.default_rng(0).random((40, 12), dtype=np.float32)
    model = IDEC(3, initialisation="glorot", pretrain_epochs=2, epochs=2, batch_size=20).fit(x)
    assert model.cluster_centers_.shape == (3, 10)
    distances = ((model.transform(x)[:, None] - model.cluster_centers_) ** 2).sum(axis=2)
    np.testing.assert_array_equal(model.predict(x), distances.argmin(axis=1))
    weights = 1 / (1 + distances)
    np.testing.assert_allclose(model.predict_proba(x), weights / weights.sum(axis=1, keepdims=True), rtol=1e-4)
