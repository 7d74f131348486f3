"""Pre-training of auto-encoders, recomputed step by step in NumPy's float64 with the same noise and batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.registry import NETWORKS
from benchmark.spec import Budget, Optimiser, Phase, Protocol
from benchmark.streams import Streams
from benchmark.training import RunContext
from methods.autoencoder import AEKMeans
from methods.parts.autoencoder import squared_error
from methods.parts.vector_networks import Dense, VectorNetwork

N, BATCH, FEATURES = 30, 8, 6
RATE = Optimiser(name="sgd", lr=0.1, momentum=0.9, decay=0.5, decay_every=3)
ENCODER = ("backbone.layers.layer1.0", "backbone.layers.layer2.0", "embed")
DECODER = ("expand", "decoder.0", "decoder.2")
"""Linear layers by path, from the input to the embedding and from there to the output."""


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    network = VectorNetwork(layers=(Dense("layer1", 5), Dense("layer2", 4)), hidden=3)
    monkeypatch.setitem(NETWORKS._entries, "tiny", network)


def samples() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, FEATURES)).astype(np.float32)


def protocol(layer: int, pretrain: int, sampler: str = "shuffled") -> Protocol:
    """Return both phases, with so many steps."""
    common = {"optimiser": RATE, "batch_size": BATCH, "drop_last": False, "keep": "last", "evaluate_every": 100}
    steps = {"layer": layer, "pretrain": pretrain}
    phases = {
        name: Phase(budget=Budget(unit="steps", amount=amount), sampler=sampler, **common)
        for name, amount in steps.items()
    }
    return Protocol(phases=phases)


def fitted(run: Protocol, replicate: int = 3, **arguments: Any) -> AEKMeans:
    # With weights of deviation .01 most of a ReLU network is almost still: here they are larger.
    given = {"network": "tiny", "embedding": 2, "initialisation": "glorot", "starts": 1, **arguments}
    return AEKMeans(3, protocol=run, random_state=replicate, **given).fit(samples())


@dataclass
class NumpyAutoencoder:
    """Weights and biases by path, in float64, and SGD's velocities."""

    values: dict[str, np.ndarray]
    velocities: dict[str, np.ndarray] = field(default_factory=dict)

    def linear(self, path: str, x: np.ndarray) -> np.ndarray:
        return x @ self.values[f"{path}.weight"].T + self.values[f"{path}.bias"]

    def descend(self, gradients: dict[str, np.ndarray], step: int) -> None:
        rate = RATE.lr * RATE.decay ** (step // RATE.decay_every)
        for name, gradient in gradients.items():
            self.velocities[name] = RATE.momentum * self.velocities.get(name, 0.0) + gradient
            self.values[name] = self.values[name] - rate * self.velocities[name]


def batches(streams: Streams, phase: str) -> Iterator[np.ndarray]:
    """Yield the positions of shuffled batches without end."""
    generator = streams.torch(f"batches:{phase}")
    while True:
        yield from (index.numpy() for index in torch.randperm(N, generator=generator).split(BATCH))


def through(path: str, x: np.ndarray, upstream: np.ndarray, weight: np.ndarray) -> tuple[dict, np.ndarray]:
    """Return the gradients of the linear layer `path` with the input `x`, and that of the input."""
    return {f"{path}.weight": upstream.T @ x, f"{path}.bias": upstream.sum(axis=0)}, upstream @ weight


def error_gradient(decoded: np.ndarray, x: np.ndarray, rule: str) -> np.ndarray:
    """Return the gradient of the squared error of a sample, averaged over the batch."""
    factor = {"mean": 2 / x.shape[1], "half-sum": 1.0}[rule]
    return factor * (decoded - x) / len(x)


def train_layer(
    model: NumpyAutoencoder, number: int, streams: Streams, steps: int, noise: float, rule: str, places: str = "all"
) -> None:
    """Train a denoising auto-encoder of one layer (Xie et al. 2016, section 3.2)."""
    name, model.velocities = f"layer-{number + 1}", {}
    generator = streams.torch(f"noise:{name}")
    encoder, decoder = ENCODER[number], DECODER[-1 - number]

    def mask(shape: tuple[int, ...]) -> np.ndarray:
        return torch.empty(shape).bernoulli_(1 - noise, generator=generator).numpy() / (1 - noise)

    for step, index in zip(range(steps), batches(streams, name), strict=False):
        x = samples()[index].astype(np.float64)
        for before in ENCODER[:number]:
            x = np.maximum(model.linear(before, x), 0)
        corrupted = x if places == "hidden" and number == 0 else x * mask(x.shape)
        linear = model.linear(encoder, corrupted)
        hidden = linear if number == len(ENCODER) - 1 else np.maximum(linear, 0)
        last = places == "hidden" and number == len(ENCODER) - 1
        kept = np.ones_like(hidden) if last else mask(hidden.shape)
        output = model.linear(decoder, hidden * kept)
        decoded = output if number == 0 else np.maximum(output, 0)
        upstream = error_gradient(decoded, x, rule) * (1.0 if number == 0 else output > 0)
        found, upstream = through(decoder, hidden * kept, upstream, model.values[f"{decoder}.weight"])
        upstream = upstream * kept * (1.0 if number == len(ENCODER) - 1 else linear > 0)
        more, _ = through(encoder, corrupted, upstream, model.values[f"{encoder}.weight"])
        model.descend({**found, **more}, step)


def train_whole(model: NumpyAutoencoder, streams: Streams, steps: int, rule: str) -> None:
    """Train the whole auto-encoder, without noise; ReLU but at the embedding and at the output."""
    model.velocities = {}
    paths = (*ENCODER, *DECODER)
    plain = (ENCODER[-1], DECODER[-1])
    for step, index in zip(range(steps), batches(streams, "pretrain"), strict=False):
        inputs, linears = [samples()[index].astype(np.float64)], []
        for path in paths:
            linears.append(model.linear(path, inputs[-1]))
            inputs.append(linears[-1] if path in plain else np.maximum(linears[-1], 0))
        upstream, gradients = error_gradient(inputs[-1], inputs[0], rule), {}
        for path, x, linear in zip(paths[::-1], inputs[-2::-1], linears[::-1], strict=True):
            upstream = upstream * (1.0 if path in plain else linear > 0)
            found, upstream = through(path, x, upstream, model.values[f"{path}.weight"])
            gradients |= found
        model.descend(gradients, step)


def state(model: AEKMeans) -> dict[str, np.ndarray]:
    return {name: value.numpy().astype(np.float64) for name, value in model.model_.state_dict().items()}


def untrained(replicate: int = 3) -> NumpyAutoencoder:
    return NumpyAutoencoder(state(fitted(protocol(0, 0), replicate)))


def assert_close(found: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> None:
    assert found.keys() == truth.keys()
    for name, value in found.items():
        np.testing.assert_allclose(value, truth[name], rtol=2e-4, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("rule", ["mean", "half-sum"])
@pytest.mark.parametrize("noise", [0.0, 0.2, 0.5])
def test_layers_one_by_one_and_the_whole_are_trained_as_in_numpy(noise, rule):
    model, truth, streams = fitted(protocol(7, 5), noise=noise, pretraining_error=rule), untrained(), Streams("", 3)
    before = dict(truth.values)
    for number in range(len(ENCODER)):
        train_layer(truth, number, streams, 7, noise, rule)
    train_whole(truth, streams, 5, rule)
    assert_close(state(model), truth.values)
    assert all(np.abs(truth.values[name] - value).max() > 1e-3 for name, value in before.items())


def test_noise_in_hidden_places_leaves_the_samples_and_the_last_layer_alone():
    model, truth, streams = fitted(protocol(7, 0), noise_places="hidden"), untrained(), Streams("", 3)
    for number in range(len(ENCODER)):
        train_layer(truth, number, streams, 7, 0.2, "mean", "hidden")
    assert_close(state(model), truth.values)


@pytest.mark.parametrize("replicate", [0, 1])
def test_layers_are_trained_in_turn_each_with_its_own_velocities_and_rates(replicate):
    # Without the whole, what each layer learned can be seen.
    model, truth, streams = fitted(protocol(6, 0), replicate), untrained(replicate), Streams("", replicate)
    for number in range(len(ENCODER)):
        train_layer(truth, number, streams, 6, 0.2, "mean")
    assert_close(state(model), truth.values)


def test_end_to_end_trains_the_whole_from_the_initial_weights_without_noise():
    model = fitted(protocol(7, 6), pretraining="end-to-end", noise=0.9)
    truth = untrained()
    train_whole(truth, Streams("", 3), 6, "mean")
    assert_close(state(model), truth.values)


def test_the_loss_is_the_error_of_the_whole_and_histories_name_every_phase():
    seen: list[Any] = []
    run = RunContext(Streams("toy", 0), protocol(4, 3), observers=(seen.append,))
    model = AEKMeans(3, network="tiny", embedding=2, initialisation="glorot").fit(samples(), run=run)
    names = [snapshot.phase for snapshot in seen]
    assert list(dict.fromkeys(names)) == ["layer-1", "layer-2", "layer-3", "pretrain"]
    assert {snapshot.assignments is None for snapshot in seen} == {True}
    with torch.no_grad():
        x = torch.from_numpy(samples())
        decoded = model.model_.decode(model.model_.encode(x)[0])
    # Evaluation batches hold each sample once, but for those beyond the last full batch.
    assert model.outcome_.loss == pytest.approx(float((decoded - x).square().mean()), rel=0.2)
    assert set(model.outcome_.losses) == {"reconstruction", "inertia"}


def test_k_means_on_the_embedding_gives_labels_centres_and_inertia():
    model = fitted(protocol(20, 20), starts=20)
    z = model.embedding_.astype(np.float64)
    d2 = ((z[:, None] - model.cluster_centers_[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(model.labels_, d2.argmin(axis=1))
    np.testing.assert_array_equal(model.predict(samples()), model.labels_)
    assert model.outcome_.losses["inertia"] == pytest.approx(d2.min(axis=1).sum(), rel=1e-4)
    for cluster, centre in enumerate(model.cluster_centers_):
        np.testing.assert_allclose(centre, z[model.labels_ == cluster].mean(axis=0), atol=1e-4)


def test_an_estimator_can_be_fitted_again_with_other_clusters_and_another_embedding():
    model = fitted(protocol(2, 2))
    model.set_params(n_clusters=2, embedding=3).fit(samples())
    assert set(model.labels_) == {0, 1}
    assert model.embedding_.shape == (N, 3)
    assert model.predict(samples()).tolist() == model.labels_.tolist()


@pytest.mark.parametrize(("rule", "share"), [("mean", 1 / FEATURES), ("sum", 1.0), ("half-sum", 0.5)])
def test_squared_error_of_a_sample_is_its_mean_sum_or_half_its_sum(rule, share):
    x, decoded = (torch.from_numpy(np.random.default_rng(s).normal(size=(9, FEATURES))) for s in (0, 1))
    expected = share * ((decoded - x).numpy() ** 2).sum(axis=1).mean()
    assert float(squared_error(decoded, x, rule)) == pytest.approx(expected)


def test_all_samples_alike_cannot_start_k_means():
    same = np.ones((N, FEATURES), dtype=np.float32)
    with pytest.raises(ValueError, match="fewer than 3 distinct points") as caught:
        AEKMeans(3, network="tiny", protocol=protocol(1, 1)).fit(same)
    assert "\n" not in str(caught.value)


def test_constant_features_are_allowed():
    x = samples()
    x[:, 2:4] = 1.0
    model = AEKMeans(3, network="tiny", embedding=2, initialisation="glorot", protocol=protocol(3, 3)).fit(x)
    assert np.isfinite(model.embedding_).all() and len(set(model.labels_)) == 3


def test_fewer_samples_than_a_batch_make_one_smaller_batch():
    # As the authors' loops do; with `drop_last` there is none, and that is refused.
    model = AEKMeans(3, network="tiny", embedding=2, initialisation="glorot", protocol=protocol(2, 2))
    assert model.fit(samples()[: BATCH - 2]).outcome_.steps == 3 * 2 + 2
