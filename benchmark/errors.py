"""Errors that the user can mend: one sentence that says how; the command line exits with 1, or 2."""

from __future__ import annotations

import difflib
import traceback
from typing import Any

ERROR_BYTES = 4096
"""How long an error may be, in UTF-8."""

TRACEBACK_BYTES = 32768
"""How long a traceback may be: its beginning and its end are kept."""


class UserError(Exception):
    """An error the user can mend: the message is one sentence that says how. The command line exits with 1."""


class UsageError(UserError):
    """A wrong call: a name, an option or a value that cannot be. The command line exits with 2."""


class DataError(UserError):
    """Data that are missing, damaged or not what they should be."""


def did_you_mean(kind: str, name: str, known: Any) -> str:
    """Return one sentence saying that `name` is unknown, with the nearest of the `known` names."""
    near = difflib.get_close_matches(name.lower(), list(known), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else f"known: {', '.join(sorted(known))}."
    return f"there is no {kind} named {name!r}; {hint}"


def encodable(text: str) -> str:
    r"""Return a text that can be written as UTF-8: what cannot, and NUL, becomes an escape.

    >>> encodable("a\udc80b")
    'a\\udc80b'
    """
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def error_line(text: str) -> str:
    """Return the first line of a text, of at most `ERROR_BYTES`."""
    lines = encodable(text).splitlines()
    return _cut(lines[0] if lines else "", ERROR_BYTES, 0)


def error_text(error: BaseException) -> str:
    """Return what an exception is in one line; its own text may be missing, endless, or raise itself."""
    kind = type(error).__name__
    try:
        return error_line(f"{kind}: {error}")
    except BaseException as fault:  # whatever the method's own __str__ does
        return error_line(f"{kind}: its text cannot be made ({type(fault).__name__})")


def traceback_text(error: BaseException) -> str:
    """Return the traceback of an exception, of at most `TRACEBACK_BYTES`."""
    try:
        text = "".join(traceback.format_exception(error))
    except BaseException:
        text = "".join(traceback.format_tb(error.__traceback__)) + error_text(error) + "\n"
    return _cut(encodable(text), TRACEBACK_BYTES, TRACEBACK_BYTES // 2)


def _cut(text: str, size: int, end: int) -> str:
    """Return a text of at most `size` bytes, with its last `end` bytes, and how many were left out."""
    data = text.encode()
    if len(data) <= size:
        return text
    mark = f" ... {len(data) - size} bytes and more left out ... "
    head = data[: size - end - len(mark)].decode(errors="ignore")
    return head + mark + (data[-end:].decode(errors="ignore") if end else "")
