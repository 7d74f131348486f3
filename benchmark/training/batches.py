"""Batches: how many an epoch has, and those in which all samples are evaluated."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.spec import Phase
from benchmark.streams import Streams


def evaluation_batches(spec: Phase, n: int, streams: Streams) -> list[Tensor]:
    """Return index batches that cover all samples in one fixed, shuffled order, all of the same size.

    Where the batch size does not divide n, a last batch is filled up with samples of the one before.
    """
    size = n if spec.sampler == "full" else min(spec.batch_size, n)
    order = torch.randperm(n, generator=streams.torch("evaluation"))
    whole = order[: n - n % size]
    return [*torch.split(whole, size), *([order[-size:]] if n % size else [])]
