"""Files of unknown origin read within bounds: JSON not nested without end, gzip that does not unpack to gigabytes."""

from __future__ import annotations

import json
import re
import sys
import zlib
from typing import Any

DEEPEST = 64
"""So many levels may JSON be nested; what is written here has ten."""

_SAFE_RECURSION = 3000
"""Where a library has let Python recurse deeper, nested JSON may overflow the stack before Python says so."""

_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)

SMALL_BYTES = 64 * 2**20
MOST_FOLD = 100
"""A gzip file may hold `SMALL_BYTES`, or so many times its own size. Text of numbers packs to a fifth."""


def plain_json(text: str | bytes) -> Any:
    """Return what JSON text holds; ValueError where it is none, or is nested deeper than `DEEPEST` levels."""
    if sys.getrecursionlimit() > _SAFE_RECURSION and _opens_deep(text):
        raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels") from None
    brackets = text.count(b"[") + text.count(b"{") if isinstance(text, bytes) else text.count("[") + text.count("{")
    if brackets > DEEPEST and _deep(value):
        raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    return value


def _opens_deep(text: str | bytes) -> bool:
    """Whether brackets outside of strings are nested too deep; tells without recursion."""
    level = 0
    shown = text if isinstance(text, str) else text.decode(json.detect_encoding(text), "surrogatepass")
    for token in _TOKENS.finditer(shown):
        level += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if level > DEEPEST:
            return True
    return False


def _deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST + 1):
        if not level:
            return False
        items = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)]
        level = [part for item in items for part in item]
    return True


def unpacked(data: bytes) -> bytes:
    """Return what the bytes of a gzip file hold; ValueError or zlib.error where they are damaged or hold too much."""
    most = max(SMALL_BYTES, MOST_FOLD * len(data))
    parts, size, left = [], 0, data
    while left:
        unpacker = zlib.decompressobj(wbits=31)
        part = unpacker.decompress(left, most - size + 1)
        parts.append(part)
        size += len(part)
        if size > most:
            raise ValueError(f"its {len(data)} bytes unpack to more than {most}")
        if not unpacker.eof:
            raise ValueError("it ends before its end")
        left = unpacker.unused_data.lstrip(b"\0")
    return b"".join(parts)
