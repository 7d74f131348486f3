"""Readings that were corrected: runs made before are found as what the ledger says they are, and none is lost."""

from __future__ import annotations

import csv
from typing import Any

import pytest

from benchmark.plan.cells import plan_cells
from benchmark.plan.lineage import parent_of
from benchmark.plan.request import Request
from benchmark.registry import load_plugins
from benchmark.spec import RunSpec
from tests.support.checkout import ROOT

IMAGES = ("dec-conv", "dcec", "dec-conv-uco-n", "dec-conv-uco-t")
VECTORS = ("dec", "idec", "dec-uco-n", "dec-uco-t")


@pytest.fixture(autouse=True, scope="module")
def plugins() -> None:
    load_plugins()


def specs(table: str, **asked: Any) -> list[RunSpec]:
    return [found for cell in plan_cells(Request(tables=(f"tkuco2024/{table}",), **asked)) for found in cell.specs]


def tracked(profile: str) -> dict[str, set[str]]:
    """Return the ids of tracked runs of tkuco2024 by method."""
    rows = (ROOT / "results" / "stored" / profile / "tkuco2024" / "runs.csv").read_text(encoding="utf-8")
    found: dict[str, set[str]] = {}
    for row in csv.DictReader(rows.splitlines()):
        found.setdefault(row["method"], set()).add(row["run_id"])
    return found


def test_runs_that_dropped_the_last_batch_are_found_as_the_arm_of_d6():
    old = specs("table5", profile="cpu", methods=IMAGES, datasets=("usps",), sets=("D6=arm",))
    held = tracked("cpu")
    assert len(old) == 20
    assert all(found.run_id in held[found.method] for found in old)
    assert all(parent_of(found).run_id in held["ae-k-means"] for found in old)
    new = specs("table5", profile="cpu", methods=IMAGES, datasets=("usps",))
    assert not {found.run_id for found in old} & {found.run_id for found in new}


@pytest.mark.parametrize(
    ("method", "sets"),
    [
        ("ddc", ("K15=paper",)),
        ("ddc-uco-n", ("K15=paper", "C20=paper")),
        ("ddc-uco-t", ("K15=paper", "C20=paper")),
        ("ddc-uco-t", ("K15=paper", "C20=paper", "kernel_solver=eigh32")),
    ],
)
def test_runs_of_the_code_reading_with_the_exact_gradient_are_found_by_k15_and_c20(method, sets):
    asked = {"profile": "cpu", "methods": (method,), "datasets": ("usps",), "readings": ("code",)}
    old = specs("table2", **asked, sets=sets)
    assert len(old) == 5 and {found.run_id for found in old} <= tracked("cpu")[method]
    assert not {found.run_id for found in old} & {found.run_id for found in specs("table2", **asked)}


def test_the_code_reading_is_what_set_by_hand_gave_before_it_was_corrected():
    """Runs that were made ahead of the correction, with both fields written out, are those of the reading today."""
    by_hand = ("params.distance_gradient=authors", "phases.train.evaluation_moves_statistics=true")
    for method in ("ddc-ae", "ddc-uco-n", "ddc-uco-t"):
        asked = {"profile": "cpu", "methods": (method,), "datasets": ("usps",), "readings": ("code",)}
        flipped = specs("table2", **asked, sets=("K15=paper", "C20=paper"))
        again = specs("table2", **asked, sets=("K15=paper", "C20=paper", *by_hand))
        assert [found.run_id for found in again] == [found.run_id for found in specs("table2", **asked)]
        assert not {found.run_id for found in flipped} & {found.run_id for found in again}
