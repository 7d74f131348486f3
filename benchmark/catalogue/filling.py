"""Filling the registries with names: from the catalogue, or by importing all plug-ins and making it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from benchmark.catalogue.answers import Catalogue, read, use
from benchmark.catalogue.datasets import dataset_facts
from benchmark.catalogue.methods import method_facts
from benchmark.catalogue.networks import layers
from benchmark.catalogue.sources import sources_key, stamps_elsewhere
from benchmark.registry import DATASETS, METHODS, NETWORKS, Registry, load_plugins

_REGISTRIES: tuple[Registry[Any], ...] = (METHODS, DATASETS, NETWORKS)


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
        for registry in _REGISTRIES:
            registry.expect(found.modules[registry.kind])
        use(found)
        return
    sys.stderr.write("note: methods or data sets are new or changed; they are imported once, in some seconds.\n")
    load_plugins()
    modules = {r.kind: {name: r.origin(name).module for name in r} for r in _REGISTRIES}
    use(Catalogue(key, modules, stamps_elsewhere(), changed=True))
    told: tuple[Callable[[str], object], ...] = (method_facts, dataset_facts, layers)  # what lists need
    for registry, declared in zip(_REGISTRIES, told, strict=True):
        for name in registry:
            declared(name)
