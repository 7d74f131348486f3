"""The audit of the tensor kernel's gradient: what its measurement writes, and what its figure says of it."""

from __future__ import annotations

import csv
import importlib.util
from types import ModuleType

import pytest
import torch

from benchmark.analysis.figures import draw_figure, selected_figures
from benchmark.session import Session
from benchmark.training import Snapshot
from methods import DDCUCOT
from tests.support.checkout import ROOT

ROWS = ROOT / "paper_tables" / "audit" / "kernel-gradient.csv"
SCRIPT = ROOT / "tests" / "bench" / "measure_kernel_gradient.py"


@pytest.fixture(scope="module")
def measure() -> ModuleType:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("measure_kernel_gradient", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows() -> list[dict[str, str]]:
    with ROWS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_measurement_compares_both_solvers_at_every_tap(measure):
    method = DDCUCOT(4, taps=("block1_pool", "block2_pool"), width_rule="tkuco")
    params, context = method.checked_params(), method._standalone()
    x = torch.rand(12, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    snapshot = Snapshot("train", 3, 1, 0.0, {}, None, lambda: method.build(params, (1, 24, 24), context))
    found = list(measure.compared(snapshot, x, params))
    assert [(row["tap"], row["solver"]) for row in found] == [
        (tap, solver) for tap in params.taps for solver in ("eigh32", "exact")
    ]
    for row in found:
        assert set(row) == set(measure.COLUMNS) - {"dataset", "reading"}
        if row["solver"] == "exact":
            assert row["relative_error"] < 1e-4 and row["cosine"] > 0.9999
        else:
            assert row["relative_error"] > 1e-6


def test_the_rank_counts_what_is_not_repeated(measure):
    x = torch.rand(3, 5, 6, 4, generator=torch.Generator().manual_seed(0))
    x[:, :, 3:] = x[:, :, :1]  # three of six rows repeat the first
    assert measure.mean_rank(x) == (3.0, 6)


def test_the_committed_rows_are_whole(measure):
    held = rows()
    assert tuple(held[0]) == measure.COLUMNS
    groups = {(row["dataset"], row["reading"], row["epoch"]) for row in held}
    assert len(held) == 4 * len(groups)  # two taps, two solvers
    assert all(float(row["relative_error"]) > 0 and -1.0001 <= float(row["cosine"]) <= 1.0001 for row in held)


def test_the_figure_is_drawn_from_the_committed_rows_and_its_caption_counts_them(tmp_path):
    ((folder, rule),) = selected_figures(["audit/kernel-gradient"], [])
    drawn = draw_figure(Session(tmp_path), folder, rule, None, "paper")
    wrong = [row for row in rows() if row["solver"] == "eigh32" and float(row["cosine"]) < 0.5]
    total = sum(row["solver"] == "eigh32" for row in rows())
    assert f"below 0.5 in {len(wrong)} of {total} measurements; exact" in drawn.caption
    lines = [line for axes in drawn.drawing.figure.axes for line in axes.get_lines() if len(line.get_xdata()) > 2]
    assert len(lines) == 8 * len({(row["dataset"], row["reading"]) for row in rows()})
