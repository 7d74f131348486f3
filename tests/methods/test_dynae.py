"""ACAI, DynAE and DC* recomputed in NumPy's float64; schedules and splits at their edges; resumed in every phase."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform

from benchmark.registry import NETWORKS, load_plugins
from benchmark.spec import Budget, Optimiser, Phase, Protocol
from benchmark.streams import Streams
from benchmark.training import Diverged, RunContext
from benchmark.training.resume import SavedState, Stopped
from methods import ACAI, DCStar, DECStar, DynAE, IDECStar
from methods.parts.dynamic.augmentation import augmented
from methods.parts.dynamic.conflicts import thresholds_after, unconflicted
from methods.parts.dynamic.dynamics import DynAENetwork, DynAEParams, dynamic_terms
from methods.parts.dynamic.interpolation import ACAINetwork, ACAIParams, mixed, mixing_weights
from methods.parts.vector_networks import Dense, VectorNetwork

load_plugins()
N, K, BATCH, INTERVAL = 43, 3, 10, 4
ENCODER = ("backbone.layers.layer1.0", "backbone.layers.layer2.0", "embed")
DECODER = ("expand", "decoder.0", "decoder.2")
CRITIC = ("critic.backbone.layers.layer1.0", "critic.backbone.layers.layer2.0", "critic.output")


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    network = VectorNetwork(layers=(Dense("layer1", 8), Dense("layer2", 6)), hidden=3)
    monkeypatch.setitem(NETWORKS._entries, "tiny", network)


def samples() -> np.ndarray:
    """Return three groups of flattened 4 x 4 images (n, 16)."""
    rng = np.random.default_rng(0)
    shapes = rng.random((3, 16))
    return (shapes[np.arange(N) % 3] + 0.1 * rng.normal(size=(N, 16))).astype(np.float32)


def protocol(steps: int = 13, pretrain: int = 9, rate: float = 0.02) -> Protocol:
    common: dict[str, Any] = {"batch_size": BATCH, "drop_last": False, "keep": "last", "evaluate_every": 5}
    common |= {"sampler": "fixed"}
    sgd = Optimiser(name="sgd", lr=rate, momentum=0.9)
    first = Phase(optimiser=Optimiser(lr=0.01), budget=Budget(unit="steps", amount=pretrain), **common)
    return Protocol(
        phases={"pretrain": first, "cluster": Phase(optimiser=sgd, budget=Budget(unit="steps", amount=steps), **common)}
    )


def small(method: Any, run: Protocol | None = None, **arguments: Any) -> Any:
    given: dict[str, Any] = {"network": "tiny", "embedding": 2, "starts": 3, "initialisation": "glorot"}
    if method is DynAE:
        given |= {"check_interval": INTERVAL, "centre_starts": 3}
    elif method is not ACAI:
        given |= {"update_interval": INTERVAL}
    return method(K, protocol=run or protocol(), **{**given, **arguments})


def state(model: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy().astype(np.float64) for name, value in model.state_dict().items()}


def outputs(weights: dict[str, np.ndarray], paths: tuple[str, ...], x: np.ndarray) -> np.ndarray:
    for path in paths:
        x = x @ weights[f"{path}.weight"].T + weights[f"{path}.bias"]
        x = x if path == paths[-1] else np.maximum(x, 0)
    return x


def judged(weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    return outputs(weights, CRITIC, x).mean(axis=1)


def network(kind: Any = ACAINetwork, params: Any = None) -> Any:
    params = params or ACAIParams(n_clusters=K, network="tiny", embedding=2)
    model = kind(params, (16,))
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng) * 0.5)
    return model


# Augmentation


def test_turning_and_moving_is_that_of_scipy():
    rng = np.random.default_rng(2)
    x = rng.random((6, 1, 9, 9))
    ours = augmented(torch.from_numpy(x), 0.1, 10.0, torch.Generator().manual_seed(3)).numpy()
    draws = torch.rand((6, 3), generator=torch.Generator().manual_seed(3)).numpy() * 2 - 1
    for image, found, (turn, down, right) in zip(x[:, 0], ours[:, 0], draws, strict=True):
        angle = np.radians(10.0) * turn
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre, move = np.array([4.0, 4.0]), 9 * 0.1 * np.array([down, right])
        offset = centre + matrix @ (move - centre)
        np.testing.assert_allclose(found, affine_transform(image, matrix, offset, order=1, mode="nearest"), atol=1e-5)
    flat = augmented(torch.from_numpy(x).flatten(1), 0.1, 10.0, torch.Generator().manual_seed(3))
    np.testing.assert_array_equal(flat.numpy(), ours.reshape(6, 81))


def test_what_is_no_square_image_is_refused():
    for shape in ((4, 15), (4, 1, 3, 5), (4, 3, 3)):
        with pytest.raises(ValueError, match="square images"):
            augmented(torch.zeros(shape), 0.1, 10.0, torch.Generator())
    with pytest.raises(ValueError, match="square images"):
        small(ACAI).fit(samples()[:, :15])


# ACAI


@pytest.mark.parametrize("target", ["sample", "pairs"])
@pytest.mark.parametrize("errors", ["sum", "mean"])
def test_terms_of_acai_are_those_of_the_equations(target, errors):
    params = ACAIParams(n_clusters=K, network="tiny", embedding=2, critic_target=target, errors=errors)
    model, rng = network(), np.random.default_rng(4)
    x, alpha, gamma = samples()[:7], rng.random(7), rng.random(7)
    given = [torch.from_numpy(each.astype(np.float32)) for each in (x, alpha, gamma)]
    found = mixed(model, *given)
    terms = {**found.autoencoder_terms(model, params), **found.critic_terms(model, params)}
    w = state(model)
    z = outputs(w, ENCODER, x.astype(np.float64))
    decoded = outputs(w, DECODER, z)
    mixture = outputs(w, DECODER, alpha[:, None] * z + (1 - alpha[:, None]) * z[::-1])
    score = judged(w, mixture)
    squares = np.square(x - decoded)
    pairs = np.mean([[(s - a) ** 2 for a in alpha] for s in score])
    truth = {
        "reconstruction": squares.sum(axis=1).mean() if errors == "sum" else squares.mean(),
        "fooling": np.square(score).mean(),
        "regression": np.square(score - alpha).mean() if target == "sample" else pairs,
        "realism": np.square(judged(w, gamma[:, None] * x + (1 - gamma[:, None]) * decoded)).mean(),
    }
    for name, value in truth.items():
        assert float(terms[name].detach()) == pytest.approx(value, rel=1e-4), name


def test_critic_terms_have_no_gradient_for_the_autoencoder():
    model = network()
    half = torch.full((5,), 0.5)
    terms = mixed(model, torch.from_numpy(samples()[:5]), half, half).critic_terms(
        model, ACAIParams(n_clusters=K, network="tiny", embedding=2)
    )
    sum(terms.values()).backward()
    assert all(parameter.grad is None for parameter in model.autoencoder())
    assert all(parameter.grad is not None for parameter in model.critic.parameters())


def test_mixing_weights_are_folded_where_asked():
    alpha, gamma = mixing_weights(4000, "none", torch.Generator().manual_seed(0))
    assert alpha.max() > 0.99
    assert len(gamma.unique()) > 3000
    folded, free = mixing_weights(4000, "alpha", torch.Generator().manual_seed(0))
    torch.testing.assert_close(folded, torch.minimum(alpha, 1 - alpha))
    assert free.max() > 0.99
    free, one = mixing_weights(4000, "gamma", torch.Generator().manual_seed(0))
    assert len(one.unique()) == 1
    assert one.max() <= 0.5
    assert free.max() > 0.99


def test_critic_is_trained_on_what_the_autoencoder_gave_before_its_step():
    run = protocol(pretrain=1).model_copy(
        update={
            "phases": {
                "pretrain": protocol(pretrain=1)
                .phases["pretrain"]
                .model_copy(update={"optimiser": Optimiser(name="sgd", lr=0.1)})
            }
        }
    )
    none = run.phases["pretrain"].model_copy(update={"budget": Budget(unit="steps", amount=0)})
    before = small(ACAI, Protocol(phases={"pretrain": none})).fit(samples()).model_
    after = small(ACAI, run).fit(samples()).model_
    streams = Streams("", 0)
    order = torch.randperm(BATCH, generator=streams.torch("shuffle"))
    x = augmented(torch.from_numpy(samples()[:BATCH])[order], 0.1, 10.0, streams.torch("augment"))
    alpha, gamma = mixing_weights(BATCH, "none", streams.torch("mix"))
    params = ACAIParams(n_clusters=K, network="tiny", embedding=2)
    # with the critic as it was, and all of the batch from before the step
    whole = mixed(before, x, alpha, gamma)
    total = sum(whole.critic_terms(before, params).values())
    gradients = torch.autograd.grad(total, list(before.critic.parameters()))
    for old, new, gradient in zip(before.critic.parameters(), after.critic.parameters(), gradients, strict=True):
        torch.testing.assert_close(new, old - 0.1 * gradient)
    assert not torch.allclose(before.embed.weight, after.embed.weight)


def test_frozen_critic_stays_as_it_was_drawn_and_the_autoencoder_trains():
    nothing = small(ACAI, protocol(pretrain=0)).fit(samples()).model_.state_dict()
    frozen = small(ACAI, critic="frozen").fit(samples()).model_.state_dict()
    trained = small(ACAI).fit(samples()).model_.state_dict()
    for name, value in nothing.items():
        assert torch.equal(value, frozen[name]) == name.startswith("critic."), name
        assert not torch.equal(value, trained[name]), name


# The split, schedules


def test_samples_on_a_threshold_are_sure_in_the_text_and_not_in_the_code():
    q = torch.tensor([[0.5, 0.25, 0.25], [0.5, 0.5, 0.0], [0.75, 0.125, 0.125]], dtype=torch.float64)
    both = torch.tensor([0.5, 0.25], dtype=torch.float64)
    assert unconflicted(q, both, "inclusive").tolist() == [True, False, True]
    assert unconflicted(q, both, "exclusive").tolist() == [False, False, True]


def test_thresholds_fall_as_in_the_tables_of_the_three_readings():
    first = {
        "fixed": [0.3, 0.21, 0.12, 0.03],
        "geometric": [0.3, 0.21, 0.183, 0.1749, 0.17247],
        "late": [0.3, 0.21, 0.12, 0.093, 0.0849],
    }
    for schedule, values in first.items():
        found = [thresholds_after(n, 0.3, 0.3, schedule) for n in range(len(values))]
        np.testing.assert_allclose([b[0] for b in found], values, atol=1e-12)
    assert thresholds_after(2, 0.3, 0.3, "fixed")[1] == pytest.approx(-0.03)
    limit = thresholds_after(60, 0.3, 0.3, "geometric")[0], thresholds_after(60, 0.3, 0.3, "late")[0]
    assert limit == pytest.approx((0.3 - 0.09 / 0.7, 0.21 - 0.09 / 0.7))


# DynAE


def dynamic(params: DynAEParams, b1: float, b2: float) -> tuple[DynAENetwork, np.ndarray]:
    model, rng = network(DynAENetwork, params), np.random.default_rng(8)
    with torch.no_grad():
        embedded = model.encode(torch.from_numpy(samples()))[0]
        model.centres.copy_(embedded[:K])
        model.images.copy_(torch.from_numpy(samples()[:K]))
        model.thresholds.copy_(torch.tensor([b1, b2]))
    return model, (samples()[:9] + 0.05 * rng.normal(size=(9, 16))).astype(np.float32)


@pytest.mark.parametrize("errors", ["sum", "mean"])
@pytest.mark.parametrize("conflicted", ["none", "consistency"])
def test_terms_of_dynae_are_those_of_the_equations(errors, conflicted):
    params = DynAEParams(
        n_clusters=K, network="tiny", embedding=2, errors=errors, conflicted_embedding=conflicted, initialisation="he"
    )
    model, moved = dynamic(params, 0.4, 0.1)
    clean = samples()[:9]
    terms, q = dynamic_terms(model, torch.from_numpy(clean), torch.from_numpy(moved), params)
    w = state(model)
    z = outputs(w, ENCODER, clean.astype(np.float64))
    near = 1 / (1 + np.square(z[:, None] - w["centres"]).sum(axis=2))
    soft = near / near.sum(axis=1, keepdims=True)
    ordered = np.sort(soft, axis=1)
    sure = (ordered[:, -1] >= 0.4) & (ordered[:, -1] - ordered[:, -2] >= 0.1)
    assert 0 < sure.sum() < 9
    image, pull = 0.0, 0.0
    embedded = outputs(w, ENCODER, moved.astype(np.float64))
    for i in range(9):
        j = soft[i].argmax()
        goal = w["images"][j] if sure[i] else clean[i]
        image += np.square(outputs(w, DECODER, embedded[i : i + 1])[0] - goal).sum() / 9
        if sure[i] or conflicted == "consistency":
            pull += np.square(embedded[i] - (w["centres"][j] if sure[i] else z[i])).sum() / 9
    values, width = (16, 2) if errors == "mean" else (1, 1)
    np.testing.assert_allclose(q.numpy(), soft, atol=1e-5)
    assert float(terms["image"].detach()) == pytest.approx(image / values, rel=1e-4)
    assert float(terms["embedding"].detach()) == pytest.approx(pull / width, rel=1e-4)


def test_targets_have_no_gradient():
    params = DynAEParams(n_clusters=K, network="tiny", embedding=2, conflicted_embedding="consistency")
    model, moved = dynamic(params, 0.4, 0.1)
    clean = torch.from_numpy(samples()[:9]).requires_grad_()
    terms, q = dynamic_terms(model, clean, torch.from_numpy(moved), params)
    terms["embedding"].backward()
    assert clean.grad is None
    assert not q.requires_grad


@pytest.mark.parametrize("images", ["sample", "decoded"])
def test_centres_are_the_samples_nearest_to_the_means_of_k_means(images):
    model = small(DynAE, protocol(steps=0), centre_images=images).fit(samples())
    from sklearn.cluster import KMeans

    z = model.embedding_
    means = KMeans(K, n_init=3, random_state=Streams("", 0).integer("centres")).fit(z).cluster_centers_
    nearest = [int(np.square(z - mean).sum(axis=1).argmin()) for mean in means]
    np.testing.assert_allclose(model.model_.centres.numpy(), z[nearest], atol=1e-6)
    decoded = model.model_.decode(model.model_.centres).detach().numpy()
    truth = samples()[nearest] if images == "sample" else decoded
    np.testing.assert_allclose(model.model_.images.numpy(), truth, atol=1e-6)


def test_thresholds_drop_when_conflicts_do_not_and_training_ends_when_few_are_left():
    # One step of nothing: no sample ever changes sides, so every check after the first drops the thresholds.
    still = protocol(steps=40, rate=1e-12)
    model = small(DynAE, still, kappa=0.9, drop=0.2, tolerance=0.01).fit(samples())
    sure = model.subsets(model.model_, torch.from_numpy(samples()))
    assert int(sure["conflicted"].sum()) / N < 0.01
    drops = round((0.9 - float(model.model_.thresholds[0])) / 0.18)
    assert drops >= 1
    # the check at step 0 drops only where all are conflicted, the last one never
    assert model.outcome_.steps in ((drops + 1) * INTERVAL, drops * INTERVAL)
    never = small(DynAE, still, kappa=0.9, drop=0.2, tolerance=0.0).fit(samples())
    assert never.outcome_.steps == 40


@pytest.mark.parametrize("method", [DynAE, DCStar, DECStar, IDECStar])
def test_weights_that_break_between_two_evaluations_are_a_divergence_and_no_crash(method: Any) -> None:
    """Centres are found anew every 4 steps, losses looked at every 5; k-means refuses what is not finite."""
    with pytest.raises(Diverged):
        small(method, protocol(rate=1e18)).fit(samples())


def test_last_check_leaves_centres_as_they_were_so_that_labels_are_those_it_counted():
    model = small(DynAE, protocol(steps=40, rate=1e-12), kappa=0.9, drop=0.2).fit(samples())
    np.testing.assert_array_equal(model.predict(samples()), model.labels_)
    start = small(DynAE, protocol(steps=0), kappa=0.9, drop=0.2).fit(samples())
    torch.testing.assert_close(start.model_.centres, model.model_.centres, atol=1e-5, rtol=1e-4)


# DC*, DEC*, IDEC*


def test_dc_takes_steps_of_both_terms_and_moves_its_centres_by_k_means():
    still = small(DCStar, protocol(steps=INTERVAL + 1, rate=1e-12)).fit(samples())
    z = still.embedding_
    near = np.square(z[:, None] - still.model_.centres.numpy()).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(near, still.labels_)
    means = np.stack([z[near == k].mean(axis=0) for k in range(K)])
    np.testing.assert_allclose(still.model_.centres.numpy(), means, atol=1e-4)
    squares = np.square(z - means[near]).mean()
    assert still.outcome_.losses["clustering"] == pytest.approx(squares, rel=0.1)  # whole batches are counted
    moved = small(DCStar, protocol(steps=60)).fit(samples())
    assert moved.outcome_.loss < still.outcome_.loss


@pytest.mark.parametrize("method", [DynAE, DECStar, IDECStar, DCStar])
def test_all_start_from_the_same_pretraining(method):
    start = small(ACAI).fit(samples()).model_.state_dict()
    model = small(method, protocol(steps=0)).fit(samples()).model_.state_dict()
    for name, value in start.items():
        assert torch.equal(value, model[name]), name


@pytest.mark.parametrize("method", [DECStar, IDECStar, DynAE, DCStar])
def test_refinement_leaves_the_critic_alone(method):
    start = small(ACAI).fit(samples()).model_.state_dict()
    model = small(method).fit(samples()).model_.state_dict()
    changed = {name.split(".")[0] for name, value in start.items() if not torch.equal(value, model[name])}
    assert changed == {"backbone", "embed"} | (set() if method is DECStar else {"expand", "decoder"})


# Interrupted and resumed


class Keeper:
    """Checkpoints in memory, after every epoch; stops the run after so many of them."""

    seconds, resumed = 0.0, 0

    def __init__(self, stop: int, states: list[tuple[int, SavedState]]) -> None:
        self.stop, self.states, self.phase, self.saved, self.epoch = stop, list(states), -1, dict(states), -1

    def begin(self, phase: str) -> SavedState | None:
        self.phase, self.epoch = self.phase + 1, -1
        return self.saved.get(self.phase)

    def due(self, epoch: int) -> bool:
        return True

    def save(self, state: SavedState, *, finished: bool, step: int) -> None:
        import copy

        self.saved[self.phase] = copy.deepcopy(state)
        self.stop -= 1

    def stop_if_asked(self) -> None:
        if self.stop <= 0:
            raise Stopped


@pytest.mark.parametrize("method", [ACAI, DynAE, DECStar, IDECStar, DCStar])
@pytest.mark.parametrize("stop", [1, 6, 11, 16])
def test_a_run_that_was_stopped_in_any_phase_ends_as_if_it_had_not_been(method, stop):
    whole = small(method).fit(samples(), run=RunContext(Streams("", 0), protocol()))
    keeper = Keeper(stop, [])
    with suppress(Stopped):  # some have fewer steps
        small(method).fit(samples(), run=RunContext(Streams("", 0), protocol(), checkpoints=keeper))
    again = Keeper(10**6, list(keeper.saved.items()))
    resumed = small(method).fit(samples(), run=RunContext(Streams("", 0), protocol(), checkpoints=again))
    for name, value in whole.model_.state_dict().items():
        assert torch.equal(value, resumed.model_.state_dict()[name]), name
    np.testing.assert_array_equal(whole.labels_, resumed.labels_)


def test_a_run_that_broke_between_both_objectives_is_taken_up_before_the_step(monkeypatch):
    whole = small(ACAI).fit(samples(), run=RunContext(Streams("", 0), protocol()))
    keeper, calls = Keeper(10**6, []), []
    from methods.parts.dynamic.interpolation import Mixed

    original = Mixed.critic_terms

    def breaking(self: Mixed, model: Any, params: Any) -> Any:
        calls.append(1)
        if model.training and len(calls) > 8:
            raise KeyboardInterrupt
        return original(self, model, params)

    monkeypatch.setattr(Mixed, "critic_terms", breaking)
    with pytest.raises(KeyboardInterrupt):
        small(ACAI).fit(samples(), run=RunContext(Streams("", 0), protocol(), checkpoints=keeper))
    monkeypatch.undo()
    monkeypatch.setitem(
        NETWORKS._entries, "tiny", VectorNetwork(layers=(Dense("layer1", 8), Dense("layer2", 6)), hidden=3)
    )
    again = Keeper(10**6, list(keeper.saved.items()))
    resumed = small(ACAI).fit(samples(), run=RunContext(Streams("", 0), protocol(), checkpoints=again))
    for name, value in whole.model_.state_dict().items():
        assert torch.equal(value, resumed.model_.state_dict()[name]), name
