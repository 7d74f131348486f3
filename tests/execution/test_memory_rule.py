"""A run that needs more memory than is free is a failed run that says so, and its cell has a verdict of its own."""

from __future__ import annotations

import pytest

from benchmark.analysis.assemble import assemble
from benchmark.execution.execute import execute
from benchmark.papers.paper import load_paper
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.registry import load_plugins
from benchmark.tables import render_table

load_plugins()


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setattr("benchmark.training.memory.free_memory", lambda: 1e6)
    request = Request("quick", tables=("dtkc2019/table4",), methods=("hierarchical",))
    (cell,) = plan_cells(request)
    records = {spec.run_id: [execute(spec).record] for spec in cell.specs}
    assert {record.status for (record,) in records.values()} == {"failed"}
    assert all(r.error.startswith("out of memory: needs") and not r.traceback for (r,) in records.values())
    return assemble(load_paper("dtkc2019"), "table4", [cell], lambda s: records[s.run_id], lambda r: False, ("paper",))


def test_its_cell_is_drawn_as_a_dash_with_the_verdict_out_of_memory(table):
    assert {result.verdict for row in table.rows for c in row.cells for result in c.results.values()} == {
        "out of memory"
    }
    text = render_table(table, "md")
    assert "out of memory" in text and "| - " in text
    assert "no run succeeded" not in text
