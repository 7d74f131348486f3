"""The base classes of methods: scikit-learn estimators that the harness can drive.

A method declares its parameters once, in a frozen model `Params`; its constructor follows from it, with `n_clusters`
first and the rest by keyword. It builds no optimiser, loop, seed or file.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

import numpy as np
import torch
from pydantic import Field
from pydantic_core import PydanticUndefined
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted

from benchmark.errors import UsageError
from benchmark.registry import METHODS
from benchmark.spec import Frozen, Phase, Protocol, validated
from benchmark.streams import Streams
from benchmark.training.generators import GlobalGenerators
from benchmark.training.phases import RunContext
from benchmark.training.stepping import Step


class CommonArguments(Frozen):
    """Constructor arguments of every method that are no parameters of it."""

    protocol: Protocol | None = None
    epochs: int | None = Field(None, ge=1)
    random_state: int = Field(0, ge=0)
    device: str = "cpu"


class ClusterParams(Frozen):
    """Parameters that every method has."""

    n_clusters: int = Field(ge=2)


@dataclass(frozen=True)
class Outcome:
    """What a fit leaves for the record: losses of the kept and last weights, the first losses, epochs and steps."""

    loss: float
    final_loss: float
    losses: Mapping[str, float] = field(default_factory=dict)
    first_losses: tuple[float, ...] = ()
    epochs: int = 0
    steps: int = 0


class _Phases(dict[str, Phase]):
    """The phases of a protocol, which say in one sentence that one is missing."""

    method = ""

    def __missing__(self, name: str) -> Phase:
        known = ", ".join(map(repr, self)) or "none"
        raise UsageError(f"{self.method} needs the phase {name!r}, but its protocol has {known}.")


def _constructor(model: type[ClusterParams]) -> Any:
    """Return an `__init__` that stores one argument for each field of `model`, and the common ones."""
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for name, info in model.model_fields.items():
        kind = inspect.Parameter.KEYWORD_ONLY if name != "n_clusters" else inspect.Parameter.POSITIONAL_OR_KEYWORD
        default = inspect.Parameter.empty if info.default is PydanticUndefined else info.default
        parameters.append(inspect.Parameter(name, kind, default=default, annotation=info.annotation))
    for name, info in CommonArguments.model_fields.items():
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=info.default))
    signature = inspect.Signature(parameters)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            if name != "self":
                setattr(self, name, value)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


Found = tuple[np.ndarray, np.ndarray, Outcome]
"""What a fit finds: labels (n,), embedding (n, d), and the outcome."""

Fitting = Generator[Step, None, None]
"""A fit that stops before each of its steps, which whoever runs it takes."""

P = TypeVar("P", bound=ClusterParams)


class Clusterer(ClusterMixin, BaseEstimator, Generic[P]):
    """A clustering method with scikit-learn's conventions: get_params, clone, fit_predict, labels_, embedding_.

    Every method takes, beside its own parameters, `protocol` (a `benchmark.spec.Protocol`, by default that of the
    paper), `epochs` (replaces the budget of its last phase), `random_state` (an integer, the replicate index) and
    `device`.

    `pretrained_by` names the method whose weights are taken over before this one's own phases begin: its pre-training.
    In the harness that is a run of its own, shared by all that start from it; a fit without it makes the phases of that
    method itself, and gives the same numbers.

    `home` says which cell the defaults are those of, under the paper reading: ``("PAPER/TABLE", "COLUMN")``.
    """

    Params: ClassVar[type[ClusterParams]] = ClusterParams
    default_protocol: ClassVar[Protocol] = Protocol()
    method_name: ClassVar[str] = ""
    protocol: Protocol | None
    epochs: int | None
    random_state: int
    device: str
    pretrained_by: ClassVar[str] = ""
    home: ClassVar[tuple[str, str] | None] = None
    labels_: np.ndarray
    embedding_: np.ndarray
    outcome_: Outcome
    sample_shape_: tuple[int, ...]
    device_: torch.device

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Derive the constructor of the subclass from its parameters."""
        super().__init_subclass__(**kwargs)
        if "Params" in cls.__dict__ or "__init__" not in vars(cls):
            cls.__init__ = _constructor(cls.Params)  # type: ignore[method-assign]

    def fit(self, X: Any, y: Any = None, *, lengths: Any = None, run: RunContext | None = None) -> Self:
        """Cluster the samples `X` (n, ...); `y` is ignored.

        `lengths` (n,) are the numbers of steps of sequences that are padded with zeros.

        Raises
        ------
        ValueError
            For parameters out of range, NaN or infinite samples, fewer samples than clusters or than a batch, and
            shapes that the network cannot take. In a `run`, what is the protocol's fault is a UsageError.
        """
        try:
            for step in self.fitting(X, lengths=lengths, run=run):
                step.take()
        except UsageError as error:
            if run is not None:
                raise
            raise ValueError(str(error)) from None
        return self

    def fitting(self, X: Any, *, lengths: Any = None, run: RunContext | None = None) -> Fitting:
        """Fit as `fit` does, but stop before each step: whoever iterates takes it, and then asks for the next.

        Fits may take turns in one process; each finds the global generators of torch as if it were alone.
        """
        params = self.checked_params()
        context = self._with_phases(run if run is not None else self._standalone())
        x = as_samples(X, params.n_clusters)
        if lengths is not None:
            context = replace(context, lengths=as_lengths(lengths, x, context.device))
        self.labels_, embedding, self.outcome_ = yield from taking_turns(self.steps(x, params, context), context)
        # What is the caller's may change later.
        self.embedding_ = embedding.copy() if np.may_share_memory(embedding, x) else embedding
        self.n_features_in_ = int(np.prod(x.shape[1:]))
        self.sample_shape_, self.device_ = x.shape[1:], context.device

    def steps(self, x: np.ndarray, params: P, context: RunContext) -> Generator[Step, None, Found]:
        """Yield each step of a fit when it is due, and return what it found; a method without phases has none."""
        yield from ()
        return self.cluster(x, params, context)

    def cluster(self, x: np.ndarray, params: P, context: RunContext) -> Found:
        """Return labels (n,), embedding (n, d) and the outcome of one run on the samples `x` (n, ...), float32."""
        raise TypeError(f"{type(self).__name__} does not say how it clusters.")

    @classmethod
    def own_phases(cls, params: Any) -> tuple[str, ...]:
        """Return the names of the phases that a run with `params` has beside those of its pre-training, in order."""
        before = METHODS[cls.pretrained_by].default_protocol.phases if cls.pretrained_by else {}
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

    def _with_phases(self, context: RunContext) -> RunContext:
        """Return the context with phases that say in one sentence when the method asks for one that is not there."""
        phases = _Phases(context.protocol.phases)
        phases.method = self.method_name or type(self).__name__
        return replace(context, protocol=context.protocol.model_copy(update={"phases": phases}))

    def _new_samples(self, X: Any) -> np.ndarray:
        """Return new samples (n, ...) as float32; NotFittedError before fit, ValueError for another shape."""
        check_is_fitted(self, "labels_")
        x = as_samples(X, 1)
        if x.shape[1:] != self.sample_shape_:
            raise ValueError(
                f"the samples have the shape {x.shape[1:]}, but those of the fit had {self.sample_shape_}."
            )
        return x

    def _standalone(self) -> RunContext:
        values = {name: getattr(self, name) for name in CommonArguments.model_fields}
        common = validated(CommonArguments, values, self.method_name or type(self).__name__)
        protocol = common.protocol or self.default_protocol
        if common.epochs is not None and protocol.phases:
            name = list(protocol.phases)[-1]
            phase = protocol.phases[name]
            every = min(phase.evaluate_every, common.epochs)
            budget = phase.budget.model_copy(update={"unit": "epochs", "amount": common.epochs})
            short = phase.model_copy(update={"budget": budget, "evaluate_every": every})
            protocol = protocol.model_copy(update={"phases": {**protocol.phases, name: short}})
        return RunContext(Streams("", common.random_state), protocol, device_named(common.device))


