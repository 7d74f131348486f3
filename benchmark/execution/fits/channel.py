"""Messages between a run that trains apart and the process that made it: JSON and arrays, never pickled objects.

The side that trains runs code of others. What it says is read as plain values, so that it cannot act on this side, and
as it comes, so that a message that stops in the middle holds nobody up.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

LONGEST, LONGEST_HEAD = 2**32, 2**28
"""How many bytes the parts of a message may have together, and its kind and values as JSON."""

_LENGTH, _CHUNK = 8, 2**20


@dataclass(frozen=True)
class Message:
    """What is said: its kind, plain values, and bytes beside them."""

    kind: str
    values: Mapping[str, Any] = field(default_factory=dict)
    parts: Sequence[bytes] = ()


def send(pipe: Connection[Any, Any], message: Message, seconds: float | None = None) -> None:
    """Send a message; TypeError where its values are not plain, OSError where the other side is gone.

    TimeoutError, an OSError too, where the other side has not taken it after `seconds`.
    """
    sizes = [len(part) for part in message.parts]
    head = json.dumps({"kind": message.kind, "values": message.values, "parts": sizes}).encode()
    until = None if seconds is None else time.monotonic() + seconds
    for data in (len(head).to_bytes(_LENGTH, "big") + head, *message.parts):
        _write(pipe.fileno(), memoryview(data), until)


class Incoming:
    """The messages that come in through a pipe, each when it is whole."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        self._pipe = pipe
        self._held = bytearray()
        self._begun: tuple[str, Mapping[str, Any], list[int]] | None = None

    def next(self, seconds: float | None = None) -> Message | None:
        """Return the next message, None where none is whole after `seconds`.

        ValueError where it is none, EOFError or ConnectionError where the other side is gone.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while (message := self._whole()) is None:
            if not _ready(self._pipe.fileno(), select.POLLIN, until):
                return None
            data = os.read(self._pipe.fileno(), _CHUNK)
            if not data:
                raise EOFError
            self._held += data
        return message

    def _whole(self) -> Message | None:
        """Take a message from what is held, if it is there to its end."""
        if self._begun is None and (head := self._taken(_LENGTH, self._length())) is not None:
            self._begun = _opened(head)
        if self._begun is None:
            return None
        kind, values, sizes = self._begun
        data = self._taken(0, sum(sizes))
        if data is None:
            return None
        self._begun = None
        ends = accumulate(sizes, initial=0)
        return Message(kind, values, [data[start:end] for start, end in pairwise(ends)])

    def _length(self) -> int:
        length = int.from_bytes(self._held[:_LENGTH], "big")
        if length > LONGEST_HEAD:
            raise ValueError(f"it sent what is no message (of {length} bytes)")
        return length

    def _taken(self, start: int, length: int) -> bytes | None:
        """Take `length` bytes from `start` on, and what is before; None where they are not there yet."""
        end = start + length
        if len(self._held) < end:
            return None
        data = bytes(memoryview(self._held)[start:end])
        del self._held[:end]
        return data


def _opened(head: bytes) -> tuple[str, Mapping[str, Any], list[int]]:
    """Return the kind, the values and the sizes of the parts of a message."""
    try:
        found = json.loads(head)
        kind, values, sizes = str(found["kind"]), dict(found["values"]), [int(size) for size in found["parts"]]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"it sent what is no message ({type(error).__name__})") from None
    if len(sizes) > 16 or min(sizes, default=0) < 0 or sum(sizes) > LONGEST:
        raise ValueError("it sent what is no message (of parts without end)")
    return kind, values, sizes


def _ready(file: int, event: int, until: float | None) -> bool:
    """Wait until a file can be read from or written to, or the monotonic time `until`; return whether it can."""
    waiting = select.poll()
    waiting.register(file, event)
    return bool(waiting.poll(None if until is None else max(0.0, until - time.monotonic()) * 1000))


def _write(file: int, data: memoryview, until: float | None) -> None:
    while data:
        try:
            data = data[os.write(file, data) :]
        except BlockingIOError:
            if not _ready(file, select.POLLOUT, until):
                raise TimeoutError("the other side takes nothing") from None


def packed(labels: np.ndarray | None) -> list[bytes]:
    """Return assignments (n,) as the parts of a message: none where there are none."""
    return [] if labels is None else [np.ascontiguousarray(labels, dtype="<i8").tobytes()]


def unpacked(parts: Sequence[bytes], n: int) -> np.ndarray | None:
    """Return the assignments (n,), int64, that `packed` packed; ValueError where they are not `n`."""
    if not parts:
        return None
    found = np.frombuffer(parts[0], dtype="<i8").astype(np.int64)
    if found.shape != (n,):
        raise ValueError(f"it gave {len(found)} assignments of {n} samples")
    return found
