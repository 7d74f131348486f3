"""The condition of a process: all that is global in it and decides numbers. A fit must leave it as it was.

Before a fit it is put as every run has it, after it is compared, and whatever was changed is named and put back: one
run must not reach the next. Generators are given to each run anew and taken back: who draws from them changes nothing.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch.nn.modules import module as torch_modules
from torch.optim import optimizer as torch_optimizer

from benchmark.execution.fits.bindings import Bindings

AS_IT_WAS: Any = object()
"""In the place of a value: that which the process had."""

LIBRARY_VARIABLES = (
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "GOTO_", "BLIS_", "VECLIB_", "NUMEXPR_", "DNNL_", "ONEDNN_"),
    *("TORCH_", "PYTORCH_", "ATEN_", "CUDA_", "CUBLAS_", "CUDNN_", "NVIDIA_", "NPY_", "PYTHON", "RECLUST_"),
)
"""What the names of environment variables begin with that decide how numbers are computed, or where files lie."""

HARMLESS_VARIABLES = ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK")
"""What libraries set when they are imported, to no effect on numbers."""


@dataclass(frozen=True)
class Setting:
    """A global of the process: what it is called, how it is read and put, and the value that every run begins with."""

    name: str
    read: Callable[[], Any]
    put: Callable[[Any], object]
    begin: Any = AS_IT_WAS


def _flushes() -> bool:
    """Return whether this thread takes the smallest floats for zero."""
    smallest = sys.float_info.min
    return smallest / 2 == 0


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""


def _set_cwd(folder: str) -> None:
    with suppress(OSError):
        os.chdir(folder)


def _variables() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(LIBRARY_VARIABLES) and name not in HARMLESS_VARIABLES
    }


def _set_variables(values: Mapping[str, str]) -> None:
    for name in _variables().keys() - values.keys():
        del os.environ[name]
    os.environ.update(values)


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_deterministic(value: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


def _set_device(value: torch.device) -> None:
    torch.set_default_device(None if value.type == "cpu" else value)  # which takes its function mode away


def _hooks() -> list[tuple[str, tuple[Any, ...]]]:
    """Return the hooks that torch calls for every module and optimiser."""
    tables = {**vars(torch_modules), **vars(torch_optimizer)}
    return [
        (name, tuple(t.items()))
        for name, t in sorted(tables.items())
        if isinstance(t, dict) and name.startswith("_global_")
    ]


def _set_hooks(values: list[tuple[str, tuple[Any, ...]]]) -> None:
    for name, items in values:
        table = vars(torch_modules).get(name, vars(torch_optimizer).get(name))
        if table is not None:
            table.clear()
            table.update(items)


def _handlers() -> list[Any]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def _set_handlers(values: list[Any]) -> None:
    if threading.current_thread() is threading.main_thread():
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), values, strict=True):
            if handler is not None:
                signal.signal(number, handler)


def _cudnn() -> tuple[str, str, bool, bool]:
    backend: Any = torch.backends.cudnn
    return backend.conv.fp32_precision, backend.rnn.fp32_precision, backend.deterministic, backend.benchmark


def _set_cudnn(value: tuple[str, str, bool, bool]) -> None:
    backend: Any = torch.backends.cudnn
    backend.conv.fp32_precision, backend.rnn.fp32_precision, backend.deterministic, backend.benchmark = value


def _set_mkldnn(enabled: bool) -> None:
    torch._C._set_mkldnn_enabled(enabled)


SETTINGS: tuple[Setting, ...] = (
    Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype, torch.float32),
    Setting("torch's grad mode", torch.is_grad_enabled, torch.set_grad_enabled, True),
    Setting("torch's inference mode", torch.is_inference_mode_enabled, lambda value: None),
    Setting(
        "torch's float32 matmul precision",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
        "highest",
    ),
    Setting("the numeric mode of cuDNN", _cudnn, _set_cudnn),
    Setting("torch's mkldnn", lambda: torch._C._get_mkldnn_enabled(), _set_mkldnn, True),
    Setting("flushing of denormal numbers", _flushes, torch.set_flush_denormal, False),
    Setting("torch's deterministic mode", _deterministic, _set_deterministic),
    Setting("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
    Setting("torch's default device", torch.get_default_device, _set_device),
    Setting(
        "torch's autocast",
        lambda: torch.is_autocast_enabled("cpu"),
        lambda value: torch.set_autocast_enabled("cpu", value),
        False,
    ),
    Setting("torch's hooks of all modules", _hooks, _set_hooks),
    Setting("torch's function modes", lambda: torch._C._len_torch_function_stack(), lambda value: None),
    Setting("numpy's handling of errors", np.geterr, lambda value: np.seterr(**value)),
    Setting("the working directory", _cwd, _set_cwd),
    Setting("environment variables of libraries", _variables, _set_variables),
    Setting("signal handlers", _handlers, _set_handlers),
)


def _which(was: Any, now: Any) -> str:
    """Return which values of a mapping differ."""
    if not isinstance(was, dict):
        return ""
    return f" ({', '.join(sorted(name for name in was | now if was.get(name) != now.get(name)))})"


class _Pools:
    """The numbers of threads of the BLAS and OpenMP libraries that are loaded."""

    def __init__(self) -> None:
        self.pools = _libraries(len(sys.modules)).lib_controllers
        self.threads = [pool.num_threads for pool in self.pools]

    def changed(self) -> list[str]:
        """Return what changed, after putting it back."""
        found = []
        for pool, threads in zip(self.pools, self.threads, strict=True):
            if pool.num_threads != threads:
                pool.set_num_threads(threads)
                found.append(f"the number of threads of {pool.internal_api}")
        return found


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """Return the loaded libraries; to look for them takes longer than all the rest, and they come with `modules`."""
    return ThreadpoolController()


@contextmanager
def kept_condition(seed: int) -> Iterator[Callable[[], list[str]]]:
    """Put the process as every run has it, and give a function that puts it back and names what was changed meanwhile.

    Generators of numpy and Python begin with `seed`; those of torch a fit has from its own streams. At the end
    everything is as it was before, whatever happened.
    """
    outside = [setting.read() for setting in SETTINGS]
    generators = random.getstate(), np.random.get_state(), torch.get_rng_state()
    for setting, was in zip(SETTINGS, outside, strict=True):
        if setting.begin is not AS_IT_WAS and was != setting.begin:
            setting.put(setting.begin)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    inside = [setting.read() for setting in SETTINGS]
    pools, bindings = _Pools(), Bindings()

    def changed() -> list[str]:
        found = []
        for setting, was in zip(SETTINGS, inside, strict=True):
            if (now := setting.read()) != was:
                setting.put(was)
                found.append(setting.name + _which(was, now))
        return found + pools.changed() + bindings.changed()

    try:
        yield changed
    finally:
        changed()
        for setting, was in zip(SETTINGS, outside, strict=True):
            if setting.read() != was:
                setting.put(was)
        random.setstate(generators[0])
        np.random.set_state(generators[1])
        torch.set_rng_state(generators[2])
