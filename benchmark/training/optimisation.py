"""Optimisers by name, and gradient clipping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from benchmark.spec import Clip, Optimiser

NO_STEP = 1e-30
"""Stands for step 0 of a burn-in: with a momentum of exactly 0, torch would not keep the velocity of that step."""


def clip_gradients(parameters: Sequence[nn.Parameter], clip: Clip) -> None:
    """Scale gradients in place to at most `clip.norm`: each tensor alone, or all together. No host synchronisation."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if clip.kind == "none" or not gradients:
        return
    norms = torch.stack(list(torch._foreach_norm(gradients)))
    if clip.kind == "global":
        norms = torch.linalg.vector_norm(norms).expand_as(norms)
    scales = (clip.norm / norms.clamp_min(clip.norm)).unbind()
    torch._foreach_mul_(gradients, list(scales))


def build_optimiser(spec: Optimiser, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimiser that `spec` names; where rates differ, biases are a group of their own.

    On CUDA, Adam counts its steps on the device, also where nothing is captured: else a captured step had other bits.
    """
    groups: list[dict[str, Any]] = [{"params": list(parameters)}]
    if spec.bias_rate != 1:
        biases = [p for p in parameters if p.ndim <= 1]
        groups = [{"params": [p for p in parameters if p.ndim > 1]}, {"params": biases, "rate": spec.bias_rate}]
        groups = [group for group in groups if group["params"]]
    if spec.name == "adam":
        built: torch.optim.Optimizer = torch.optim.Adam(
            groups,
            lr=spec.lr,
            betas=(spec.beta1, spec.beta2),
            eps=spec.eps,
            capturable=any(p.is_cuda for p in parameters),
        )
    else:
        built = torch.optim.SGD(groups, lr=spec.lr, momentum=spec.momentum)
    for group in built.param_groups:
        group["lr"] = spec.lr * group.get("rate", 1.0)
    return built


def set_learning_rate(optimiser: torch.optim.Optimizer, spec: Optimiser, step: int) -> None:
    """Give `optimiser` the learning rate and the momentum of a step, counted from 0."""
    if spec.decay_every:
        for group in optimiser.param_groups:
            group["lr"] = spec.lr * group.get("rate", 1.0) * spec.decay ** (step // spec.decay_every)
    if spec.name == "sgd" and spec.momentum_burnin:
        share = min(1.0, max(step, NO_STEP) / spec.momentum_burnin)
        for group in optimiser.param_groups:
            group["momentum"] = spec.momentum * share
