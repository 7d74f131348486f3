"""A method of a plug-in with a term that takes labels, and an observer that needs labels; each says where it is.

Imported by processes of runs, too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.plugins import Observer
from benchmark.registry import register_method, register_observer
from benchmark.training import ClusterParams, RunContext, TrainingPhase
from tests.support.wavering import Wavering


class WitnessParams(ClusterParams):
    folder: str = ""


@register_method("witness")
class Witness(Wavering):
    """Writes its process id into the folder before its last phase, and waits there for a file `go`."""

    Params = WitnessParams

    def phases(self, model: Any, params: Any, x: Tensor, context: RunContext) -> Iterator[TrainingPhase]:
        """Yield the phases."""
        for phase in super().phases(model, params, x, context):
            if phase.name == "train" and params.folder:
                Path(params.folder, "pid").write_text(str(os.getpid()))
                deadline = time.monotonic() + 120
                while not Path(params.folder, "go").exists() and time.monotonic() < deadline:
                    time.sleep(0.02)
            yield phase

    def supervised_term(self, model: Any, batch: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch against one-hot targets (b, k)."""
        return (model["head"](model["encoder"](batch.flatten(1))).softmax(1) - target).square().mean()


def weighted(y: Any) -> float:
    """Return a number that tells labels (n,) from others."""
    return float(np.asarray(y, dtype=np.float64) @ np.arange(len(y)))


def _see(snapshot: Any, estimator: Any, data: Any) -> dict[str, float]:
    if Path(getattr(estimator, "folder", ""), "raise").is_file():
        raise ValueError("the observer's own fault")
    if Path(getattr(estimator, "folder", ""), "leave").is_file():
        os._exit(7)
    with torch.no_grad():
        weight = float(sum(parameter.abs().sum() for parameter in snapshot.model().parameters()))
    return {"seen:process": float(os.getpid()), "seen:labels": weighted(data.y), "seen:weight": weight}


register_observer(Observer("witness-sees", "where labels and weights are seen", ("seen",), _see, labels=True))
