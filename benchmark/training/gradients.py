"""Gradients of single loss terms while a network trains, taken so that training never notices.

Whatever the passes change (running statistics, modes) is put back bit by bit, and the gradients that the optimiser
reads are not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

BATCHES = 4
"""On how many of the fixed evaluation batches gradients are taken, from the first."""


@dataclass(frozen=True)
class TermGradients:
    """By loss term its gradient (p,), float64, the mean over `batches` batches; and the term's weight in the loss."""

    gradients: Mapping[str, Tensor]
    weights: Mapping[str, float]
    batches: int


def measured_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that gradients are compared on: those of a submodule `backbone` or `encoder`, else all.

    The text of tkuco2024 says model parameters, its code takes those of the backbone (ledger C16).
    """
    part = next(
        (m for name in ("backbone", "encoder") if isinstance(m := getattr(model, name, None), nn.Module)), model
    )
    return [parameter for parameter in part.parameters() if parameter.requires_grad]


def term_gradients(
    model: nn.Module,
    terms: Callable[[Any], Mapping[str, Tensor]],
    batches: Sequence[Any],
    weights: Mapping[str, float],
) -> TermGradients:
    """Return the gradient of every unweighted term with respect to `measured_parameters(model)`.

    Batch normalisation uses the statistics of the batch, as in a training step.
    """
    parameters = measured_parameters(model)
    sums: dict[str, Tensor] = {}
    with untouched(model), torch.enable_grad():
        model.train()
        for batch in batches:
            for name, value in terms(batch).items():
                sums[name] = sums.get(name, torch.zeros((), dtype=torch.float64)) + flat_gradient(value, parameters)
    return TermGradients({name: value / len(batches) for name, value in sums.items()}, dict(weights), len(batches))


def flat_gradient(value: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return the gradient of a scalar as one vector (p,), float64, on the CPU; zero where it does not depend on any."""
    found: Sequence[Tensor | None] = [None] * len(parameters)
    if value.requires_grad:
        found = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
    parts = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
    return torch.cat([part.detach().flatten().double().cpu() for part in parts])


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Put back every buffer and the mode of every module of `model` at the end."""
    buffers = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    modes = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])
        for module, mode in modes.items():
            module.training = mode
