"""An HTTP answer that is read by a thread of its own, so that no server can hold up who waits for it.

A timeout of sockets begins anew with every byte: a server that sends five bytes a second, or one letter of its greeting
at a time, never meets it. Here it is what arrives in a minute that counts, whatever it is.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterator, Mapping

import requests

from benchmark.errors import UsageError

SLOWEST = 2**10
"""Bytes in a second, in each `WINDOW`, below which a server counts as stuck; RECLUST_SLOWEST says otherwise."""

WINDOW = 60.0
"""Seconds over which they are counted, the first from the question on."""

CHUNK = 2**14
"""Bytes that are gathered at once, and the most that a transfer that breaks off loses."""

_WAITING = 8
_LOOK_AGAIN_SECONDS = 0.1


class StuckError(ConnectionError):
    """A server sends next to nothing."""


def slowest() -> float:
    """Return the bytes in a second below which a server counts as stuck; 0 waits for ever."""
    text = os.environ.get("RECLUST_SLOWEST", "")
    try:
        rate = float(text) if text else float(SLOWEST)
    except ValueError:
        rate = -1.0
    if not 0 <= rate < float("inf"):
        raise UsageError(f"RECLUST_SLOWEST={text!r} is no number of bytes in a second: write 1024, or 0 for no limit.")
    return rate


class Watched:
    """The answer to one question; a context at whose end the connection is left to itself.

    `answer` has status and headers; `chunks` gives its content. Both raise `StuckError` where the server is stuck, and
    what requests raises.
    """

    def __init__(self, url: str, headers: Mapping[str, str], silence: tuple[float, float]) -> None:
        self._came: queue.Queue[requests.Response | bytes | Exception | None] = queue.Queue(_WAITING)
        self._over = threading.Event()
        self._least = slowest() * WINDOW
        self._since, self._received = time.monotonic(), 0
        work = threading.Thread(target=self._read, args=(url, dict(headers), silence), daemon=True)
        work.start()

    def __enter__(self) -> Watched:
        """Wait for the answer."""
        try:
            first = self._next()
        except BaseException:
            self._over.set()
            raise
        assert isinstance(first, requests.Response)
        self.answer = first
        return self

    def __exit__(self, *_: object) -> None:
        """Ask for no more."""
        self._over.set()

    def chunks(self) -> Iterator[bytes]:
        """Yield the content as it comes."""
        while isinstance(chunk := self._next(), bytes):
            self._received += len(chunk)
            yield chunk

    def _next(self) -> requests.Response | bytes | None:
        while True:
            try:
                came = self._came.get(timeout=max(0.0, self._since + WINDOW - time.monotonic()))
            except queue.Empty:
                if self._received < self._least:
                    raise StuckError(
                        f"the server sends next to nothing, {self._received} bytes in {WINDOW:g} s"
                    ) from None
                self._since, self._received = time.monotonic(), 0
                continue
            if isinstance(came, Exception):
                raise came
            return came

    def _read(self, url: str, headers: dict[str, str], silence: tuple[float, float]) -> None:
        try:
            with requests.get(url, headers=headers, stream=True, timeout=silence) as answer:
                going_on = self._tell(answer)
                pieces = answer.iter_content(CHUNK)
                while going_on and (piece := next(pieces, b"")):
                    going_on = self._tell(piece)
            self._tell(None)
        except Exception as error:  # it is the caller's, whatever it is
            self._tell(error)

    def _tell(self, what: requests.Response | bytes | Exception | None) -> bool:
        """Hand something to who waits; return False where nobody does."""
        while not self._over.is_set():
            try:
                self._came.put(what, timeout=_LOOK_AGAIN_SECONDS)
                return True
            except queue.Full:
                continue
        return False
