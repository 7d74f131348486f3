"""Conflicted and unconflicted samples, as DynAE tells them apart, and the thresholds that do, falling step by step."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

Schedule = Literal["fixed", "geometric", "late"]


def unconflicted(assignments: Tensor, thresholds: Tensor, edge: Literal["inclusive", "exclusive"]) -> Tensor:
    """Return which samples are sure of their cluster (n,): dynae2022 Eq. 8.

    The largest assignment is at least the first threshold, and exceeds the second largest by at least the second;
    with the edge "exclusive", by more than each, as the code has it.

    >>> import torch
    >>> q = torch.tensor([[0.5, 0.3, 0.2], [0.5, 0.4, 0.1], [0.4, 0.3, 0.3]], dtype=torch.float64)
    >>> unconflicted(q, torch.tensor([0.5, 0.15], dtype=torch.float64), "inclusive").tolist()
    [True, False, False]
    """
    largest = assignments.topk(2, dim=1).values
    sure, apart = largest[:, 0] - thresholds[0], largest[:, 0] - largest[:, 1] - thresholds[1]
    return (sure >= 0) & (apart >= 0) if edge == "inclusive" else (sure > 0) & (apart > 0)


def thresholds_after(drops: int, share: float, drop: float, schedule: Schedule) -> tuple[float, float]:
    """Return both thresholds after so many drops (dynae2022 section 4.2.1, Algorithm 1; ledger Y2).

    The first starts at `share`, which is kappa / K, the second at half of it. Every drop takes the same from both:
    `drop` times `share` with the schedule "fixed"; a size that itself shrinks by the factor `drop` at each drop with
    "geometric"; and with "late" the same one drop later, as the code has it.

    >>> [round(thresholds_after(n, 0.3, 0.3, "fixed")[0], 4) for n in range(4)]
    [0.3, 0.21, 0.12, 0.03]
    >>> [round(thresholds_after(n, 0.3, 0.3, "geometric")[0], 4) for n in range(5)]
    [0.3, 0.21, 0.183, 0.1749, 0.1725]
    >>> [round(thresholds_after(n, 0.3, 0.3, "late")[0], 4) for n in range(5)]
    [0.3, 0.21, 0.12, 0.093, 0.0849]
    """
    late = {"fixed": drops, "geometric": 0, "late": 1}[schedule]
    fallen = sum(share * drop * drop ** max(0, number - late) for number in range(drops))
    return share - fallen, share / 2 - fallen
