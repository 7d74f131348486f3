"""A stand-in for a CUDA device, on the CPU: it captures steps as tapes of operations, which are replayed as graphs are.

A tape has the operations with the tensors and the plain numbers that they had when they were recorded, and writes what
they give to where it lay then: as a CUDA graph, it knows nothing of what changes but the values in these places.
Optimisers are the exception: what they do on the CPU asks for values, so that a replay calls them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

from benchmark.training.engines.watching import why_not
from benchmark.training.stepping import Stepper


class Tape(TorchDispatchMode):
    """The operations of one step."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[Callable[[], None]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        """Do an operation, and record it."""
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if reason := why_not(func, tensors, kwargs):
            raise RuntimeError(reason)
        before = tree_map(_alias, (args, kwargs))
        found = func(*args, **kwargs)
        if torch.Tag.inplace_view not in func.tags:  # which changes how a tensor is seen, and no value
            places = tree_map(_alias, found)
            self.done.append(lambda: _again(func, *before, places))
        return found

    def replay(self) -> None:
        """Do all operations again."""
        with torch.no_grad():
            for again in self.done:
                again()


def _alias(leaf: Any) -> Any:
    """Return a tensor that lies where another one does and keeps its shape, whatever becomes of that of the other."""
    if not isinstance(leaf, Tensor):
        return leaf
    with _disable_current_modes():
        return leaf.detach()


def _again(func: Any, args: Sequence[Any], kwargs: Any, found: Any) -> None:
    new = func(*args, **kwargs)
    for place, value in zip(tree_leaves(found), tree_leaves(new), strict=True):
        if isinstance(place, Tensor) and place.data_ptr() != value.data_ptr():
            place.copy_(value)


class TapeMachine:
    """Captures steps as tapes; `log` has what it was asked for, in order: the lanes of steps, and joins."""

    def __init__(self) -> None:
        self.lanes = 0
        self.log: list[Any] = []

    def lane(self) -> int:
        """Return a new lane."""
        self.lanes += 1
        return self.lanes

    @contextmanager
    def on(self, lane: int) -> Iterator[None]:
        """Note that work is put on a lane."""
        self.log.append(lane)
        yield

    def join(self, lanes: Sequence[int]) -> None:
        """Note that all wait for the lanes."""
        self.log.append(tuple(lanes))

    def update(self, optimiser: torch.optim.Optimizer) -> None:
        """Step an optimiser, which on the CPU is no part of what is captured."""
        with _disable_current_modes():
            optimiser.step()

    def capture(self, lane: int, stepper: Stepper, index: Tensor) -> Tape:
        """Record a step, and put all back that it changed: a captured step was not done."""
        changed = [*stepper.phase.model.parameters(), *stepper.phase.model.buffers(), stepper.finite, stepper.epoch_sum]
        before = [tensor.detach().clone() for tensor in changed]
        tape = Tape()

        def update(optimiser: torch.optim.Optimizer) -> None:
            parameters = [p for group in optimiser.param_groups for p in group["params"]]
            gradients = [p.grad for p in parameters]

            def step() -> None:
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.grad = gradient
                with torch.enable_grad():
                    optimiser.step()

            with _disable_current_modes():
                tape.done.append(step)

        with tape:
            stepper.compute(index, update)
        with torch.no_grad():
            for tensor, value in zip(changed, before, strict=True):
                tensor.copy_(value)
        return tape


class Outside(TorchDispatchMode):
    """The memory that operations use and that was there before them, without keeping it."""

    def __init__(self) -> None:
        super().__init__()
        self.used: dict[int, tuple[str, StorageWeakRef]] = {}
        self._made: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        """Do an operation, and note the memory of its tensors."""
        kwargs = kwargs or {}
        for place in _memory((args, kwargs)):
            if place.cdata not in self._made:
                self.used.setdefault(place.cdata, (str(func), place))
        found = func(*args, **kwargs)
        self._made |= {place.cdata for place in _memory(found)} - self.used.keys()
        return found

    def gone(self) -> list[str]:
        """Return the operations whose memory from before is no more."""
        return [name for name, place in self.used.values() if place.expired()]


def _memory(values: Any) -> list[StorageWeakRef]:
    leaves = [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
    return [StorageWeakRef(leaf.untyped_storage()) for leaf in leaves]


class Tenant:
    """Stands for a captured step that knows whose memory it uses; a replay computes the step anew."""

    def __init__(self, stepper: Stepper, index: Tensor) -> None:
        self.again = lambda: stepper.compute(index)
        with Outside() as self.outside:
            self.again()

    def replay(self) -> None:
        """Take the step, where all the memory is still there that it had when it was captured."""
        gone = self.outside.gone()
        assert not gone, f"what was captured uses memory that is free by now, in {', '.join(gone)}"
        self.again()


class LookingMachine(TapeMachine):
    """Captures nothing; looks at the memory that captured steps would use."""

    def capture(self, lane: int, stepper: Stepper, index: Tensor) -> Any:
        """Take the step once, and note the memory."""
        return Tenant(stepper, index)
