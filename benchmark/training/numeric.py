"""How a CUDA device computes: torch's own choices there are TF32 convolutions and algorithms that change between runs.

A fit on CUDA computes in IEEE float32 with deterministic algorithms, unless it declares otherwise; what was in force is
read from torch and goes into its record. On the CPU nothing is set, as nothing there needs it.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmark.errors import UsageError

WORKSPACE_VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
WORKSPACE = ":4096:8"
"""Eight buffers of 4 MiB: with a fixed workspace, matrix products on CUDA sum in the same order always."""

_CANNOT = re.compile(r"(\S+) does not have a deterministic implementation")


@dataclass
class NumericMode:
    """What was in force while a fit computed on CUDA.

    `matmul`, `convolutions` and `recurrent` layers are "ieee" or "tf32". `nondeterministic` are the operations that
    were called and have no deterministic algorithm.
    """

    matmul: str
    convolutions: str
    recurrent: str
    deterministic_algorithms: bool
    cudnn_deterministic: bool
    cudnn_benchmark: bool
    cublas_workspace: str
    nondeterministic: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """Return it as values of a record."""
        return {**vars(self), "nondeterministic": sorted(self.nondeterministic)}


@contextmanager
def numeric_mode(device: torch.device | str, precision: str = "float32") -> Iterator[NumericMode | None]:
    """Let a fit compute as `precision` declares on a device, and give what is in force; None on another than CUDA.

    With "tf32", which only CUDA devices have, convolutions, recurrent layers and their gradients round their inputs to
    TF32; matrix products stay IEEE float32, and so does all else: that is what torch does unless told otherwise. "bf16"
    is the method's own doing. Everything is put back afterwards but the variable of cuBLAS, which is read once in the
    life of a process.

    Raises
    ------
    UsageError
        Where the device doesn't have the precision.
    """
    if not str(device).startswith("cuda"):
        if precision == "tf32":
            raise UsageError(f"precision = 'tf32' needs a CUDA device, and this one is {str(device)!r}: use 'float32'.")
        yield None
        return
    os.environ.setdefault(WORKSPACE_VARIABLE, WORKSPACE)
    before = _read()
    convolutions = "tf32" if precision == "tf32" else "ieee"
    _put(("ieee", convolutions, convolutions, True, True, True, False, False))
    try:
        mode = mode_now()
        with _noted(mode.nondeterministic):
            yield mode
    finally:
        _put(before)


def mode_now() -> NumericMode:
    """Return how torch computes on CUDA now."""
    matmul, convolutions, recurrent, algorithms, _, deterministic, tuned, _ = _read()
    return NumericMode(
        matmul=_said(matmul),
        convolutions=convolutions,
        recurrent=recurrent,
        deterministic_algorithms=algorithms,
        cudnn_deterministic=deterministic,
        cudnn_benchmark=tuned,
        cublas_workspace=os.environ.get(WORKSPACE_VARIABLE, ""),
    )


_Settings = tuple[str, str, str, bool, bool, bool, bool, bool]


def _said(precision: str) -> str:
    """Return what torch's word for the precision of matrix products means: "none" is its default, IEEE."""
    return "ieee" if precision == "none" else precision


def _read() -> _Settings:
    # Since torch 2.9 there are two sets of switches, and a mixture is refused: only the new ones are touched here.
    backends: Any = torch.backends
    return (
        backends.cuda.matmul.fp32_precision,
        backends.cudnn.conv.fp32_precision,
        backends.cudnn.rnn.fp32_precision,
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        backends.cudnn.deterministic,
        backends.cudnn.benchmark,
        torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
    )


def _put(values: _Settings) -> None:
    backends: Any = torch.backends
    backends.cuda.matmul.fp32_precision = values[0]
    backends.cudnn.conv.fp32_precision = values[1]
    backends.cudnn.rnn.fp32_precision = values[2]
    torch.use_deterministic_algorithms(values[3], warn_only=values[4])
    backends.cudnn.deterministic = values[5]
    backends.cudnn.benchmark = values[6]
    # What torch would fill with NaN to show that memory is read before it is written costs a kernel for each tensor.
    torch.utils.deterministic.fill_uninitialized_memory = values[7]  # type: ignore[attr-defined]


@contextmanager
def _noted(names: list[str]) -> Iterator[None]:
    """Note the operations that torch warns of as not deterministic, in place of the warning; pass on all others."""
    with warnings.catch_warnings():
        warnings.filterwarnings("default", _CANNOT.pattern)
        shown = warnings.showwarning

        def note(message: Warning | str, *rest: Any, **named: Any) -> None:
            found = _CANNOT.match(str(message))
            if found is None:
                shown(message, *rest, **named)
            elif found[1] not in names:
                names.append(found[1])

        warnings.showwarning = note
        yield
