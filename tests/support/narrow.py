"""A narrow network in place of one of the papers', for tests that ask how runs are made and not what they give."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmark.registry import NETWORKS


def narrow_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `mlp-dec` have a tenth of its units: a step on few samples is mostly one on its weights."""
    network = NETWORKS["mlp-dec"]
    layers = tuple(replace(layer, units=layer.units // 10) for layer in network.layers)
    monkeypatch.setitem(NETWORKS._entries, "mlp-dec", replace(network, layers=layers))
