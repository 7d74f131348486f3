"""Which steps can be captured, found without a GPU: one step of each phase is taken on tensors that have no values.

Torch's device "meta" computes shapes only. A step there goes the ways of a GPU, and what asks for a value, draws or
moves values is seen. What a step can reach is put on that device, so that its fit is of no use afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.spec import Budget, Protocol
from benchmark.streams import Streams
from benchmark.training.engines.watching import CannotCapture, Watch
from benchmark.training.phases import RunContext
from benchmark.training.stepping import Stepper


def why_eager(stepper: Stepper) -> str:
    """Return why the steps of a phase cannot be captured, "" where they can; the stepper is of no use afterwards."""
    if not stepper.phase.steady:
        return "its phase is not said to be steady"
    size = min(len(stepper.x), stepper.phase.spec.batch_size)
    stepper.prepare()
    with torch.random.fork_rng(devices=[]):
        put_on_meta(stepper)
    index = torch.zeros(size, dtype=torch.int64, device="meta")
    try:
        with Watch(refuse=True):
            stepper.compute(index, lambda optimiser: None)
    except CannotCapture as error:
        return str(error)
    except (RuntimeError, NotImplementedError) as error:  # what meta tensors refuse
        return str(error).splitlines()[0]
    return ""


def put_on_meta(thing: Any) -> None:
    """Give all tensors that can be reached from something the device "meta", in their places."""
    for tensor in list(_tensors(thing, set())):
        with torch.no_grad():
            empty = torch.empty_like(tensor, device="meta")
            if isinstance(tensor, nn.Parameter):
                empty = nn.Parameter(empty, tensor.requires_grad)
            tensor.grad = None
            torch.utils.swap_tensors(tensor, empty)  # type: ignore[no-untyped-call]


def _tensors(thing: Any, seen: set[int]) -> Iterator[Tensor]:
    todo = [thing]
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | str | bytes | int | float):
            continue
        seen.add(id(one))
        if isinstance(one, nn.RNNBase):
            one._flat_weight_refs = [None] * len(one._flat_weight_refs)  # with them a tensor may not be swapped
        if isinstance(one, Tensor):
            yield one
        else:
            todo += _parts(one)


def _parts(thing: Any) -> list[Any]:
    """Return what something holds: of functions what they close over, and not all that their modules have."""
    if isinstance(thing, dict):
        return [*thing.keys(), *thing.values()]
    if isinstance(thing, list | tuple | set | frozenset):
        return list(thing)
    if isinstance(thing, FunctionType):
        cells = thing.__closure__ or ()
        return [cell.cell_contents for cell in cells if cell != type(cell)()] + list(thing.__defaults__ or ())
    if isinstance(thing, MethodType):
        return [thing.__self__, thing.__func__]
    if isinstance(thing, partial):
        return [thing.func, thing.args, thing.keywords]
    slots = [getattr(thing, name, None) for name in getattr(type(thing), "__slots__", ()) if isinstance(name, str)]
    return [*slots, getattr(thing, "__dict__", None)]


SHAPES = ((1, 28, 28), (144,), (12, 12))
"""Of the samples that are tried: images, vectors, sequences."""


def why_phases_are_eager(method: Any) -> dict[str, str]:
    """Return for each phase of a method, with its defaults, why its steps cannot be captured, "" where they can.

    A fit is begun for each phase, with a step of each phase before it. ValueError where no samples suit the method.
    """
    errors: list[Exception] = []
    for shape in SHAPES:
        x = np.random.default_rng(0).uniform(-1, 1, (60, *shape)).astype(np.float32)
        try:
            return _probed(method, x)
        except (ValueError, RuntimeError) as error:
            errors.append(error)
    raise ValueError(f"no samples suit the method: {errors[0]}")


def _probed(method: Any, x: np.ndarray) -> dict[str, str]:
    brief = {"budget": Budget(unit="steps", amount=1), "batch_size": 20}
    phases = {name: phase.model_copy(update=brief) for name, phase in method.default_protocol.phases.items()}
    found: dict[str, str] = {}
    while True:
        before = len(found)
        try:
            for step in method(n_clusters=5).fitting(x, run=RunContext(Streams("probe", 0), Protocol(phases=phases))):
                name = step.stepper.phase.name
                if name not in found:
                    found[name] = why_eager(step.stepper)
                    break
                step.take()
        except UserError:  # what follows the phases needs a package that is not there
            if not found:
                raise
        if len(found) == before:
            return found
