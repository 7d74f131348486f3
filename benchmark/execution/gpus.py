"""Which GPU each worker process sees, where a command runs on CUDA without a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

VARIABLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus(names: Sequence[str], variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the value of CUDA_VISIBLE_DEVICES by which a process sees one GPU, for each GPU that may be used.

    `names` are those of the GPUs that torch sees, in its order; `variables` is the environment in which it does. GPUs
    of another name than the first are left out: results of different devices are never mixed.

    >>> visible_gpus(["A100", "A100"], {"CUDA_VISIBLE_DEVICES": "2, GPU-5f"})
    ('2', 'GPU-5f')
    >>> visible_gpus(["A100", "T4", "A100"], {})
    ('0', '2')
    """
    listed = variables.get(VARIABLE)
    places = [str(i) for i in range(len(names))] if listed is None else [part.strip() for part in listed.split(",")]
    return tuple(place for place, name in zip(places, names, strict=False) if name == names[0])


def least_used(gpus: Sequence[str], taken: Sequence[str]) -> str:
    """Return the one of `gpus` at which fewest of the workers, whose GPUs are `taken`, are; the first of equals.

    >>> least_used(["0", "1"], ["0", "0", "1"])
    '1'
    """
    return min(gpus, key=list(taken).count)


@contextmanager
def sees(gpu: str | None) -> Iterator[None]:
    """Let a process that is started here see `gpu` only: it inherits the environment of this moment.

    It finds the workspace of cuBLAS there, too, before anything can start CUDA in it.
    """
    if gpu is None:
        yield
        return
    from benchmark.training.numeric import WORKSPACE, WORKSPACE_VARIABLE

    given = {VARIABLE: gpu, WORKSPACE_VARIABLE: os.environ.get(WORKSPACE_VARIABLE, WORKSPACE)}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})
