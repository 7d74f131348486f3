"""What a method does by default, used alone: the paper reading of the cell that it says it is at home in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from benchmark.papers.paper import load_paper, paper_ids
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.registry import METHODS, load_plugins
from benchmark.spec import RunSpec
from methods import DEC, IDEC

load_plugins()
AT_HOME = [name for name in METHODS if vars(METHODS[name]).get("home") is not None]


def paper_reading(name: str) -> RunSpec:
    """Return the run of the cell that a method is at home in, with the whole budget of the paper."""
    table, column = METHODS[name].home
    (cell,) = plan_cells(Request("paper", tables=(table,), methods=(name,), datasets=(column,), readings=("paper",)))
    return cell.specs[0]


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def test_every_method_of_a_paper_says_where_it_is_at_home():
    named = {rule.method for paper in paper_ids() for rule in load_paper(paper).protocol.methods.values()}
    assert named - {""} <= set(AT_HOME)
    for name in AT_HOME:
        paper, _, table = METHODS[name].home[0].partition("/")
        assert METHODS[name].home[1] in load_paper(paper).table(table).columns, name


@pytest.mark.parametrize("name", AT_HOME)
def test_default_parameters_are_those_of_the_paper_reading_at_home(name):
    spec, model = paper_reading(name), METHODS[name].Params
    whole = model(**spec.params).model_dump()
    assert whole == model(n_clusters=spec.params["n_clusters"]).model_dump()


@pytest.mark.parametrize("name", AT_HOME)
def test_the_default_protocol_is_that_of_the_paper_reading_at_home_with_its_whole_budget(name):
    spec, method = paper_reading(name), METHODS[name]
    default = {phase: method.default_protocol.phases[phase].model_dump() for phase in spec.protocol.phases}
    assert dict(leaves(default)) == dict(leaves({p: s.model_dump() for p, s in spec.protocol.phases.items()}))
    assert set(default) == set(method.phases_used(method.Params(n_clusters=2)))


def test_dec_and_idec_are_what_idec2017_says_of_mnist():
    """Section 4.2: SGD with .01 and .9 for DEC, whose own code updates every 160 steps; IDEC: Adam, every 140."""
    dec, idec = (method.default_protocol.phases["cluster"].optimiser for method in (DEC, IDEC))
    assert (dec.name, dec.lr, dec.momentum, DEC(10).update_interval) == ("sgd", 0.01, 0.9, 160)
    assert (idec.name, idec.lr, IDEC(10).update_interval, IDEC(10).clustering_weight) == ("adam", 1e-3, 140, 0.1)
    assert IDEC(10).reconstruction == "mean", "I1"
