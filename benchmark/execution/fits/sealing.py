"""Scores that pass through the process that trains, unreadable for it: sealed with the labels, which it does not have.

A checkpoint must hold the metrics so far, and the side that trains writes it. Whoever has the labels can open it, and
learns nothing that the labels do not say.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import Any

import numpy as np

_NONCE, _DIGEST = 16, 16


def sealed(value: Any, labels: np.ndarray) -> str:
    """Return a value that JSON can hold as a text that only those who have the labels (n,) can read."""
    plain, nonce = json.dumps(value).encode(), os.urandom(_NONCE)
    digest = _digest(plain, labels, nonce)
    return base64.b64encode(nonce + digest + _masked(plain, labels, nonce)).decode()


def opened(text: str, labels: np.ndarray) -> Any:
    """Return what was sealed; ValueError where it was changed, or sealed with other labels."""
    data = base64.b64decode(text, validate=True)
    nonce, digest, hidden = data[:_NONCE], data[_NONCE : _NONCE + _DIGEST], data[_NONCE + _DIGEST :]
    plain = _masked(hidden, labels, nonce)
    if _digest(plain, labels, nonce) != digest:
        raise ValueError("the scores of a checkpoint are not those that were sealed with these labels")
    return json.loads(plain)


def _masked(data: bytes, labels: np.ndarray, nonce: bytes) -> bytes:
    mask = hashlib.shake_256(_key(labels) + nonce).digest(len(data))
    return (int.from_bytes(data, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(data), "big")


def _digest(plain: bytes, labels: np.ndarray, nonce: bytes) -> bytes:
    return hashlib.blake2b(_key(labels) + nonce + plain, digest_size=_DIGEST).digest()


def _key(labels: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(labels, dtype="<i8").tobytes()).digest()
