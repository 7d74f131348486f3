"""The observer of kernels: what the kernel matrix of each block shows of the classes, at every evaluation."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.measure.kernels import contrasts, normalised_distance
from benchmark.registry import LoadedData
from benchmark.training.phases import Snapshot

SAMPLES = 1024
"""On how many samples kernels are taken, drawn without labels (dtkc2019 section 17.3)."""


ONE_KERNEL = {"transpose": True, "projector_form": "projector"}
"""How matricisations are compared here, whatever a reading says of companions (ledger K3, K14): as dtkc2019 section 12
has it. A model without companions does not say how, so that in the code reading two models had two kernels."""


def chosen_samples(n: int) -> np.ndarray:
    """Return which of n samples kernels are taken on, the same in every run."""
    found: np.ndarray = np.sort(np.random.default_rng(0).permutation(n)[:SAMPLES])
    return found


def kernels_of(estimator: Any, model: nn.Module, data: LoadedData) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the kernel (m, m) of each block on the chosen samples, and the class of each (m,).

    By `block_kernels(model, x)`, the hook of a method; none where it has no such hook. Models with and without
    companions are measured by one kernel (`ONE_KERNEL`).
    """
    index = chosen_samples(len(data.x))
    if not hasattr(estimator, "block_kernels"):
        return [], np.asarray(data.y)[index]
    known = estimator.get_params(deep=False)
    estimator = copy.copy(estimator).set_params(**{name: value for name, value in ONE_KERNEL.items() if name in known})
    device = next(model.parameters()).device
    x = torch.from_numpy(np.array(np.asarray(data.x)[index], dtype=np.float32)).to(device)
    with torch.no_grad():
        found: list[Tensor] = estimator.block_kernels(model.eval(), x)
    return [kernel.double().cpu().numpy() for kernel in found], np.asarray(data.y)[index]


def record_kernels(snapshot: Snapshot, estimator: Any, data: LoadedData) -> dict[str, float]:
    """Return d_NF from the perfect kernel, and the contrast of classes, of every block."""
    if snapshot.model is None or snapshot.assignments is None:
        return {}
    kernels, classes = kernels_of(estimator, snapshot.model(), data)
    found = {}
    for number, kernel in enumerate(kernels, start=1):
        found[f"kernel_distance_{number}"] = normalised_distance(kernel, classes)
        found[f"kernel_contrast_{number}"] = float(np.nanmean(contrasts(kernel, classes)))
    return found
