"""Wait for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 300.0
"""Seconds after which what is waited for will not come, on a slow machine neither: it ends a test that would hang."""


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Return as soon as a condition holds; AssertionError, saying what was waited for, where it never does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.01)
