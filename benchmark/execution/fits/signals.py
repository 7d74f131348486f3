"""Signals of processes that are being started, and of those that a driver tells what to do."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PR_SET_PDEATHSIG = 1


@contextmanager
def signals_wait() -> Iterator[None]:
    """Start a process that gets no signal before it has said what is to become of them, which takes it seconds."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which would let them through again when it begins
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def signals_come() -> None:
    """Let signals through again, in a process that has said what is to become of them."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def leave_to_the_driver() -> None:
    """Take this process out of the terminal's group: it ignores signals, and dies with the one that started it."""
    with suppress(OSError):
        os.setsid()
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    signals_come()


def say_nothing_on_stdout() -> None:
    """Send whatever this process prints to standard error: standard output is the command's, which may be JSON."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
        os.dup2(2, 1)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # it may be ended without notice
