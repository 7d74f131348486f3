"""Steps of pre-training and of refinement through the suite's own loop, beside bare loops of the same arithmetic.

Samples are as many and as large as those of MNIST or USPS need, without their contents, on which no time depends. One
round is an epoch of `STEPS` batches, with one renewal of the targets; evaluation is replaced by a constant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.registry import METHODS, load_plugins
from benchmark.spec import Budget, Optimiser
from benchmark.streams import Streams
from benchmark.training import Batch, RunContext, Terms, TrainingPhase, run_phase
from methods import KMeans

STEPS = 10
BATCH = 256
USPS = (9298, 256)
USPS_EPOCHS = 3
N_CLUSTERS = 10
SGD = Optimiser(name="sgd", lr=0.01, momentum=0.9)
ADAM = Optimiser(lr=1e-3, eps=1e-8)

load_plugins()


@cache
def samples(n: int = STEPS * BATCH, features: int = 784) -> Tensor:
    return torch.rand(n, features, generator=torch.Generator().manual_seed(0))


def phase_of(name: str, x: Tensor, number: int, optimiser: Optimiser, **parameters: Any) -> tuple[TrainingPhase, Any]:
    """Return a training phase of a method by number, with its context; refinement starts from an untrained network."""
    estimator = METHODS[name](N_CLUSTERS, starts=1, initialisation="glorot", **parameters)
    params = estimator.checked_params()
    context = RunContext(Streams("bench", 0), estimator.default_protocol)
    model = estimator.build(params, tuple(x.shape[1:]), context)
    phases = iter(estimator.phases(model, params, x, context))
    found = [next(phases) for _ in range(number + 1)][-1]
    return replace(found, spec=found.spec.model_copy(update={"optimiser": optimiser})), context


def suite(phase: TrainingPhase, context: RunContext, x: Tensor, steps: int = STEPS) -> Callable[[], object]:
    """Return a call that trains for so many steps, going on with the weights of the call before."""
    term = next(iter(phase.objectives[0].weights))
    budget = Budget(unit="steps", amount=steps)
    values = {"budget": budget, "evaluate_every": steps, "batch_size": BATCH, "keep": "last", "sampler": "fixed"}

    def forward(model: nn.Module, batch: Batch) -> tuple[Terms, Tensor | None]:
        if model.training:
            return phase.forward(model, batch)
        return {term: torch.zeros(())}, torch.zeros(len(batch.x), N_CLUSTERS)

    short = replace(phase, spec=phase.spec.model_copy(update=values), forward=forward)
    return lambda: run_phase(short, x, context)


def dense(*widths: int, last: bool = False) -> nn.Sequential:
    """Return fully connected layers with ReLU, after the last one only where asked for."""
    layers: list[nn.Module] = []
    for inputs, units in pairwise(widths):
        layers += [nn.Linear(inputs, units), nn.ReLU()]
    return nn.Sequential(*layers[: None if last else -1])


def bare_refinement(x: Tensor, reconstruct: bool, optimiser: Optimiser) -> Callable[[], object]:
    """Return a call of one renewal and `STEPS` steps, as a tutorial has them."""
    encoder, decoder = dense(x.shape[1], 500, 500, 2000, 10), dense(10, 2000, 500, 500, x.shape[1])
    centres = nn.Parameter(torch.rand(N_CLUSTERS, 10))
    parameters = [*encoder.parameters(), *(decoder.parameters() if reconstruct else ()), centres]
    stepper = bare_optimiser(optimiser, parameters)

    def assigned(z: Tensor) -> Tensor:
        weights = 1 / (1 + (z[:, None] - centres).square().sum(dim=2))
        return weights / weights.sum(dim=1, keepdim=True)

    def round_of_steps() -> None:
        with torch.no_grad():
            q = torch.cat([assigned(encoder(part)) for part in x.split(1024)])
            p = q**2 / q.sum(dim=0)
            p /= p.sum(dim=1, keepdim=True)
        for part, target in zip(x.split(BATCH), p.split(BATCH), strict=True):
            z = encoder(part)
            loss = (target * (target / assigned(z)).log()).sum(dim=1).mean()
            if reconstruct:
                loss = functional.mse_loss(decoder(z), part) + 0.1 * loss
            stepper.zero_grad()
            loss.backward()
            stepper.step()

    return round_of_steps


def bare_pretraining(x: Tensor, optimiser: Optimiser) -> Callable[[], object]:
    """Return a call of `STEPS` steps of a plain auto-encoder."""
    network = nn.Sequential(dense(x.shape[1], 500, 500, 2000, 10), dense(10, 2000, 500, 500, x.shape[1]))
    stepper = bare_optimiser(optimiser, list(network.parameters()))

    def round_of_steps() -> None:
        for part in x.split(BATCH):
            stepper.zero_grad()
            functional.mse_loss(network(part), part).backward()
            stepper.step()

    return round_of_steps


def bare_layer(x: Tensor, optimiser: Optimiser) -> Callable[[], object]:
    """Return a call of `STEPS` steps of the second layer's denoising auto-encoder."""
    before, encoder, decoder = dense(x.shape[1], 500, last=True), dense(500, 500, last=True), dense(500, 500, last=True)
    stepper = bare_optimiser(optimiser, [*encoder.parameters(), *decoder.parameters()])

    def round_of_steps() -> None:
        for part in x.split(BATCH):
            with torch.no_grad():
                features = before(part)
            hidden = encoder(functional.dropout(features, 0.2))
            stepper.zero_grad()
            functional.mse_loss(decoder(functional.dropout(hidden, 0.2)), features).backward()
            stepper.step()

    return round_of_steps


