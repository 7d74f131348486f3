"""The base class of methods that train a network by phases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.training.estimator import Clusterer, Outcome
from benchmark.training.loop import run_phase
from benchmark.training.phases import PhaseResult, RunContext, TrainingPhase


class DeepClusterer(Clusterer):
    """A method that trains a network by phases: subclasses say `build`, `phases` and `assign`."""

    model_: nn.Module

    def build(self, params: Any, shape: tuple[int, ...], context: RunContext) -> nn.Module:
        """Return the initialised network for samples of `shape`."""
        raise TypeError(f"{type(self).__name__} does not say what network it builds.")

    def phases(self, model: nn.Module, params: Any, x: Tensor, context: RunContext) -> Iterable[TrainingPhase]:
        """Return the training phases, in order; one may be made when those before it have trained the model.

        Where the context holds weights of a parent run, they are put into the model instead of its phases.
        """
        raise TypeError(f"{type(self).__name__} does not say how it trains.")

    def assign(self, model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the soft assignments (b, k) and the embedding (b, d) of a batch."""
        raise TypeError(f"{type(self).__name__} does not say how it assigns.")

    def cluster(self, x: np.ndarray, params: Any, context: RunContext) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Build the network, run the phases, and keep the network in `model_`."""
        samples = self._samples(x, context.device)
        model = self.build(params, tuple(x.shape[1:]), context)
        if samples.ndim == 4:
            model = model.to(context.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        else:
            model = model.to(context.device)
        results: list[tuple[bool, PhaseResult]] = []
        for phase in self.phases(model, params, samples, context):
            results.append((phase.pretraining, run_phase(phase, samples, context)))
        self.model_ = model.eval()
        return self.found(samples, params, context, [result for pretraining, result in results if not pretraining])

    def found(
        self, samples: Tensor, params: Any, context: RunContext, results: list[PhaseResult]
    ) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Return labels (n,), embedding (n, d) and outcome, after phases that ended with `results`."""
        assignments = results[-1].kept.assignments
        if assignments is None:
            raise TypeError(f"{type(self).__name__} ends with a phase that forms no clusters.")
        return assignments, self._embed(samples)[1], outcome_of(results)

    def predict(self, X: Any) -> np.ndarray:
        """Return the hard assignments (n,) of new samples."""
        soft, _ = self._embed(self._samples(self._new_samples(X), self.device_))
        labels: np.ndarray = soft.argmax(axis=1)
        return labels

    def transform(self, X: Any) -> np.ndarray:
        """Return the embedding (n, d) of new samples."""
        return self._embed(self._samples(self._new_samples(X), self.device_))[1]

    def _samples(self, x: np.ndarray, device: torch.device) -> Tensor:
        # Torch warns of read-only arrays (such as memory maps), though nothing here writes into samples.
        samples = torch.from_numpy(x if x.flags.writeable else x.copy()).to(device)
        return samples.contiguous(memory_format=torch.channels_last) if samples.ndim == 4 else samples

    def _embed(self, samples: Tensor, size: int = 256) -> tuple[np.ndarray, np.ndarray]:
        columns: list[Tensor] = []
        with torch.no_grad():
            for start, batch in zip(range(0, len(samples), size), torch.split(samples, size), strict=True):
                for number, found in enumerate(self.assign(self.model_, batch)):
                    if start == 0:
                        columns.append(found.new_empty((len(samples), *found.shape[1:])))
                    columns[number][start : start + size] = found
        soft, embedding = (column.cpu().numpy() for column in columns)
        return soft, embedding


def outcome_of(results: list[PhaseResult]) -> Outcome:
    """Return the outcome of a fit whose phases ended with `results`: its losses are those of the last."""
    last = results[-1]
    return Outcome(
        last.kept.total,
        last.last.total,
        dict(last.kept.terms),
        results[0].first_losses,
        sum(result.epochs for result in results),
        sum(result.steps for result in results),
    )
