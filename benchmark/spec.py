"""Specifications: frozen, validated descriptions of a run, and the id that follows from them.

A `RunSpec` holds everything that decides the numbers of a run, and nothing else. Its id is the first 16 hex digits
of the SHA-256 of its canonical JSON.
"""

from __future__ import annotations

import hashlib
import json
import math
import textwrap
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.errors import UsageError, did_you_mean


class Frozen(BaseModel):
    """An immutable model without unknown fields.

    `introduced` maps fields that were added after the first release to their introduction default, the behaviour from
    before the field existed. It is frozen for ever: canonical JSON omits such a field while it has that value, so
    that adding a field never changes the id of a stored run. A class says it for its own fields; those of its bases
    stay as they are there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    introduced: ClassVar[Mapping[str, Any]] = {}

    def canonical(self) -> dict[str, Any]:
        """Return the fields that count, as plain JSON values."""
        fields, late = {name: getattr(self, name) for name in type(self).model_fields}, introduced_in(type(self))
        return {name: _plain(value) for name, value in fields.items() if not (name in late and value == late[name])}


@cache
def introduced_in(model: type[Frozen]) -> Mapping[str, Any]:
    """Return the introduction defaults of all fields that a model has by itself and from its bases."""
    own = [vars(base).get("introduced", {}) for base in reversed(model.__mro__)]
    return {name: value for defaults in own for name, value in defaults.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Frozen):
        return value.canonical()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def canonical_json(value: Any) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces, shortest round-trip floats."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


class Optimiser(Frozen):
    """An optimiser by name. `eps` is Adam's; `momentum` is SGD's.

    The learning rate `lr` is multiplied by `decay` after every `decay_every` steps; 0 keeps it. SGD's momentum rises
    linearly from 0 over the first `momentum_burnin` steps, and parameters of one dimension, such as biases, have
    `bias_rate` times the learning rate.
    """

    name: Literal["adam", "sgd"] = "adam"
    lr: float = Field(1e-3, gt=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    eps: float = Field(1e-7, gt=0)
    momentum: float = Field(0.0, ge=0, lt=1)
    decay: float = Field(1.0, gt=0, le=1)
    decay_every: int = Field(0, ge=0)
    momentum_burnin: int = Field(0, ge=0)
    bias_rate: float = Field(1.0, gt=0)
    introduced: ClassVar[Mapping[str, Any]] = {
        "decay": 1.0,
        "decay_every": 0,
        "momentum_burnin": 0,
        "bias_rate": 1.0,
    }


class Clip(Frozen):
    """Gradient clipping by norm: of each weight `tensor` (Keras' clipnorm), of all together (`global`), or `none`."""

    kind: Literal["none", "tensor", "global"] = "none"
    norm: float = Field(10.0, gt=0)


class Budget(Frozen):
    """How long a phase trains: `amount` epochs or optimiser steps."""

    unit: Literal["epochs", "steps"] = "epochs"
    amount: int = Field(200, ge=0)


class Phase(Frozen):
    """The generic part of a training phase.

    `evaluate_every` counts in the unit of the budget. `keep` says which weights the phase ends with: those of the
    evaluation with the lowest `monitor` loss ("best"), or the last; "best-if-stopped" is the best where patience ran
    out, and else the last [T10]. `monitor` is "total", a loss term, or "epoch_mean", the mean of the training totals of
    the last whole epoch, each batch by its size [T9]. `patience` counts in the unit of the budget, too: the phase stops
    when the monitored loss has not decreased for that long. With `evaluation_moves_statistics`, each whole batch of an
    evaluation also passes through the model in training mode, which moves the statistics of batch normalisation [C20].
    """

    optimiser: Optimiser = Optimiser()
    batch_size: int = Field(120, ge=1)
    sampler: Literal["shuffled", "fixed", "full"] = "shuffled"
    drop_last: bool = True
    clip: Clip = Clip()
    budget: Budget = Budget()
    evaluate_every: int = Field(4, ge=1)
    keep: Literal["best", "last", "best-if-stopped"] = "best"
    monitor: str = "total"
    patience: int | None = Field(None, ge=1)
    evaluation_moves_statistics: bool = False
    introduced: ClassVar[Mapping[str, Any]] = {"evaluation_moves_statistics": False}


class Protocol(Frozen):
    """The generic part of a training protocol: one entry for each named phase, in order."""

    phases: dict[str, Phase] = {}


class DataSpec(Frozen):
    """The data of a run: a data set by name and digest, the subset rule, and the preprocessing steps.

    `samples` caps the number of samples: a uniform subset drawn without labels, the same for all replicates.
    """

    name: str
    digest: str
    samples: int | None = Field(None, ge=1)
    preprocess: tuple[str, ...] = ()


_REPLICATE = "replicate"
_SHARED = ("shared_parts", "around_replicate")
"""What is computed once of a specification, for all of its replicates."""


class RunSpec(Frozen):
    """One training from one initialisation: all that decides its numbers.

    `params` are the canonical parameters of the method, complete.
    """

    method: str
    params: dict[str, Any]
    data: DataSpec
    protocol: Protocol
    replicate: int = Field(ge=0)

    @model_validator(mode="after")
    def _plain_params(self) -> Self:
        if "shared_parts" not in vars(self):  # they are plain where an id was made of them
            canonical_json(self.params)
        return self

    @cached_property
    def run_id(self) -> str:
        """The first 16 hex digits of the SHA-256 of the canonical JSON."""
        before, after = self.around_replicate
        return hashlib.sha256(f"{before}{self.replicate:d}{after}".encode()).hexdigest()[:16]

    @cached_property
    def around_replicate(self) -> tuple[str, str]:
        """The canonical JSON before and after the number of the replicate: replicates share it, and plans have many."""
        parts = {**self.shared_parts, _REPLICATE: "\0"}
        text = ",".join(f"{canonical_json(name)}:{parts[name]}" for name in sorted(parts))
        before, _, after = f"{{{text}}}".partition("\0")  # which stands in no JSON text
        return before, after

    @cached_property
    def shared_parts(self) -> Mapping[str, str]:
        """The canonical JSON of each field that replicates share, by name: most of the work behind an id."""
        return {name: canonical_json(value) for name, value in self.canonical().items() if name != _REPLICATE}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with changed fields; of what was computed, replicates take over what they share."""
        replicates = set(update or ()) <= {_REPLICATE}
        shared = {name: getattr(self, name) for name in _SHARED} if replicates else {}
        copied = super().model_copy(update=update, deep=deep)
        for name in ("run_id", *_SHARED):
            vars(copied).pop(name, None)
        vars(copied).update(shared)
        return copied


def with_values(model: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deep copy of the nested dictionary `model` with dotted paths replaced.

    >>> with_values({"a": {"b": 1}}, {"a.b": 2, "a.c": 3})
    {'a': {'b': 2, 'c': 3}}
    """
    result = {key: with_values(item, {}) if isinstance(item, dict) else item for key, item in model.items()}
    for path, value in values.items():
        *heads, last = path.split(".")
        place = result
        for head in heads:
            place = place.setdefault(head, {})
        place[last] = value
    return result


M = TypeVar("M", bound=Frozen)


def validated(model: type[M], values: Mapping[str, Any], what: str) -> M:
    """Return `model(**values)`, or raise UsageError with one sentence about the first wrong field of `what`."""
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UsageError(did_you_mean(f"field of {what}", path, model.model_fields)) from None
        shown = textwrap.shorten(repr(first.get("input")), 80, placeholder=" ...")
        raise UsageError(f"{what}: {path} = {shown} is refused ({first['msg']}).") from None


def batches_per_epoch(spec: Phase, n: int) -> int:
    """Return the number of batches in an epoch over `n` samples, or raise ValueError where there is none."""
    if spec.sampler == "full":
        return 1
    count = n // spec.batch_size if spec.drop_last else math.ceil(n / spec.batch_size)
    if count == 0:
        raise ValueError(f"{n} samples do not fill one batch of {spec.batch_size}: use a smaller batch_size.")
    return count
