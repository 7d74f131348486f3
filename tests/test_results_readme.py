"""The tables of results/README.md are what the tracked rows say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

RESULTS = Path(__file__).resolve().parent.parent / "results"


@pytest.fixture
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