def bare_optimiser(spec: Optimiser, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if spec.name == "adam":
        return torch.optim.Adam(parameters, lr=spec.lr)
    return torch.optim.SGD(parameters, lr=spec.lr, momentum=spec.momentum)


SUITE: dict[str, tuple[str, int, Optimiser, dict[str, Any]]] = {
    "dec": ("dec", 0, SGD, {"update_interval": STEPS, "tolerance": 0.0}),
    "idec": ("idec", 0, ADAM, {"update_interval": STEPS, "tolerance": 0.0, "reconstruction": "mean"}),
    "pretrain": ("ae-k-means", 0, SGD, {"pretraining": "end-to-end"}),
    "layer": ("ae-k-means", 1, SGD, {}),
}
BARE: dict[str, Callable[[Tensor], Callable[[], object]]] = {
    "dec": lambda x: bare_refinement(x, False, SGD),
    "idec": lambda x: bare_refinement(x, True, ADAM),
    "pretrain": lambda x: bare_pretraining(x, SGD),
    "layer": lambda x: bare_layer(x, SGD),
}


# The two loops of one kind stand side by side, as other work on the machine moves timings of different minutes.
@pytest.mark.parametrize("loop", ["suite", "bare"])
@pytest.mark.parametrize("what", SUITE)
def test_refinement_steps(benchmark: Any, what: str, loop: str) -> None:
    name, number, optimiser, parameters = SUITE[what]
    benchmark.group = f"{STEPS} steps of {what}, 784 features"
    if loop == "suite":
        phase, context = phase_of(name, samples(), number, optimiser, **parameters)
        call = suite(phase, context, samples())
    else:
        call = BARE[what](samples())
    benchmark.pedantic(call, rounds=8, warmup_rounds=1)


@pytest.mark.parametrize("interval", [30, 10_000], ids=["interval-30", "one-target"])
def test_dec_on_usps(benchmark: Any, interval: int) -> None:
    """With targets renewed as idec2017 does on USPS, and only at the start."""
    x = samples(*USPS)
    benchmark.group = f"{USPS_EPOCHS} epochs of DEC, as large as USPS"
    phase, context = phase_of("dec", x, 0, SGD, update_interval=interval, tolerance=0.0)
    benchmark.pedantic(suite(phase, context, x, USPS_EPOCHS * -(-USPS[0] // BATCH)), rounds=3, warmup_rounds=1)


def test_clustpy_dec_on_usps(benchmark: Any) -> None:
    """With ClustPy's optimiser, Adam; its targets are those of the batch, and so never renewed."""
    deep = pytest.importorskip("clustpy.deep")
    from clustpy.deep.dec import _DEC_Module
    from clustpy.deep.neural_networks import FeedforwardAutoencoder

    x = samples(*USPS)
    network = FeedforwardAutoencoder([USPS[1], 500, 500, 2000, 10])
    module = _DEC_Module(np.random.default_rng(0).random((N_CLUSTERS, 10)), 1.0)
    stepper = torch.optim.Adam([*network.parameters(), *module.parameters()], lr=1e-4)
    loader = deep.get_dataloader(x, BATCH, shuffle=True)
    arguments = (network, loader, USPS_EPOCHS, torch.device("cpu"), stepper, deep.mean_squared_error, 1.0, 0.0)
    benchmark.group = f"{USPS_EPOCHS} epochs of DEC, as large as USPS"
    with patch("tqdm.std.tqdm.display"):  # no bars
        benchmark.pedantic(module.fit, arguments, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("spread", [1.0, 0.0], ids=["groups", "no-groups"])
def test_k_means_of_70000_embeddings(benchmark: Any, spread: float) -> None:
    """Twenty starts on overlapping groups, and where there are none, which takes the most iterations."""
    rng = np.random.default_rng(0)
    centres = spread * rng.normal(size=(N_CLUSTERS, 10))
    x = (centres[rng.integers(0, N_CLUSTERS, 70_000)] + rng.normal(size=(70_000, 10))).astype(np.float32)
    benchmark.pedantic(lambda: KMeans(N_CLUSTERS).fit(x), rounds=1)
