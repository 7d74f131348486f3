"""The base class of methods that train a network by phases."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.metaestimators import available_if
from torch import Tensor, nn

from benchmark.registry import METHODS
from benchmark.training.arguments import computing_with
from benchmark.training.estimator import Clusterer, Found, P
from benchmark.training.loop import phase_steps
from benchmark.training.numeric import numeric_mode
from benchmark.training.phases import Outcome, PhaseResult, RunContext, TrainingPhase
from benchmark.training.stepping import Step
from benchmark.training.weights import take_over

M = TypeVar("M", bound=nn.Module)


def _is_soft(estimator: Any) -> bool:
    return bool(estimator.soft)


class DeepClusterer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Clusterer[P], Generic[P, M]):
    """A method that trains a network by phases: subclasses say `build`, `phases` and `assign`.

    They are written ``class Mine(DeepClusterer[MyParams, MyNetwork])``, so that type checkers know both. A method whose
    assignments say no more than labels is not `soft`, and has no `predict_proba`.
    """

    scaled = True
    soft: ClassVar[bool] = True
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
        model = self.placed(model, samples.ndim, context.device)
        if context.parent is not None:
            take_over(model, context.parent)
        elif self.pretrained_by:
            yield from self._pretraining(model, params, samples, context)
        results: list[PhaseResult] = []
        for phase in self.phases(model, params, samples, context):
            results.append((yield from phase_steps(phase, samples, context)))
        self.model_ = model.eval()
        return self.found(samples, params, context, results)

    def placed(self, model: M, dimensions: int, device: torch.device) -> M:
        """Return the network on a device, laid out for samples of so many dimensions, as every fit has it."""
        if dimensions == 4:
            placed: M = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            return placed
        return model.to(device)

    def _pretraining(self, model: M, params: P, samples: Tensor, context: RunContext) -> Generator[Step, None, None]:
        """Make the phases of the run that this one would start from; the outcome of the fit is without them."""
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
        """Return the hard assignments (n,) of new samples `X` (n, ...), by the weights of the fit.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            For samples of another shape than those of the fit, and for those that `fit` refuses.
        """
        labels: np.ndarray = self._seen(X)[0].argmax(axis=1)
        return labels

    @available_if(_is_soft)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the soft assignments (n, k) of new samples, rows of which sum to one; errors as in `predict`."""
        return self._seen(X)[0]

    def transform(self, X: Any) -> np.ndarray:
        """Return the embedding (n, d) of new samples; errors as in `predict`."""
        return self._seen(X)[1]

    def fit_transform(self, X: Any, y: Any = None, **arguments: Any) -> np.ndarray:
        """Fit, and return the embedding (n, d) of the samples: `fit(X, **arguments).embedding_`."""
        return self.fit(X, y, **arguments).embedding_

    def _seen(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        samples = self._samples(self._new_samples(X), self.device_)
        precision = self._precision if self.device_.type == "cuda" else "float32"
        with computing_with(self._common().threads), numeric_mode(self.device_, precision):
            return self._embed(samples)

    @property
    def _n_features_out(self) -> int:
        """How many columns `transform` has, for `set_output`."""
        return int(self.embedding_.shape[1])

    def __sklearn_tags__(self) -> Any:
        """Say that what comes out is float32, whatever goes in."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

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
