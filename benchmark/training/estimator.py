"""The base classes of methods: scikit-learn estimators that the harness can drive.

A method declares its parameters once, in a frozen model `Params`; its constructor follows from it, with `n_clusters`
first and the rest by keyword. It builds no optimiser, loop, seed or file.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import Field
from pydantic_core import PydanticUndefined
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted

from benchmark.errors import UsageError
from benchmark.spec import Frozen, Phase, Protocol, validated
from benchmark.streams import Streams
from benchmark.training.phases import RunContext


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


@contextmanager
def _own_generators(context: RunContext) -> Iterator[None]:
    """Seed the global generators of the CPU and of the device from the stream `torch`, and restore them at the end."""
    devices = [context.device] if context.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        seed = context.streams.seed("torch")
        torch.default_generator.manual_seed(seed)
        for device in devices:
            index = torch.cuda.current_device() if device.index is None else device.index
            torch.cuda.default_generators[index].manual_seed(seed)
        yield


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


class Clusterer(ClusterMixin, BaseEstimator):
    """A clustering method with scikit-learn's conventions: get_params, clone, fit_predict, labels_, embedding_.

    Every method takes, beside its own parameters, `protocol` (a `benchmark.spec.Protocol`, by default that of the
    paper), `epochs` (replaces the budget of its last phase), `random_state` (an integer, the replicate index) and
    `device`. The weights of a method that `starts_others` are kept with its records.
    """

    Params: ClassVar[type[ClusterParams]] = ClusterParams
    default_protocol: ClassVar[Protocol] = Protocol()
    method_name: ClassVar[str] = ""
    protocol: Protocol | None
    epochs: int | None
    random_state: int
    device: str
    starts_others: ClassVar[bool] = False
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

    def fit(self, X: Any, y: Any = None, *, run: RunContext | None = None) -> Self:
        """Cluster the samples `X` (n, ...); `y` is ignored.

        Raises
        ------
        ValueError
            For parameters out of range, NaN or infinite samples, fewer samples than clusters or than a batch, and
            shapes that the network cannot take. In a `run`, what is the protocol's fault is a UsageError.
        """
        try:
            params = self.checked_params()
            context = self._with_phases(run if run is not None else self._standalone())
            x = as_samples(X, params.n_clusters)
            with _own_generators(context):
                self.labels_, embedding, self.outcome_ = self.cluster(x, params, context)
        except UsageError as error:
            if run is not None:
                raise
            raise ValueError(str(error)) from None
        # What is the caller's may change later.
        self.embedding_ = embedding.copy() if np.may_share_memory(embedding, x) else embedding
        self.n_features_in_ = int(np.prod(x.shape[1:]))
        self.sample_shape_, self.device_ = x.shape[1:], context.device
        return self

    def cluster(self, x: np.ndarray, params: Any, context: RunContext) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Return labels (n,), embedding (n, d) and the outcome of one run on the samples `x` (n, ...), float32."""
        raise TypeError(f"{type(self).__name__} does not say how it clusters.")

    @classmethod
    def parent(cls, params: Any) -> str | None:
        """Return the name of the method from whose weights a run with `params` starts, None where from none.

        That run has the parameters and phases of this one that its method knows. Without it, a fit makes its phases
        itself, and gives the same numbers.
        """
        return None

    @classmethod
    def phases_used(cls, params: Any) -> tuple[str, ...]:
        """Return the names of the phases of the protocol that a run with `params` has."""
        return tuple(cls.default_protocol.phases)

    def checked_params(self) -> Any:
        """Return the validated parameters, an instance of `Params`; raise UsageError for a wrong one."""
        values = {name: getattr(self, name) for name in self.Params.model_fields}
        return validated(self.Params, values, self.method_name or type(self).__name__)

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
