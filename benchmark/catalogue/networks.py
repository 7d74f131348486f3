"""What tables and figures ask of a network: its layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmark.catalogue.answers import remembered
from benchmark.registry import NETWORKS

DECLARED = ("size", "filters", "units", "batch_norm")


@dataclass(frozen=True)
class LayerFacts:
    """A layer as its network declares it: name, kind (its class), and what it has of the rest, None where not."""

    name: str
    kind: str
    size: int | None = None
    filters: int | None = None
    units: int | None = None
    batch_norm: bool | None = None


def layers(network: str) -> tuple[LayerFacts, ...]:
    """Return the layers that a network declares, none where it lists none; UsageError without such a network."""
    return tuple(LayerFacts(**told) for told in remembered(("network", network), lambda: _declared(network)))


def _declared(network: str) -> list[dict[str, Any]]:
    return [
        {"name": layer.name, "kind": type(layer).__name__}
        | {name: getattr(layer, name) for name in DECLARED if getattr(layer, name, None) is not None}
        for layer in getattr(NETWORKS[network], "layers", ())
    ]
