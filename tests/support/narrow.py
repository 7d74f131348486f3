"""A narrow network in place of one of the papers', for tests that ask how runs are made and not what they give."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmark.registry import NETWORKS


def narrow_vectors(monkeypatch: pytest.MonkeyPatch, name: str = "mlp-dec", share: int = 10) -> None:
    """Let the network `name` have a `share`-th of its units: a step on few samples is mostly one on its weights."""
    network = NETWORKS[name]
    layers = tuple(replace(layer, units=layer.units // share) for layer in network.layers)
    monkeypatch.setitem(NETWORKS._entries, name, replace(network, layers=layers))
