"""Where a record comes from: the digest of the code that made it, and the environment it was made in."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.provenance.code import data_code_digest, run_code_digest

__all__ = ["data_code_digest", "run_code_digest"]

_HOMES = {
    "data_code_digest": "benchmark.provenance.code",
    "run_code_digest": "benchmark.provenance.code",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for, so that nothing heavy is imported for what nobody uses."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
