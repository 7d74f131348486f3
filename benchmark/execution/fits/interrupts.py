"""The user's interrupts, told apart from those that a method raises itself."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether the user's interrupt came meanwhile: a method may raise one of its own.

    Whoever heard interrupts before hears them still. Outside of the main thread none arrives.
    """
    heard = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield heard.is_set
        return
    listener: Callable[[int, FrameType | None], object] = before

    def hear(number: int, frame: FrameType | None) -> None:
        heard.set()
        listener(number, frame)

    signal.signal(signal.SIGINT, hear)
    try:
        yield heard.is_set
    finally:
        signal.signal(signal.SIGINT, before)
