"""Optimisers by name, and gradient clipping."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from benchmark.spec import Clip, Optimiser


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
    """Return the optimiser that `spec` names."""
    if spec.name == "adam":
        return torch.optim.Adam(parameters, lr=spec.lr, betas=(spec.beta1, spec.beta2), eps=spec.eps)
    return torch.optim.SGD(parameters, lr=spec.lr, momentum=spec.momentum)


def set_learning_rate(optimiser: torch.optim.Optimizer, spec: Optimiser, step: int) -> None:
    """Give `optimiser` the learning rate of a step, counted from 0: times `decay` after every `decay_every` steps."""
    if spec.decay_every:
        for group in optimiser.param_groups:
            group["lr"] = spec.lr * spec.decay ** (step // spec.decay_every)
