"""Narrow networks in place of the papers', for tests that ask how runs are made and not what they give."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmark.registry import NETWORKS
from methods.parts.networks import Convolution


def narrow_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `mlp-dec` have a tenth of its units and `cnn-small` a quarter of its filters."""
    vectors, images = NETWORKS["mlp-dec"], NETWORKS["cnn-small"]
    units = tuple(replace(layer, units=layer.units // 10) for layer in vectors.layers)
    filters = tuple(
        replace(layer, filters=layer.filters // 4) if isinstance(layer, Convolution) else layer
        for layer in images.layers
    )
    monkeypatch.setitem(NETWORKS._entries, "mlp-dec", replace(vectors, layers=units))
    monkeypatch.setitem(NETWORKS._entries, "cnn-small", replace(images, layers=filters))
