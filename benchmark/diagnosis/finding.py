"""A finding: one thing that was looked at, how it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["fine", "note", "blocks"]
"""Nothing to do; something that one may want to do; something that has to be done before (some) runs can be made."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: its area and name, how it is, and the mend, empty where there is nothing to do."""

    area: str
    name: str
    state: State
    what: str
    mend: str = ""
