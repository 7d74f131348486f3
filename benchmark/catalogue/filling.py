"""Filling the registries with names: from the catalogue, or by importing all plug-ins and making it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from benchmark.catalogue.answers import Catalogue, read, use
from benchmark.catalogue.datasets import dataset_facts
from benchmark.catalogue.methods import method_facts
from benchmark.catalogue.networks import layers
from benchmark.catalogue.sources import sources_key, stamps_elsewhere
from benchmark.registry import (
    BROKEN,
    DATASETS,
    METHODS,
    NETWORKS,
    REGISTRIES,
    Registry,
    fill_when_asked,
    load_plugins,
)


def fill_registries() -> None:
    """Let the registries know all plug-ins by name, from the catalogue; where there is none, make it.

    RECLUST_CACHE=off keeps and reads none: all plug-ins are imported.
    """
    if os.environ.get("RECLUST_CACHE", "").lower() == "off":
        load_plugins()
        return
    key = sources_key()
    found = read(key)
    if found is not None:
        for registry in REGISTRIES:
            registry.expect(found.modules[registry.kind])
        use(found)
        return
    sys.stderr.write("note: methods or data sets are new or changed; they are imported once, in some seconds.\n")
    load_plugins()
    modules = {registry.kind: _modules(registry) for registry in REGISTRIES}
    use(Catalogue(key, modules, stamps_elsewhere(), {}, True, bool(BROKEN)))
    told: tuple[Callable[[str], object], ...] = (method_facts, dataset_facts, layers)  # what lists need
    for registry, declared in zip((METHODS, DATASETS, NETWORKS), told, strict=True):
        for name in registry:
            declared(name)


@cache
def fill_once() -> None:
    """Have the registries filled when they are first asked for something; later calls of a process change nothing."""
    fill_when_asked(fill_registries)


def _modules(registry: Registry[Any]) -> dict[str, str]:
    """Return the modules that register plug-ins, by their names; what the suite itself registers is no plug-in."""
    found = {name: registry.origin(name).module for name in registry}
    return {name: module for name, module in found.items() if module.partition(".")[0] != "benchmark"}
