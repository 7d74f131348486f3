"""The tables of results/README.md, and that of docs/reading-a-table.md, are what the tracked rows say."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import shlex
from typing import Any

import pytest

from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.registry import load_plugins
from tests.support.checkout import ROOT

RESULTS = ROOT / "results"


@pytest.fixture(scope="module")
def readme() -> Any:
    spec = importlib.util.spec_from_file_location("results_readme", RESULTS / "readme.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_of_the_tracked_rows(readme: Any) -> None:
    text, rows = (RESULTS / "README.md").read_text(encoding="utf-8"), readme.rows()
    assert "\n".join(readme.stored(rows)) in text, "write them anew: python results/readme.py"
    assert "\n".join(readme.numbers(rows)) in text, "write them anew: python results/readme.py"


@pytest.mark.parametrize(
    ("table", "method", "reading", "sets", "label", "expected"),
    [
        ("table2", "ddc", "code", (), "", ""),
        ("table2", "ddc", "code", ("K15=paper",), "", "K15=paper"),
        ("table2", "ddc-uco-t", "code", ("K15=paper", "C20=paper"), "", "K15=paper;C20=paper"),
        ("table5", "dcec", "paper", (), "", ""),
        ("table5", "dcec", "paper", ("D6=arm",), "", "D6=arm"),
        ("table2", "ddc", "paper", ("K1=code",), "K1=code", "K1=code"),
        ("table2", "ddc", "paper", ("width=0.3",), "", ""),  # of no cell, with no entry that explains it
    ],
)
def test_a_row_says_which_corrected_entries_lead_to_it_today(
    readme: Any, table: str, method: str, reading: Any, sets: Any, label: str, expected: str
) -> None:
    """Rows keep the label that they were made under, and a reading may have been corrected since."""
    load_plugins()
    asked = Request("cpu", tables=(f"tkuco2024/{table}",), methods=(method,), datasets=("usps",), readings=(reading,))
    (cell,) = plan_cells(dataclasses.replace(asked, sets=sets))
    common = {"paper": "tkuco2024", "profile": "cpu", "reading": reading, "setting": label}
    assert {readme.named({**common, "run_id": spec.run_id}) for spec in cell.specs} == {expected}


def test_numbers_count_runs_without_a_result_apart(readme: Any) -> None:
    row = {"profile": "cpu", "paper": "p", "dataset": "d", "reading": "code", "setting": "", "method": "m"}
    ok = [
        {**row, "status": "ok", "loss": str(loss), "acc": str(acc), "n_samples": "9"}
        for loss, acc in ((2, 0.9), (1, 0.5))
    ]
    lost = {**row, "status": "diverged", "loss": "", "acc": "", "n_samples": "9"}
    assert list(readme.stored([*ok, lost]))[2:] == ["| cpu | p | d | code | 9 | m 3 (1 without a result) |"]
    (line,) = list(readme.numbers([*ok, lost]))[2:]
    assert line.startswith("| cpu, p, d | code | m | 2 | 50.0 (") and line.endswith(" | 70.0 | 50.0 to 90.0 |")


def test_the_table_in_the_docs_is_what_its_command_draws(monkeypatch: pytest.MonkeyPatch, call: Any) -> None:
    text = (ROOT / "docs" / "reading-a-table.md").read_text(encoding="utf-8")
    found = re.search(r"`python -m benchmark (tables [^`]*)` draws, among others,\n\n```\n(.*?)```\n", text, re.DOTALL)
    assert found is not None
    monkeypatch.chdir(ROOT)
    drawn = call(*shlex.split(found[1]))[1].splitlines()
    shown = found[2].splitlines()
    assert len(shown) > 2
    assert [line for line in shown if line not in drawn] == []
