"""What the protocol of a table replaces of a guest's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.catalogue.methods import completed, method_facts
from benchmark.plan.cells import PlannedCell

KEPT = ("default of the suite", "the data set", "setting", "--set")
"""Origins of fields that the protocol of a table does not replace."""


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
