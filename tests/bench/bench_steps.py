"""Training steps of every method on images, through the suite's own loop, and beside plain forms of two of them.

A step is forward, backward, clipping and Adam on a batch of 120. One round is `STEPS` steps from a call of `run_phase`;
evaluation is replaced by a constant.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmark.registry import METHODS, load_plugins
from benchmark.spec import Budget
from benchmark.streams import Streams
from benchmark.training import Batch, DeepClusterer, RunContext, Terms, TrainingPhase, run_phase
from datasets.digits import DIGITS
from methods import DDC, DDCUCOT, KMeans
from tests.support.plain_kernels import plain_eigh_distances

STEPS = 2
BATCH = 120
N_CLUSTERS = 10
BEFORE_POOL = ("block1_conv2", "block2_pool")
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""Options of glibc's mallopt."""

load_plugins()
DEEP = [name for name, method in METHODS.items() if issubclass(method, DeepClusterer)]
ON_IMAGES = [name for name in DEEP if METHODS[name](N_CLUSTERS).get_params().get("network") == "cnn-small"]
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in ON_IMAGES},
    "before-pool": ("ddc-uco-t", {"taps": BEFORE_POOL}),
    "few-pairs": ("ddc-uco-t", {"negligible_weight": 1e-8}),
    "few-pairs-before-pool": ("ddc-uco-t", {"negligible_weight": 1e-8, "taps": BEFORE_POOL}),
    "bf16": ("ddc", {"precision": "bf16"}),
}


class PlainTensorKernel(DDCUCOT):
    """DDC-UCO_T with the plain form of its kernel."""

    def block_distances(self, tap: Tensor, params: Any) -> Tensor:
        return plain_eigh_distances(tap)


@cache
def images() -> Tensor:
    """Return five batches of 28x28 digits in [-1, 1], with a noise of 0.01.

    Without noise, flat backgrounds give equal eigenvalues, for which the plain form has no finite gradient.
    """
    x = torch.from_numpy(DIGITS.load().prepare(("symmetric",), 5 * BATCH).x.copy())
    return x + 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


def built(method: type[DeepClusterer], **parameters: Any) -> tuple[nn.Module, TrainingPhase, RunContext]:
    """Return the network in contiguous format, its last training phase and the context, as `fit` makes them.

    Refinement starts from an untrained network.
    """
    estimator = method(N_CLUSTERS, **parameters)
    params = estimator.checked_params()
    context = RunContext(Streams("digits", 0), method.default_protocol)
    model = estimator.build(params, tuple(images().shape[1:]), context)
    *_, last = estimator.phases(model, params, images(), context)
    return model, last, context


def steps_of(method: type[DeepClusterer], **parameters: Any) -> Callable[[], object]:
    """Return a call that trains for `STEPS` steps, going on with the weights of the call before."""
    model, phase, context = built(method, **parameters)
    model.to(memory_format=torch.channels_last)
    x = images().contiguous(memory_format=torch.channels_last)
    term = next(iter(phase.objectives[0].weights))
    budget = Budget(unit="steps", amount=STEPS)
    values = {"budget": budget, "evaluate_every": STEPS, "batch_size": BATCH, "keep": "last", "patience": None}

    def forward(model: nn.Module, batch: Batch) -> tuple[Terms, Tensor | None]:
        if model.training:
            return phase.forward(model, batch)
        return {term: torch.zeros(())}, torch.zeros(len(batch.x), N_CLUSTERS)

    short = replace(phase, spec=phase.spec.model_copy(update=values), forward=forward)
    return lambda: run_phase(short, x, context)


def endless(loader: DataLoader[Any]) -> Iterator[Tensor]:
    while True:
        for (x,) in loader:
            yield x


@pytest.mark.parametrize("variant", VARIANTS)
def test_step(benchmark: Any, variant: str) -> None:
    name, parameters = VARIANTS[variant]
    benchmark.group = f"{STEPS} steps"
    benchmark.pedantic(steps_of(METHODS[name], **parameters), rounds=8, warmup_rounds=1)


def test_plain_ddc_step(benchmark: Any) -> None:
    """The same losses in a loop as in a tutorial: contiguous format, loader, clipping in turn, loss to the host."""
    model, phase, _ = built(DDC)
    objective = phase.objectives[0]
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7)
    dataset = TensorDataset(images())
    batches = endless(DataLoader(dataset, BATCH, shuffle=True, generator=torch.Generator().manual_seed(0)))

    losses: list[float] = []

    def steps() -> None:
        for _ in range(STEPS):
            x = next(batches)
            model.train()
            optimiser.zero_grad()
            total = objective.total(phase.forward(model, Batch(x, torch.arange(len(x))))[0])
            total.backward()
            for parameter in model.parameters():
                nn.utils.clip_grad_norm_(parameter, 10.0)
            optimiser.step()
            losses.append(total.item())

    benchmark.group = f"{STEPS} steps"
    benchmark.pedantic(steps, rounds=8, warmup_rounds=1)


@pytest.mark.parametrize("variant", ["ddc-uco-t", "before-pool"])
def test_plain_eigh_step(benchmark: Any, variant: str) -> None:
    benchmark.group = f"{STEPS} steps"
    benchmark.pedantic(steps_of(PlainTensorKernel, **VARIANTS[variant][1]), rounds=4)


@pytest.fixture
def tuned_malloc() -> Iterator[None]:
    """Let malloc keep large blocks, which spares the plain form most of its page faults; skip without glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        pytest.skip("only glibc's malloc can be tuned")
    for option in (MMAP_THRESHOLD, TRIM_THRESHOLD):
        mallopt(option, 2**30)
    yield
    for option in (MMAP_THRESHOLD, TRIM_THRESHOLD):
        mallopt(option, 2**17)


@pytest.mark.usefixtures("tuned_malloc")
@pytest.mark.parametrize("variant", ["ddc-uco-t", "before-pool"])
def test_plain_eigh_step_with_tuned_malloc(benchmark: Any, variant: str) -> None:
    benchmark.group = f"{STEPS} steps"
    benchmark.pedantic(steps_of(PlainTensorKernel, **VARIANTS[variant][1]), rounds=4, warmup_rounds=1)


def test_k_means_of_1797_images(benchmark: Any) -> None:
    x = DIGITS.load().x
    benchmark.pedantic(lambda: KMeans(N_CLUSTERS).fit(x), rounds=3)
