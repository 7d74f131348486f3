"""Guests: methods in a table that does not list them; what of its protocol is theirs, and what it replaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.catalogue.methods import completed, method_facts

if TYPE_CHECKING:
    from benchmark.plan.cells import PlannedCell

OWN_PROTOCOL = "own protocol"
"""How a guest is marked that keeps its own protocol."""

KEPT = ("default of the suite", "the data set", "setting", "--set")
"""Origins of fields that the protocol of a table does not replace."""


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


@dataclass(frozen=True)
class Replaced:
    """A field of a guest that the protocol of a table replaces: its `own` value, and the table's with its `origin`."""

    path: str
    own: Any
    value: Any
    origin: str


def replaced_fields(cell: PlannedCell) -> list[Replaced]:
    """Return the fields of a guest's own protocol and parameters that the protocol of its table replaces."""
    if not cell.guest or cell.resolved is None:
        return []
    spec = cell.resolved.spec
    own = completed(spec.method, {"n_clusters": spec.params["n_clusters"]}).params
    before = {f"params.{name}": value for name, value in own.items()} | _leaves(method_facts(spec.method).protocol)
    return [
        Replaced(item.path, before[item.path], item.value, item.origin)
        for item in cell.resolved.fields
        if item.origin not in KEPT and item.path in before and before[item.path] != item.value
    ]


def _leaves(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _leaves(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found
