"""A fitted estimator in one safetensors file, and back: tensors, and the rest as JSON in its header. No pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmark.errors import UsageError
from benchmark.registry import METHODS
from benchmark.spec import Protocol, validated
from benchmark.streams import Streams
from benchmark.training.arguments import arguments_of, device_named
from benchmark.training.following import history_table
from benchmark.training.phases import Outcome
from benchmark.training.resume import part

FORMAT: Final = "reclust estimator 1"
KEY: Final = "estimator"
"""Where the JSON stands in the header of the file."""

APART: Final = ("pretrained", "callbacks", "device")
"""Arguments that are not kept: the weights are there already, functions are no data, and devices belong to machines."""


def save_estimator(estimator: Any, path: str | PathLike[str]) -> None:
    """Write a fitted estimator to the file `path`, which appears whole or not at all.

    Raises
    ------
    UsageError
        Where an argument or a fitted attribute is no array and nothing that JSON can hold.
    """
    tensors, plain = _kept(estimator)
    told = {
        "format": FORMAT,
        "method": estimator.method_name,
        "params": {name: getattr(estimator, name) for name in estimator.Params.model_fields},
        "arguments": {n: _told(getattr(estimator, n)) for n in arguments_of(estimator.Params) if n not in APART},
        "outcome": asdict(estimator.outcome_),
        "attributes": plain,
        "history": _columns(estimator.history_) if hasattr(estimator, "history_") else None,
    }
    try:
        text = json.dumps(told)
    except TypeError as error:
        raise UsageError(
            f"{type(estimator).__name__} cannot be saved: {error}. A network of one's own is named by "
            "benchmark.registry.register_network, and the name given."
        ) from None
    beside = Path(f"{path}.{os.getpid()}.part")
    try:
        save_file(tensors, beside, {KEY: text})
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _kept(estimator: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what a fit left in attributes: arrays and weights as tensors by name, and all else."""
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for name, value in vars(estimator).items():
        if not name.endswith("_") or name in ("model_", "device_", "outcome_", "history_"):
            continue
        if isinstance(value, np.ndarray) and value.dtype != object:
            tensors[f"array/{name}"] = torch.from_numpy(np.ascontiguousarray(value))
        else:
            plain[name] = value.tolist() if isinstance(value, np.ndarray) else value
    model: nn.Module | None = getattr(estimator, "model_", None)
    for name, value in model.state_dict().items() if model is not None else ():
        tensors[f"model/{name}"] = value.detach().cpu().contiguous().clone()  # tied weights are written twice
    return tensors, plain


def load_estimator(cls: Any, path: str | PathLike[str], device: Any = "cpu") -> Any:
    """Return the fitted estimator in the file `path`, on a device; `cls` is its class or a base of it.

    Raises
    ------
    ValueError
        Where the file is none that an estimator saved, or that of another method.
    FileNotFoundError
        Where there is none.
    """
    told, tensors = _read(path)
    kind = cls if cls.method_name == told["method"] else METHODS[told["method"]]
    if not issubclass(kind, cls):
        raise ValueError(f"{path} holds a {kind.__name__}, no {cls.__name__}: use {kind.__name__}.load.")
    try:
        return _restored(kind, told, tensors, device_named(device))
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        text = str(error).splitlines()[0]
        raise ValueError(f"{path} does not hold what a {kind.__name__} of this version needs ({text}).") from None


def _restored(kind: Any, told: Mapping[str, Any], tensors: dict[str, Tensor], device: torch.device) -> Any:
    """Return the fitted estimator of a class, of what `save_estimator` wrote."""
    params = validated(kind.Params, told["params"], kind.__name__)
    values = {name: getattr(params, name) for name in told["params"]}  # tuples, of which JSON makes lists
    estimator = kind(**values, **_arguments(told["arguments"]), device=str(device))
    shape = tuple(told["attributes"]["sample_shape_"])
    if weights := part("model", tensors):
        with torch.random.fork_rng(devices=[]):  # a network of one's own may draw its first weights
            model = estimator.build(estimator.checked_params(), shape, estimator._standalone())
        model.load_state_dict(weights)
        estimator.model_ = estimator.placed(model, len(shape) + 1, device).eval()
    arrays = {name: value.numpy() for name, value in part("array", tensors).items()}
    outcome = Outcome(**{**told["outcome"], "first_losses": tuple(told["outcome"]["first_losses"])})
    for name, value in {**told["attributes"], **arrays}.items():
        if name.endswith("_") and not name.startswith("_"):
            setattr(estimator, name, value)
    estimator.sample_shape_, estimator.device_, estimator.outcome_ = shape, device, outcome
    if "feature_names_in_" in told["attributes"]:
        estimator.feature_names_in_ = np.array(told["attributes"]["feature_names_in_"], dtype=object)
    if told["history"] is not None:
        estimator.history_ = history_table(told["history"])
    return estimator


def _read(path: str | PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            told = json.loads((file.metadata() or {}).get(KEY, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, IsADirectoryError):
        told, tensors = {}, {}
    if not isinstance(told, Mapping) or told.get("format") != FORMAT:
        raise ValueError(f"{path} is no file that an estimator of this version saved; pickles are not read.")
    return dict(told), tensors


def _columns(table: Any) -> dict[str, list[Any]]:
    """Return the columns of a data frame as lists that JSON can hold, None where a value is missing."""
    return {
        name: [None if missing else value for value, missing in zip(column.tolist(), column.isna(), strict=True)]
        for name, column in table.items()
    }


def _told(value: Any) -> Any:
    """Return an argument as JSON can hold it; of a generator, which moves on, nothing."""
    if isinstance(value, Protocol):
        return value.model_dump()
    if isinstance(value, Streams):
        return {"dataset": value.dataset, "replicate": value.replicate}
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _arguments(told: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(told)
    if found.get("protocol") is not None:
        found["protocol"] = Protocol(**found["protocol"])
    if isinstance(state := found.get("random_state"), Mapping):
        found["random_state"] = Streams(**state)
    return found
