"""docs/figures.md: what it declares is accepted, and what it writes in Python runs."""

from __future__ import annotations

import re
import tomllib

import numpy as np
import pytest

from benchmark.analysis.artefacts import EMBEDDING
from benchmark.figures.rules import KINDS, figure_rule
from benchmark.measure.stated import Stated
from benchmark.registry import ARTEFACTS, DERIVED, OBSERVERS
from tests.support.checkout import ROOT

TEXT = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.S)


def test_the_declared_figure_is_accepted():
    (text,) = blocks("toml")
    for name, values in tomllib.loads(text).items():
        assert figure_rule(values, name).statement


def test_every_kind_and_every_rule_stands_in_a_table():
    assert all(f"`{kind}`" in TEXT for kind in KINDS)
    models = Stated.__origin__.__args__
    rules = {rule for model in models for rule in model.model_fields["rule"].annotation.__args__}
    assert all(f"`{rule}`" in TEXT for rule in rules)


def test_the_drawing_draws():
    scope: dict[str, object] = {}
    exec(blocks("python")[0], scope)
    (figure,) = scope["FIGURES"]
    assert len(figure.draw(None).figure.axes[0].texts) == 2


def test_the_plug_in_registers(monkeypatch: pytest.MonkeyPatch):
    for registry in (OBSERVERS, DERIVED, ARTEFACTS):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    exec(blocks("python")[1], {"__name__": "docs"})
    assert "largest" in OBSERVERS and "epochs_trained" in DERIVED and EMBEDDING.name in ARTEFACTS

    class Seen:
        assignments = clusters = np.array([0, 1, 1])

    assert OBSERVERS["largest"](Seen(), None, None) == {"largest": 2.0}
    assert ARTEFACTS["sizes"].read(ARTEFACTS["sizes"].made(Seen(), {})) == [1, 2]
