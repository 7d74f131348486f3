"""Two stores compared: which cells moved, by how much, and which runs differ. The runs are made up."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from scipy import stats

from benchmark.analysis.moved import MOVED, ONE_RUN, SAME, WITHIN, MovedCell, moved_cells
from benchmark.errors import UserError
from benchmark.papers.paper import load_paper
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.registry import load_plugins
from benchmark.report.against import against_page
from benchmark.report.cells import CellPages
from benchmark.report.site import Site
from benchmark.report.views import views_of
from benchmark.session import Session
from benchmark.store import Store
from tests.report.conftest import record


@pytest.fixture
def cell() -> PlannedCell:
    load_plugins()
    (found,) = plan_cells(Request(tables=("tkuco2024/table2",), methods=("ddc",)))
    return found


def stored(folder: Path, cell: PlannedCell, accs: list[float]) -> Session:
    for spec, acc in zip(cell.specs, accs, strict=False):
        Store(folder).save(record(spec, acc, cell.context))
    return Session(folder, shipped=folder / "nothing")


def moved(here: Session, there: Session, cell: PlannedCell) -> MovedCell:
    return next(found for found in moved_cells(here, there, [cell]) if found.metric == "acc")


def test_equal_runs_are_the_same_whatever_else_the_stores_hold(tmp_path, cell):
    here, there = (stored(tmp_path / name, cell, [0.5, 0.6, 0.7]) for name in "ab")
    found = moved(here, there, cell)
    assert (found.word, found.difference, found.runs, found.both) == (SAME, 0.0, (), 3)


def test_a_difference_has_students_interval_over_the_pairs_of_runs(tmp_path, cell):
    a, b = [0.50, 0.60, 0.70], [0.48, 0.59, 0.67]
    found = moved(stored(tmp_path / "a", cell, a), stored(tmp_path / "b", cell, b), cell)
    told = stats.ttest_rel([100 * x for x in a], [100 * x for x in b]).confidence_interval(0.95)
    assert found.interval == pytest.approx((told.low, told.high))
    assert found.difference == pytest.approx(2.0)
    assert found.word == WITHIN  # three pairs: -0.48 to 4.48
    assert [run.replicate for run in found.runs] == [0, 1, 2]
    assert found.runs[1].value == pytest.approx((60.0, 59.0))


def test_a_clear_difference_has_moved_and_one_run_tells_no_spread(tmp_path, cell):
    here = stored(tmp_path / "a", cell, [0.50, 0.60, 0.70])
    assert moved(here, stored(tmp_path / "b", cell, [0.401, 0.499, 0.600]), cell).word == MOVED
    one = moved(here, stored(tmp_path / "c", cell, [0.40]), cell)
    assert (one.word, one.interval, one.both, one.only_here) == (ONE_RUN, None, 1, 2)


def test_a_cell_that_one_store_lacks_is_no_line(tmp_path, cell):
    here = stored(tmp_path / "a", cell, [0.5])
    (tmp_path / "b").mkdir()
    assert list(moved_cells(here, Session(tmp_path / "b", shipped=tmp_path / "nothing"), [cell])) == []


def test_the_page_lists_what_moved_first_with_interval_runs_and_code(tmp_path, cell):
    here = stored(tmp_path / "a", cell, [0.50, 0.60, 0.70])
    there = stored(tmp_path / "b", cell, [0.401, 0.499, 0.600])
    views = list(views_of(here, load_paper("tkuco2024"), "table2"))
    site = Site(tmp_path / "out", {"papers": (), "version": "0", "against": "against.html"})
    counts = against_page(here, there, site, CellPages(here, site), views)
    assert counts == {MOVED: 2, WITHIN: 0, ONE_RUN: 0, SAME: 0}  # ACC and NMI
    text = html.unescape((tmp_path / "out" / "against.html").read_text(encoding="utf-8"))
    assert "here minus there +10.00 points, 95 % interval +9.75 to +10.25" in text
    assert all(spec.run_id in text for spec in cell.specs)
    assert re.search(r"<dt>in both</dt><dd>3</dd>", text)


def test_an_empty_store_is_refused_with_a_sentence(tmp_path, cell):
    here = stored(tmp_path / "a", cell, [0.5])
    (tmp_path / "b").mkdir()
    there = Session(tmp_path / "b", shipped=tmp_path / "nothing")
    with pytest.raises(UserError, match="holds no run to compare with"):
        against_page(here, there, Site(tmp_path / "out", {}), CellPages(here, Site(tmp_path / "out", {})), [])
