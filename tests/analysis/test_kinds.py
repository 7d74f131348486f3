"""Which machines' runs make a cell, and which runs are compared with which. Nothing here trains."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.analysis.assemble import assemble
from benchmark.analysis.compare import compare_methods
from benchmark.analysis.kinds import cell_records, kinds_of, shared_kind
from benchmark.papers.paper import load_paper
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.provenance.code import run_code_digest
from benchmark.record import RunRecord
from benchmark.registry import load_plugins
from benchmark.session import Session
from benchmark.spec import RunSpec
from benchmark.store import Store
from benchmark.store.merge import merge
from benchmark.store.rows import Kind

load_plugins()
pytestmark = pytest.mark.usefixtures("nothing_shipped")
OAK, ELM = Kind("cpu", "x86_64, Oak 3000, cpu"), Kind("cpu", "x86_64, Elm 5, cpu")
GPU = Kind("Apex A1", "x86_64, Oak 3000, Apex A1")
STREAMS = ["batches:train", "init:backbone.block1.conv1"]


MODE = {
    **dict.fromkeys(("matmul", "convolutions", "recurrent"), "ieee"),
    "deterministic_algorithms": True,
    "cublas_workspace": ":4096:8",
    "nondeterministic": [],
}
"""The numeric mode that a record of a GPU states."""


def planned(method: str = "ddc", runs: int = 4) -> PlannedCell:
    (cell,) = plan_cells(Request(tables=("tkuco2024/table2",), methods=(method,), runs=runs))
    return cell


def record(spec: RunSpec, kind: Kind, acc: float = 0.5, code: str = "", **more: object) -> RunRecord:
    values = {
        "status": "ok",
        "loss": 1.0 + spec.replicate,
        "metrics": {"acc": acc, "nmi_geometric": acc, "nmi": acc, "ari": acc},
        "code_digest": code or run_code_digest(spec),
        "environment": {"device": kind.device, "machine": kind.machine, "streams": STREAMS}
        | ({} if kind.device == "cpu" else {"numeric_mode": MODE}),
    }
    return RunRecord(run_id=spec.run_id, spec=spec, **(values | more))


def stored(results: Path, *records: RunRecord) -> Session:
    """Merge records one after another, so that the first is there first."""
    for number, each in enumerate(records):
        Store(results / "from" / str(number)).save(each)
        merge([results / "from" / str(number)], results)
    return Session(results)


def made_by(session: Session, cell: PlannedCell) -> list[str]:
    used = cell_records(cell.specs, session.find)
    return [kinds_of([used[spec.run_id]])[0].machine if spec.run_id in used else "" for spec in cell.specs]


def names(text: str) -> list[str]:
    kinds = {"o": OAK.machine, "e": ELM.machine, "g": GPU.machine, "-": ""}
    return [kinds[letter] for letter in text]


@pytest.mark.parametrize(
    ("oak", "elm", "used"),
    [
        ("0123", "0123", "oooo"),  # a tie: those that were there first
        ("012", "0123", "eeee"),  # the most runs
        ("0123", "", "oooo"),
        ("01", "123", "oeee"),  # none has all: the one with the most, completed
        ("0", "", "o---"),
    ],
)
def test_a_cell_is_of_the_kind_with_the_most_runs_of_equals_the_first(
    tmp_path: Path, oak: str, elm: str, used: str
) -> None:
    cell = planned()
    records = [record(cell.specs[int(r)], kind) for kind, held in ((OAK, oak), (ELM, elm)) for r in held]
    assert made_by(stored(tmp_path, *records), cell) == names(used)


def test_runs_made_here_do_not_move_a_cell_that_is_tracked(tmp_path: Path) -> None:
    cell = planned()
    stored(tmp_path, *(record(spec, OAK) for spec in cell.specs))
    for spec in cell.specs:
        Store(tmp_path).save(record(spec, ELM))
    session = Session(tmp_path)
    assert made_by(session, cell) == names("oooo")
    assert all(len(session.held(spec)) == 2 for spec in cell.specs)


def test_runs_of_todays_code_come_before_stale_ones_of_another_kind(tmp_path: Path) -> None:
    cell = planned()
    old = [record(spec, OAK, code="0" * 16) for spec in cell.specs]
    session = stored(tmp_path, *old, *(record(spec, ELM) for spec in cell.specs))
    assert made_by(session, cell) == names("eeee")
    assert [len(session.held(spec)) for spec in cell.specs] == [2] * 4


def test_a_gpu_never_completes_a_cell_of_a_cpu(tmp_path: Path) -> None:
    cell = planned()
    records = [record(spec, OAK) for spec in cell.specs[:3]] + [record(cell.specs[3], GPU)]
    assert made_by(stored(tmp_path, *records), cell) == names("ooo-")


def test_a_table_says_that_a_cell_is_of_several_kinds(tmp_path: Path) -> None:
    cell = planned()
    paper = load_paper("tkuco2024")

    def drawn(session: Session) -> tuple[tuple[str, ...], str]:
        table = assemble(paper, "table2", [cell], session.find, session.stale, ("paper",))
        return table.rows[0].cells[0].results["paper"].machines, " ".join(table.facts)

    alone, mixed = tmp_path / "alone", tmp_path / "mixed"
    machines, said = drawn(stored(alone, *(record(spec, OAK) for spec in cell.specs)))
    assert machines == (OAK.machine,) and "several kinds" not in said
    machines, said = drawn(stored(mixed, *(record(s, ELM if s.replicate == 3 else OAK) for s in cell.specs)))
    assert machines == (OAK.machine, ELM.machine)
    assert f"1 cells hold runs of several kinds of machines ({ELM}; {OAK})" in said


def test_methods_are_compared_by_runs_of_one_kind_where_one_made_both(tmp_path: Path) -> None:
    a, b = planned("ddc"), planned("ddc-uco-n")
    # On one machine B is better by 10 points in each replicate; Elm's rounding moved A by 20 points.
    base = [record(spec, OAK, 0.5 + 0.01 * spec.replicate) for spec in a.specs]
    moved = [record(spec, ELM, 0.7 + 0.01 * spec.replicate) for spec in a.specs]
    better = [record(spec, ELM, 0.8 + 0.01 * spec.replicate) for spec in b.specs]
    session = stored(tmp_path, *base, *moved, *better)
    assert made_by(session, a) == names("oooo") and shared_kind(a.specs, b.specs, session.find) == ELM
    asked = Request(tables=("tkuco2024/table2",), methods=("ddc", "ddc-uco-n"), runs=4)
    answer = compare_methods(session, asked, "acc", "quick")
    (pair,) = answer["pairs"]
    assert [note for note in answer["notes"] if note.startswith("ddc on digits is compared by its runs of x86_64, Elm")]
    assert pair["paired"] and pair["difference"] == pytest.approx(-10.0) and pair["machines"] == [ELM.machine]
    apart = stored(tmp_path / "apart", *base, *better)
    answer = compare_methods(apart, asked, "acc", "quick")
    assert answer["pairs"][0]["difference"] == pytest.approx(-30.0)
    assert any("several kinds of machines" in note and "Oak" in note and "Elm" in note for note in answer["notes"])
