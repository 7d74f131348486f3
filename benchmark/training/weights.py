"""Weights of an earlier fit that another starts from: a fitted estimator, a state by name, or a file."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from benchmark.errors import UsageError

MODEL = "model/"
"""How the names of weights begin in a file that an estimator saved."""

SHOWN = 3
"""How many names of weights that do not fit are said."""


class Misfit(RuntimeError):
    """Weights to start from are not of the network that is to start from them."""


def weights_of(given: Any) -> Mapping[str, Tensor] | None:
    """Return the weights, by name, that an argument `pretrained` stands for, None where it is None.

    Raises
    ------
    UsageError
        For an estimator without a fitted network, a file that is no safetensors file, and anything else.
    """
    if given is None:
        return None
    if isinstance(given, str | PathLike):
        return _read(str(given))
    network = getattr(given, "model_", given)
    if isinstance(network, nn.Module):
        network = network.state_dict()
    if isinstance(network, Mapping) and network and all(isinstance(name, str) for name in network):
        return {name: torch.as_tensor(value).detach().cpu() for name, value in network.items()}
    what = f"{type(given).__name__} has no fitted network" if hasattr(given, "fit") else f"{given!r} holds no weights"
    raise UsageError(f"pretrained: {what}; give a fitted estimator, a state_dict, or the path of a saved one.")


def _read(path: str) -> dict[str, Tensor]:
    """Return the weights in a file that `save` or a run of the suite wrote."""
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            saved = [name for name in names if name.startswith(MODEL)]
            found = {name.removeprefix(MODEL): file.get_tensor(name) for name in saved or names}
    except FileNotFoundError:
        raise UsageError(f"pretrained: there is no file {path}.") from None
    except (SafetensorError, OSError) as error:
        raise UsageError(
            f"pretrained: {path} is no safetensors file, as estimators save them ({error}); pickles are not read."
        ) from None
    if not found:
        raise UsageError(f"pretrained: {path} holds no weights.")
    return found


def take_over(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put the weights of another network into the parts of `model` of the same names.

    Raises
    ------
    Misfit
        Where `model` lacks one of them, or has it in another shape.
    """
    own = model.state_dict()
    if missing := sorted(weights.keys() - own.keys()):
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise Misfit(f"the network has no {', '.join(missing[:SHOWN])}{more}, which the weights to start from have.")
    for name, value in weights.items():
        if value.shape != own[name].shape:
            raise Misfit(
                f"the network has {name} of the shape {tuple(own[name].shape)}, the weights to start from "
                f"{tuple(value.shape)}: they are of other samples, another network or another number of clusters."
            )
    model.load_state_dict(dict(weights), strict=False)
