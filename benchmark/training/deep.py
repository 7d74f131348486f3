"""The base class of methods that train a network by phases."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.registry import METHODS
from benchmark.training.estimator import Clusterer, Found, Outcome, P
from benchmark.training.loop import phase_steps
from benchmark.training.phases import PhaseResult, RunContext, TrainingPhase
from benchmark.training.stepping import Step

M = TypeVar("M", bound=nn.Module)


class DeepClusterer(Clusterer[P], Generic[P, M]):
    """A method that trains a network by phases: subclasses say `build`, `phases` and `assign`.

    They are written ``class Mine(DeepClusterer[MyParams, MyNetwork])``, so that type checkers know both.
    """

    model_: M

    def build(self, params: P, shape: tuple[int, ...], context: RunContext) -> M:
        """Return the initialised network for samples of `shape`."""
        raise TypeError(f"{type(self).__name__} does not say what network it builds.")

    def phases(self, model: M, params: P, x: Tensor, context: RunContext) -> Iterable[TrainingPhase]:
        """Return the training phases, in order; one may be made when those before it have trained the model.

        Those of a pre-training are not among them: it is done when this is called.
        """
        raise TypeError(f"{type(self).__name__} does not say how it trains.")

    def assign(self, model: M, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the soft assignments (b, k) and the embedding (b, d) of a batch."""
        raise TypeError(f"{type(self).__name__} does not say how it assigns.")

    def steps(self, x: np.ndarray, params: P, context: RunContext) -> Generator[Step, None, Found]:
        """Build the network, yield the steps of its phases, and keep the network in `model_`."""
        samples = self._samples(x, context.device)
        model = self.build(params, tuple(x.shape[1:]), context)
        if samples.ndim == 4:
            model = model.to(context.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        else:
            model = model.to(context.device)
        if self.pretrained_by:
            yield from self._pretraining(model, params, samples, context)
        results: list[PhaseResult] = []
        for phase in self.phases(model, params, samples, context):
            results.append((yield from phase_steps(phase, samples, context)))
        self.model_ = model.eval()
        return self.found(samples, params, context, results)

    def _pretraining(self, model: M, params: P, samples: Tensor, context: RunContext) -> Generator[Step, None, None]:
        """Take over the weights of the run that this one starts from; where there is none, make its phases here.

        Losses, epochs and steps of these phases are not those of the fit.
        """
        if context.parent is not None:
            take_over(model, context.parent)
            return
        known = self.pretraining_params(params)
        for phase in METHODS[self.pretrained_by](known.n_clusters).phases(model, known, samples, context):
            yield from phase_steps(phase, samples, context)

    def found(self, samples: Tensor, params: P, context: RunContext, results: list[PhaseResult]) -> Found:
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


def take_over(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put the weights of another network into the parts of `model` of the same names.

    Raises
    ------
    RuntimeError
        Where `model` lacks one of them, or has it in another shape.
    """
    missing = weights.keys() - model.state_dict().keys()
    if missing:
        raise RuntimeError(f"the network has no {', '.join(sorted(missing))}, which the weights to start from have.")
    model.load_state_dict(dict(weights), strict=False)


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
