"""Rows of guests: they compete for bold, say whose protocol they follow, and stay without their package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.record import RunRecord
from benchmark.registry import METHODS, load_plugins, register_method
from benchmark.session import Session
from benchmark.spec import Optimiser, Phase, Protocol
from benchmark.store import Store
from benchmark.training import Clusterer, ClusterParams

load_plugins()
TABLE = ("--table", "tkuco2024/table2", "--profile", "quick", "--method", "ddc", "--method", "visitor")


class Visitor(Clusterer):  # type: ignore[type-arg]
    """A guest."""

    Params = ClusterParams
    default_protocol = Protocol(phases={"train": Phase(optimiser=Optimiser(lr=3e-4))})


@pytest.fixture
def visitor(nothing_shipped: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Register a method that the tests may take away; the working directory is empty."""
    monkeypatch.chdir(tmp_path)

    register_method("visitor")(Visitor)
    yield lambda: dict.pop(METHODS._entries, "visitor")  # type: ignore[arg-type]
    dict.pop(METHODS._entries, "visitor", None)  # type: ignore[arg-type]


def keep(method: str, accs: list[float], own: bool = False) -> None:
    asked = Request(tables=("tkuco2024/table2",), methods=(method,), runs=len(accs), own_protocol=own)
    (cell,) = plan_cells(asked)
    for spec, acc in zip(cell.specs, accs, strict=True):
        values: dict[str, Any] = {"status": "ok", "loss": 1 - acc, "metrics": {"acc": acc, "nmi_geometric": acc}}
        values |= {"environment": {"device": "cpu"}, "code_digest": Session(Path("results")).code_digest(spec)}
        record = RunRecord(run_id=spec.run_id, spec=spec, context=cell.context, **values)
        Store(Path("results")).save(record)


def row(drawn: str, label: str) -> str:
    return next(line for line in drawn.splitlines() if line.startswith(f"| {label} "))


def test_a_guest_is_bold_where_it_is_best(call, visitor):
    keep("ddc", [0.5, 0.6, 0.7])
    keep("visitor", [0.8, 0.9, 0.9])
    drawn = call("tables", *TABLE)[1].partition("####")[0]
    assert "**90.0" in row(drawn, "visitor") and "**" not in row(drawn, "DDC")
    assert "visitor: a guest that the paper does not list here, under the protocol of this table" in drawn
    assert "Reference rows" not in drawn


def test_a_guest_under_its_own_protocol_is_marked_and_has_runs_of_its_own(call, visitor):
    keep("visitor", [0.8, 0.9, 0.9])
    keep("visitor", [0.1, 0.2, 0.3], own=True)
    own = call("tables", *TABLE, "--own-protocol")[1]
    assert "30.0" in row(own, "visitor (own protocol)") and "under its own protocol, not that" in own
    assert "90.0" in row(call("tables", *TABLE)[1], "visitor")


def test_a_guest_without_its_package_is_drawn_from_its_stored_runs(call, visitor):
    keep("visitor", [0.8, 0.9, 0.9])
    here = call("tables", *TABLE)[1]
    visitor()
    code, gone, err = call("tables", *TABLE)
    assert (code, err) == (0, "")
    assert row(gone, "visitor") == row(here, "visitor") and "3/3" in gone
    assert "drawn from stored runs: install its package to run it" in gone and "install its package" not in here
    only = call("tables", *TABLE[:4], "--method", "visitor")[1]
    assert "90.0" in row(only, "visitor") and "DDC" not in only.partition("####")[0].partition("Method")[2]


def test_a_method_that_is_neither_here_nor_stored_is_still_a_typing_error(call, visitor):
    keep("visitor", [0.8])
    visitor()
    code, _, err = call("tables", *TABLE[:4], "--method", "visitr")
    assert code == 2 and "there is no method named 'visitr'" in err


def test_run_says_what_the_table_replaces_of_a_guest(call, visitor):
    keep("visitor", [0.8])
    err = call("run", *TABLE[:4], "--method", "visitor", "--runs", "1")[2]
    (note,) = [line for line in err.splitlines() if line.startswith("note: visitor is a guest in tkuco2024/table2")]
    assert re.search(r"phases.train.optimiser.lr = 0.001 \(its own: 0.0003\)", note) and "--own-protocol" in note


def test_the_command_that_repeats_a_guest_under_its_own_protocol_says_so(call, visitor):
    keep("visitor", [0.8, 0.9, 0.9], own=True)
    out = call("explain", "tkuco2024/table2", "visitor", "digits", "acc", "--own-protocol", "--short")[1]
    assert "--own-protocol --fresh" in out and "value: 90" in out
    with_table = call("explain", "tkuco2024/table2", "visitor", "digits", "acc", "--short")[1]
    assert "--own-protocol" not in with_table
