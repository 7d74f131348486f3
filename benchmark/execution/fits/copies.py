"""How processes are started: as copies of one that has imported what each of them needs, where the system can."""

from __future__ import annotations

import multiprocessing
from typing import Any

from benchmark.execution.fits.signals import signals_wait


def copies() -> Any:
    """Return how processes are started: as copies of one that has imported torch and the methods, in little time.

    That one is started when the first copy is; its environment and its signals are those of that moment.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmark.execution.fits.preloaded"])
    return context


def begin_importing() -> None:
    """Start the process of which copies are made, which imports for seconds, while this one does something else."""
    if copies().get_start_method() == "forkserver":
        from multiprocessing.forkserver import ensure_running

        with signals_wait():
            ensure_running()
