"""Errors that the user can mend: one sentence that says how; the command line exits with 1, or 2."""

from __future__ import annotations

import difflib
from typing import Any


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
