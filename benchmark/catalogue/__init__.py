"""What plug-ins say of themselves, remembered on disk, so that a command that only asks for it imports none of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.catalogue.answers import Catalogue, keep, remembered
    from benchmark.catalogue.datasets import DatasetFacts, dataset_facts
    from benchmark.catalogue.filling import fill_registries
    from benchmark.catalogue.methods import Completed, MethodFacts, Parent, completed, method_facts, parent
    from benchmark.catalogue.networks import LayerFacts, layers

__all__ = [
    "Catalogue",
    "Completed",
    "DatasetFacts",
    "LayerFacts",
    "MethodFacts",
    "Parent",
    "completed",
    "dataset_facts",
    "fill_registries",
    "keep",
    "layers",
    "method_facts",
    "parent",
    "remembered",
]

_HOMES = {
    "Catalogue": "benchmark.catalogue.answers",
    "Completed": "benchmark.catalogue.methods",
    "DatasetFacts": "benchmark.catalogue.datasets",
    "LayerFacts": "benchmark.catalogue.networks",
    "MethodFacts": "benchmark.catalogue.methods",
    "Parent": "benchmark.catalogue.methods",
    "completed": "benchmark.catalogue.methods",
    "dataset_facts": "benchmark.catalogue.datasets",
    "fill_registries": "benchmark.catalogue.filling",
    "keep": "benchmark.catalogue.answers",
    "layers": "benchmark.catalogue.networks",
    "method_facts": "benchmark.catalogue.methods",
    "parent": "benchmark.catalogue.methods",
    "remembered": "benchmark.catalogue.answers",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for, so that nothing heavy is imported for what nobody uses."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
