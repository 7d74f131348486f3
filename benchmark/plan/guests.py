"""Guests: methods in a table that does not list them, and what of its protocol is theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

OWN_PROTOCOL = "own protocol"
"""How a guest is marked that keeps its own protocol."""


@dataclass(frozen=True)
class Guest:
    """A method in a table that does not list it.

    `paths` says whether a dotted path is one of the methods for which the paper's rules are written: those of the
    table's rows, and the guest itself where the paper has it in another table. So rules for another family of methods
    do not catch a phase or a parameter that happens to have the same name. With `own_protocol` no rule of the paper
    applies, and of the profile only what is spent: budgets, and how often is evaluated.
    """

    paths: Callable[[str], bool]
    own_protocol: bool = False

    def ruled(self, path: str) -> bool:
        """Whether the paper's rules for a field concern the guest."""
        return not self.own_protocol and self.paths(path)

    def spends(self, path: str) -> bool:
        """Whether what the profile sets for a field concerns the guest."""
        spent = ".budget." in path or path.endswith(".evaluate_every")
        return self.paths(path) and (spent or not self.own_protocol)
