"""Whether a step can be captured: each of its operations is looked at while it is taken.

A captured step is replayed without the host: it may not ask a device for a value, draw from a generator, nor move
values between the host and the device, and must do the same operations with the same plain numbers every time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_ASKS = ("aten::_local_scalar_dense", "aten::is_nonzero", "aten::_linalg_check_errors", "aten::equal")
_MOVES = ("aten::_to_copy", "aten::copy_", "aten::_copy_from")


class CannotCapture(RuntimeError):
    """A step does what a captured one cannot."""


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Looks at each operation meanwhile: `reason` is why they cannot be captured, "" where they can.

    `seen` holds the operations with their plain arguments and the shapes of their tensors: it differs where a step
    does other things than the one before. With `refuse`, what cannot be captured is not done: CannotCapture.
    """

    def __init__(self, *, refuse: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.refuse, self.reason = refuse, ""
        self.seen: list[Any] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        """Look at an operation, and do it."""
        kwargs = kwargs or {}
        leaves = tree_leaves((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        self._note(why_not(func, tensors, kwargs))
        self.seen.append((str(func), tuple(plain(leaf) for leaf in leaves)))
        return func(*args, **kwargs)

    def _note(self, reason: str) -> None:
        self.reason = self.reason or reason
        if reason and self.refuse:
            raise CannotCapture(reason)


def why_not(func: Any, tensors: Sequence[Tensor], kwargs: Mapping[str, Any]) -> str:
    """Return why an operation on `tensors` cannot be captured, "" where it can."""
    name = func.name().partition(".")[0]
    if name in _ASKS:
        return f"{name} asks the device for a value"
    tags = set(func.tags)
    if torch.Tag.nondeterministic_seeded in tags:
        return f"{name} draws from a generator"
    masks = name != "aten::index" or any(tensor.dtype in (torch.bool, torch.uint8) for tensor in tensors[1:])
    if masks and tags & {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}:
        return f"{name} gives a size that depends on values"
    kinds = {tensor.device.type for tensor in tensors if tensor.ndim or tensor.device.type != "cpu"}
    to = kwargs.get("device")
    if name in _MOVES and len(kinds | ({torch.device(to).type} if to is not None else set())) > 1:
        return f"{name} moves values between the host and the device"
    return ""


def plain(leaf: Any) -> Any:
    """Return an argument as it is compared: numbers themselves, of tensors what does not depend on values."""
    if isinstance(leaf, Tensor):
        return tuple(leaf.shape), leaf.dtype, leaf.device.type
    return leaf if isinstance(leaf, int | float | bool | str | None) else str(leaf)
