"""Constructor arguments that every method has beside its own parameters, and what they come to.

None of them is part of a run of the suite: there, its specification says all.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from pydantic import Field
from sklearn.utils import check_random_state
from threadpoolctl import threadpool_limits

from benchmark.errors import UsageError
from benchmark.spec import Frozen, Phase, Protocol
from benchmark.streams import Streams

EVALUATIONS = 10
"""How often a phase is evaluated at the least, where its budget in steps is replaced by one in epochs."""


class CommonArguments(Frozen):
    """Constructor arguments of every method that are no parameters of it; `Clusterer` says what they mean."""

    protocol: Protocol | None = None
    epochs: int | None = Field(None, ge=1)
    pretrain_epochs: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    pretrained: Any = None
    random_state: Any = 0
    device: Any = "cpu"
    threads: int | None = Field(None, ge=1)
    callbacks: Any = None
    verbose: int = Field(0, ge=0)


class ClusterParams(Frozen):
    """Parameters that every method has."""

    n_clusters: int = Field(ge=2)


def arguments_of(model: type[Frozen]) -> tuple[str, ...]:
    """Return the names of the common arguments of a method with the parameters `model`, which take precedence."""
    return tuple(name for name in CommonArguments.model_fields if name not in model.model_fields)


def constructor(model: type[Frozen]) -> Any:
    """Return an `__init__` that stores one argument for each field of `model`, and the common ones."""
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for name, info in model.model_fields.items():
        kind = inspect.Parameter.KEYWORD_ONLY if name != "n_clusters" else inspect.Parameter.POSITIONAL_OR_KEYWORD
        default = inspect.Parameter.empty if info.is_required() else info.default
        parameters.append(inspect.Parameter(name, kind, default=default, annotation=info.annotation))
    for name in arguments_of(model):
        default = CommonArguments.model_fields[name].default
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default))
    signature = inspect.Signature(parameters)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            if name != "self":
                setattr(self, name, value)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    __init__.__doc__ = f"""Store the arguments: the fields of `{model.__name__}`, and those that every method has.

    `benchmark.training.Clusterer` says what these are. The number of threads of the process belongs to the seed: one
    and two give other labels for one `random_state`; with `threads=1` it decides nothing.
    """
    return __init__


def adapted(protocol: Protocol, arguments: CommonArguments, preparing: Collection[str]) -> Protocol:
    """Return a protocol with batches, budgets and learning rates as the arguments ask for.

    `preparing` are the names of phases of pre-training; where a protocol has no others, the arguments for the others
    are theirs.
    """
    others = any(name not in preparing for name in protocol.phases)
    phases = {}
    for name, phase in protocol.phases.items():
        epochs, rate = arguments.epochs, arguments.learning_rate
        if name in preparing:
            epochs = arguments.pretrain_epochs or (None if others else epochs)
            rate = None if others else rate
        phases[name] = _adapted(phase, epochs, arguments.batch_size, rate)
    return protocol.model_copy(update={"phases": phases})


def _adapted(phase: Phase, epochs: int | None, batch_size: int | None, rate: float | None) -> Phase:
    changes: dict[str, Any] = {}
    if batch_size is not None:
        changes["batch_size"] = batch_size
    if rate is not None:
        changes["optimiser"] = phase.optimiser.model_copy(update={"lr": rate})
    if epochs is not None:
        changes["budget"] = phase.budget.model_copy(update={"unit": "epochs", "amount": epochs})
        if phase.budget.unit == "epochs":
            changes["evaluate_every"] = min(phase.evaluate_every, epochs)
        else:  # what is counted in steps says nothing about epochs
            changes |= {"evaluate_every": max(1, epochs // EVALUATIONS), "patience": None}
    return phase.model_copy(update=changes)


def streams_of(random_state: Any) -> Streams:
    """Return the random streams that an argument `random_state` names; UsageError for what is none.

    An integer is the replicate index. `Streams` are those of a replicate of a data set, as runs of the suite have them.
    From a generator, and from NumPy's global one for None, a replicate index is drawn, so that each fit gets its own.
    """
    if isinstance(random_state, Streams):
        return Streams(random_state.dataset, random_state.replicate)
    if isinstance(random_state, np.random.Generator):
        return Streams("", int(random_state.integers(2**31)))
    integer = isinstance(random_state, int | np.integer) and not isinstance(random_state, bool)
    if integer and random_state >= 0:
        return Streams("", int(random_state))
    if random_state is None or isinstance(random_state, np.random.RandomState):
        return Streams("", int(check_random_state(random_state).randint(2**31 - 1)))
    raise UsageError(
        f"random_state = {random_state!r} is refused: give None, an integer from 0 on, or a generator of NumPy."
    )


def device_named(device: str | torch.device) -> torch.device:
    """Return a device by its name or as it is, or raise UsageError where this machine has none of that name."""
    shown = str(device)
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise UsageError(f"there is no device {shown!r}: use 'cpu', 'cuda', 'cuda:1' or 'mps'.") from None
    if found.type == "cuda":
        if not torch.cuda.is_available():
            raise UsageError(f"there is no device {shown!r} on this machine: torch sees no CUDA device.")
        if found.index is not None and found.index >= torch.cuda.device_count():
            raise UsageError(
                f"there is no device {shown!r} on this machine: torch sees {torch.cuda.device_count()} CUDA devices, "
                "numbered from 0."
            )
    if found.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError(f"there is no device {shown!r} on this machine: torch sees no MPS device.")
    return found


def callbacks_of(callbacks: Any) -> tuple[Callable[[Any], None], ...]:
    """Return what is to be called with the snapshot of every evaluation; UsageError where it cannot be called."""
    given: Sequence[Any] = (callbacks,) if callable(callbacks) else () if callbacks is None else tuple(callbacks)
    for callback in given:
        if not callable(callback):
            raise UsageError(f"callbacks: {callback!r} cannot be called: give functions of a snapshot.")
    return tuple(given)


@contextmanager
def computing_with(threads: int | None) -> Iterator[None]:
    """Compute with so many threads on the CPU, None for as many as there are; put back the number from before."""
    if threads is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)
