"""How processes are started: as copies of one that has imported what each of them needs, where the system can."""

from __future__ import annotations

import multiprocessing
from typing import Any


def copies() -> Any:
    """Return how processes are started: as copies of one that has imported torch and the methods, in little time.

    That one is started when the first copy is; its environment and its signals are those of that moment.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmark.execution.fits.preloaded"])
    return context