def device_named(name: str) -> torch.device:
    """Return the device `name`, or raise UsageError where this machine has none of that name."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"there is no device {name!r}: use 'cpu' or 'cuda'.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"there is no device {name!r} on this machine: torch sees no CUDA device.")
    return device


def as_samples(X: Any, n_clusters: int) -> np.ndarray:
    """Return `X` as a C-contiguous float32 array (n, ...), or raise ValueError with one sentence."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is infinite, and refused below
            x = np.ascontiguousarray(X, dtype=np.float32)
    except (TypeError, ValueError):
        raise ValueError("the samples must be an array of numbers with one shape for all samples.") from None
    if x.ndim < 2:
        raise ValueError(f"the samples need at least two dimensions (n, ...), not the shape {x.shape}.")
    if len(x) < n_clusters:
        raise ValueError(
            f"{len(x)} samples cannot form {n_clusters} clusters: give more samples or a smaller n_clusters."
        )
    if not np.isfinite(x).all():
        raise ValueError("the samples contain NaN or infinite values, or some beyond float32: clean them first.")
    return x


def as_lengths(lengths: Any, x: np.ndarray, device: torch.device) -> torch.Tensor:
    """Return the lengths of the sequences `x` (n, steps, ...) as int64 (n,), or raise ValueError with one sentence."""
    found = np.asarray(lengths)
    if found.shape != (len(x),) or not np.issubdtype(found.dtype, np.integer):
        raise ValueError(f"the lengths must be {len(x)} integers, one for each sequence, not of shape {found.shape}.")
    if found.min() < 1 or found.max() > x.shape[1]:
        raise ValueError(
            f"the lengths must be from 1 to {x.shape[1]}, the number of steps, not {found.min()} to {found.max()}."
        )
    return torch.from_numpy(found.astype(np.int64)).to(device)


def taking_turns(steps: Generator[Step, None, Found], context: RunContext) -> Generator[Step, None, Found]:
    """Yield the steps of a fit, and let it and each of them find the global generators as they were left."""
    own = GlobalGenerators(context)
    try:
        while True:
            with own:
                try:
                    step = next(steps)
                except StopIteration as end:
                    found: Found = end.value
                    return found
            yield replace(step, within=own)
    finally:
        steps.close()
