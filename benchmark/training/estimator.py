"""The base classes of methods: scikit-learn estimators that the harness can drive.

A method declares its parameters once, in a frozen model `Params`; its constructor follows from it, with `n_clusters`
first and the rest by keyword. It builds no optimiser, loop, seed or file.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, cast

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from benchmark.errors import UsageError
from benchmark.registry import METHODS
from benchmark.spec import Protocol, validated
from benchmark.training.arguments import (
    ClusterParams,
    CommonArguments,
    adapted,
    arguments_of,
    callbacks_of,
    computing_with,
    constructor,
    device_named,
    streams_of,
)
from benchmark.training.engines.capture import take_all
from benchmark.training.following import Follower
from benchmark.training.generators import taking_turns
from benchmark.training.keeping import load_estimator, save_estimator
from benchmark.training.numeric import numeric_mode
from benchmark.training.phases import Degenerate, Diverged, Outcome, RunContext, with_named_phases
from benchmark.training.samples import as_lengths, as_samples, check_scale, far_outside, other_shape
from benchmark.training.stepping import Step
from benchmark.training.weights import Misfit, weights_of

if TYPE_CHECKING:
    import pandas as pd


class CollapseWarning(UserWarning):
    """A fit ended with all samples in one cluster."""


Found = tuple[np.ndarray, np.ndarray, Outcome]
"""What a fit finds: labels (n,), embedding (n, d), and the outcome."""

Fitting = Generator[Step, None, None]
"""A fit that stops before each of its steps, which whoever runs it takes."""

P = TypeVar("P", bound=ClusterParams)


class Clusterer(ClusterMixin, BaseEstimator, Generic[P]):
    """A clustering method with scikit-learn's conventions: get_params, clone, fit_predict, labels_, embedding_.

    Parameters
    ----------
    protocol : benchmark.spec.Protocol, optional
        The training phases, by default those of the paper.
    epochs, pretrain_epochs : int, optional
        The budgets of the phases: `pretrain_epochs` of every phase of pre-training, `epochs` of every other one, or of
        all where a method only pre-trains. They replace budgets in epochs and in steps. Methods that have no such phase
        are left as they are.
    batch_size : int, optional
        Samples in a batch, in every phase.
    learning_rate : float, optional
        The learning rate of the phases whose budget is `epochs`.
    pretrained : fitted estimator, mapping of names to tensors, or path, optional
        Weights to start from, in place of a pre-training: what `save` or a run of the suite wrote, a `state_dict`, or a
        fitted estimator with the same network.
    random_state : int, None, numpy RandomState or Generator, or benchmark.streams.Streams
        An integer is the replicate index. The others are drawn from, at each fit.
    device : str or torch.device
        "cpu", "cuda", "cuda:1", "mps". On CUDA a fit computes in IEEE float32 with deterministic algorithms, as runs of
        the suite do; what the process has set for others is put back.
    threads : int, optional
        Threads on the CPU while fitting and predicting, put back afterwards; by default as many as torch has now. The
        number belongs to the seed: sums of other parts round differently, so that one and two threads give other labels
        for the same `random_state`. With `threads=1` a fit gives the same bits on a machine whatever its number of
        cores, and those of a run of the suite.
    callbacks : callable or sequence of callables, optional
        Called with the snapshot of each evaluation (`benchmark.training.Snapshot`), whose values are copies.
    verbose : int
        1 prints phase, epoch, loss and the time left now and then, 2 at every evaluation.

    Attributes
    ----------
    labels_ : array of int, shape (n,)
    embedding_ : array, shape (n, d)
    history_ : pandas.DataFrame
        One row for each evaluation: phase, step, epoch, loss, each unweighted term, and the number of clusters in use.
        Not of runs of the suite, whose records have it.
    outcome_ : Outcome
        Losses of the kept and the last weights, epochs and steps of the method's own phases.

    Notes
    -----
    `pretrained_by` names the method whose weights are taken over before this one's own phases begin: its pre-training.
    In the harness that is a run of its own, shared by all that start from it; a fit without it makes the phases of that
    method itself, and gives the same numbers. `pretraining_phases` are those among a method's own that only prepare;
    `scaled` says that samples are to be near [-1, 1]. `home` says which cell the defaults are those of, under the paper
    reading: ``("PAPER/TABLE", "COLUMN")``.
    """

    Params: ClassVar[type[ClusterParams]] = ClusterParams
    default_protocol: ClassVar[Protocol] = Protocol()
    method_name: ClassVar[str] = ""
    pretrained_by: ClassVar[str] = ""
    home: ClassVar[tuple[str, str] | None] = None
    pretraining_phases: ClassVar[tuple[str, ...]] = ()
    scaled: ClassVar[bool] = False
    labels_: np.ndarray
    embedding_: np.ndarray
    history_: pd.DataFrame
    outcome_: Outcome
    sample_shape_: tuple[int, ...]
    device_: torch.device

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Derive the constructor of the subclass from its parameters."""
        super().__init_subclass__(**kwargs)
        _refuse_idle_pretraining(cls)
        if "Params" in cls.__dict__ or "__init__" not in vars(cls):
            cls.__init__ = constructor(cls.Params)  # type: ignore[method-assign]

    def __sklearn_clone__(self) -> Self:
        """Return an unfitted copy; weights to start from and callbacks are those of the original, not copies."""
        copied: Self = super().__sklearn_clone__()
        for name in ("pretrained", "callbacks"):
            setattr(copied, name, getattr(self, name))
        return copied

    def fit(self, X: Any, y: Any = None, *, lengths: Any = None, run: RunContext | None = None) -> Self:
        """Cluster the samples `X` (n, ...); `y` is ignored.

        Images have the shape (n, channels, height, width), vectors (n, d), sequences (n, steps, values); values are
        near [-1, 1]. `lengths` (n,) are the numbers of steps of sequences that are padded with zeros.

        Raises
        ------
        ValueError
            For parameters out of range, samples that are no numbers, not finite or not scaled, fewer samples than
            clusters or than a batch, and shapes that the network cannot take: one sentence with the mend. In a `run`,
            what is the protocol's fault is a UsageError.
        Diverged
            Where the loss becomes NaN or infinite.
        """
        try:
            with self._computing() if run is None else nullcontext():
                take_all(self.fitting(X, lengths=lengths, run=run))
        except (UsageError, Misfit) as error:
            if run is not None:
                raise
            raise ValueError(str(error)) from None
        return self

    def fitting(self, X: Any, *, lengths: Any = None, run: RunContext | None = None) -> Fitting:
        """Fit as `fit` does, but stop before each step: whoever iterates takes it, and then asks for the next.

        Fits may take turns in one process; each finds the global generators of torch as if it were alone.
        """
        params = self.checked_params()
        name = self.method_name or type(self).__name__
        follower = Follower(name, self._common().verbose) if run is None else None
        context = with_named_phases(run or self._standalone(follower), name)
        x = as_samples(X, params.n_clusters)
        if run is None:
            self._check_alone(X, x)
        if lengths is not None:
            context = replace(context, lengths=as_lengths(lengths, x, context.device))
        try:
            self.labels_, embedding, self.outcome_ = yield from taking_turns(self.steps(x, params, context), context)
        except (Diverged, Degenerate) as error:
            if run is None and (far := far_outside(x)):
                raise ValueError(f"{str(error).rstrip('.')}: {far}") from error
            raise
        # What is the caller's may change later.
        self.embedding_ = embedding.copy() if np.may_share_memory(embedding, x) else embedding
        self.n_features_in_ = int(np.prod(x.shape[1:]))
        self.sample_shape_, self.device_ = x.shape[1:], context.device
        if follower is not None:
            self.history_ = follower.history()
            self._warn_of_collapse(x)

    def steps(self, x: np.ndarray, params: P, context: RunContext) -> Generator[Step, None, Found]:
        """Yield each step of a fit when it is due, and return what it found; a method without phases has none."""
        if context.parent is not None:
            raise UsageError(f"{type(self).__name__} trains no network, so that there is none to be pretrained.")
        yield from ()
        return self.cluster(x, params, context)

    def cluster(self, x: np.ndarray, params: P, context: RunContext) -> Found:
        """Return labels (n,), embedding (n, d) and the outcome of one run on the samples `x` (n, ...), float32."""
        raise TypeError(f"{type(self).__name__} does not say how it clusters.")

    @classmethod
    def before(cls) -> tuple[str, ...]:
        """Return the names of the phases of the method that this one is `pretrained_by`."""
        return tuple(METHODS[cls.pretrained_by].default_protocol.phases) if cls.pretrained_by else ()

    @classmethod
    def own_phases(cls, params: Any) -> tuple[str, ...]:
        """Return the names of the phases that a run with `params` has beside those of its pre-training, in order."""
        before = cls.before()
        return tuple(name for name in cls.default_protocol.phases if name not in before)

    @classmethod
    def phases_used(cls, params: Any) -> tuple[str, ...]:
        """Return the names of all phases of the protocol that a run with `params` has, its pre-training's first."""
        if not cls.pretrained_by:
            return cls.own_phases(params)
        before: tuple[str, ...] = METHODS[cls.pretrained_by].phases_used(cls.pretraining_params(params))
        return (*before, *cls.own_phases(params))

    @classmethod
    def pretraining_params(cls, params: Any) -> Any:
        """Return the parameters of the pre-training: those of this method that the other one knows, too."""
        method = METHODS[cls.pretrained_by]
        values = {field: getattr(params, field) for field in method.Params.model_fields if hasattr(params, field)}
        return validated(method.Params, values, cls.pretrained_by)

    def checked_params(self) -> P:
        """Return the validated parameters, an instance of `Params`; raise UsageError for a wrong one."""
        values = {name: getattr(self, name) for name in self.Params.model_fields}
        return cast(P, validated(self.Params, values, self.method_name or type(self).__name__))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted estimator to one safetensors file, without pickle; `load` reads it.

        Callbacks and the device are not kept. ValueError where something of it is no data, such as a function that
        makes the network; NotFittedError before `fit`.
        """
        check_is_fitted(self, "labels_")
        try:
            save_estimator(self, path)
        except UsageError as error:
            raise ValueError(str(error)) from None

    @classmethod
    def load(cls, path: str | PathLike[str], *, device: str | torch.device = "cpu") -> Self:
        """Return the estimator that `save` wrote, fitted, on a device; on `Clusterer`, whatever method it is.

        Raises
        ------
        ValueError
            Where the file is damaged, no such file, or of another method.
        """
        try:
            return cast(Self, load_estimator(cls, path, device))
        except UsageError as error:
            raise ValueError(str(error)) from None

    def _new_samples(self, X: Any) -> np.ndarray:
        """Return new samples (n, ...) as float32; NotFittedError before fit, ValueError for another shape."""
        check_is_fitted(self, "labels_")
        x = as_samples(X, 1)
        if x.shape[1:] != self.sample_shape_:
            raise ValueError(other_shape(x, self.sample_shape_, type(self).__name__))
        self._check_alone(X, x, reset=False)
        return x

    def _check_alone(self, X: Any, x: np.ndarray, reset: bool = True) -> None:
        """Refuse samples that are not scaled; remember the names of columns, or compare them with those of the fit."""
        if self.scaled:
            check_scale(X, x)
        if x.ndim == 2:
            validate_data(self, X, reset=reset, skip_check_array=True)

    def _warn_of_collapse(self, x: np.ndarray) -> None:
        if len(np.unique(self.labels_)) == 1:
            text = f"the fit of {type(self).__name__} collapsed: all {len(x)} samples are in one cluster"
            far = far_outside(x) if self.scaled else ""
            mend = far or "try another random_state, a lower learning_rate or more epochs."
            warnings.warn(f"{text}; {mend}", CollapseWarning, stacklevel=5)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Compute with the threads and in the numeric mode that were asked for; a run of the suite has its own."""
        common = self._common()
        with computing_with(common.threads), numeric_mode(device_named(common.device), self._precision):
            yield

    @property
    def _precision(self) -> str:
        """What the parameters declare of how floats are computed with."""
        return str(getattr(self, "precision", "float32"))

    def _common(self) -> CommonArguments:
        values = {name: getattr(self, name) for name in arguments_of(self.Params)}
        return validated(CommonArguments, values, self.method_name or type(self).__name__)

    def _standalone(self, follower: Follower | None = None) -> RunContext:
        """Return what the arguments come to where no harness gives it: streams, protocol, device and observers."""
        common = self._common()
        protocol = adapted(common.protocol or self.default_protocol, common, (*self.before(), *self.pretraining_phases))
        observers: tuple[Callable[[Any], None], ...] = callbacks_of(common.callbacks)
        return RunContext(
            streams_of(common.random_state),
            protocol,
            device_named(common.device),
            (follower, *observers) if follower else observers,
            follower.progress if follower else None,
            parent=weights_of(common.pretrained),
        )


def _refuse_idle_pretraining(cls: type[Clusterer[Any]]) -> None:
    """Raise UsageError for a method that names a pre-training and has nothing that takes its weights over."""
    if cls.pretrained_by and cls.cluster is not Clusterer.cluster and cls.steps is Clusterer.steps:
        raise UsageError(
            f"{cls.__name__} is pretrained_by {cls.pretrained_by!r}, but says only `cluster`, and has no network that "
            "takes the weights over: derive it from DeepClusterer and say build, phases and assign, or leave "
            "pretrained_by out."
        )
