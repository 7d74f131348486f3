"""Messages between a run that trains apart and the process that made it: JSON and arrays, never pickled objects.

The side that trains runs code of others. What it says is read as plain values, so that it cannot act on this side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

LONGEST = 2**32
"""How many bytes a part of a message may have."""


@dataclass(frozen=True)
class Message:
    """What is said: its kind, plain values, and bytes beside them."""

    kind: str
    values: Mapping[str, Any] = field(default_factory=dict)
    parts: Sequence[bytes] = ()


def send(pipe: Connection[Any, Any], message: Message) -> None:
    """Send a message; TypeError where its values are not plain."""
    head = {"kind": message.kind, "values": message.values, "parts": len(message.parts)}
    pipe.send_bytes(json.dumps(head).encode())
    for part in message.parts:
        pipe.send_bytes(part)


def receive(pipe: Connection[Any, Any]) -> Message:
    """Return the next message; ValueError where it is none, EOFError or OSError where the other side is gone."""
    try:
        head = json.loads(pipe.recv_bytes(LONGEST))
        return Message(
            str(head["kind"]), dict(head["values"]), [pipe.recv_bytes(LONGEST) for _ in range(head["parts"])]
        )
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"it sent what is no message ({type(error).__name__})") from None


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
