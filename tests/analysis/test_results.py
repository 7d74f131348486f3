"""Results as tidy data frames and files, and as a pack that a colleague merges."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmark.analysis import load_results
from benchmark.errors import UsageError
from benchmark.plan.cells import plan_cells
from benchmark.plan.lineage import parent_of
from benchmark.plan.request import Request
from benchmark.record import Evaluation, RunRecord
from benchmark.registry import load_plugins
from benchmark.store import Store
from tests.support.checkout import ROOT

load_plugins()
ACCS = [0.5, 0.6, 0.7]


@pytest.fixture
def results(nothing_shipped: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in an empty folder, with runs of two methods in `results`."""
    monkeypatch.chdir(tmp_path)
    for method in ("ddc", "k-means"):
        (cell,) = plan_cells(Request(tables=("tkuco2024/table2",), methods=(method,)))
        for spec, acc in zip(cell.specs, ACCS, strict=True):
            history = [
                Evaluation(
                    **{"phase": "train", "step": step, "epoch": step, "total": 1.0, "clusters": 10},
                    terms={"ddc1": 0.1 * step},
                    metrics={"acc": acc},
                )
                for step in (0, 4)
            ]
            values: dict[str, Any] = {"status": "ok", "loss": 1 - acc, "losses": {"ddc1": 0.25}, "history": history}
            values |= {"metrics": {"acc": acc, "nmi_geometric": acc}, "environment": {"device": "cpu", "date": "d"}}
            record = RunRecord(run_id=spec.run_id, spec=spec, context=cell.context, **values)
            Store(Path("results")).save(record)
    return Path("results")


def test_runs_are_a_row_each(results):
    frame = load_results(results)
    assert len(frame) == 6 and frame["run_id"].is_unique
    ddc = frame[frame["method"] == "ddc"].sort_values("replicate")
    assert list(ddc["acc"]) == ACCS and list(ddc["loss_ddc1"]) == [0.25] * 3
    assert set(frame["paper"]) == {"tkuco2024"} and set(frame["profile"]) == {"quick"}
    assert set(ddc["param_width"]) == {0.15}


def test_histories_are_a_row_for_each_evaluation(results):
    frame = load_results(results, "histories", methods=["ddc"])
    assert len(frame) == 6 and list(frame["step"]) == [0, 4] * 3
    assert frame.groupby("run_id")["loss_ddc1"].max().tolist() == pytest.approx([0.4] * 3)


def test_cells_are_those_of_the_tables(results):
    frame = load_results(results, "cells", profiles=["quick"])
    cell = frame[(frame["table"] == "table2") & (frame["method"] == "ddc") & (frame["metric"] == "acc")].iloc[0]
    assert cell["value"] == pytest.approx(70.0), "the run with the lowest loss"
    assert (cell["n_ok"], cell["n"]) == (3, 3)
    assert not frame["run_ids"].eq("").any()


def test_filters_and_wrong_names(results):
    assert load_results(results, datasets=["usps"]).empty
    assert set(load_results(results, readings=["paper"], papers=["tkuco2024"])["method"]) == {"ddc", "k-means"}
    with pytest.raises(UsageError, match="did you mean 'runs'"):
        load_results(results, "run")


@pytest.mark.parametrize("of", ["runs", "histories", "cells"])
def test_files_hold_what_the_frame_holds(call, results, of):
    for fmt, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        code, out, _ = call("results", "export", "--of", of, "--format", fmt, "--out", f"there/{of}.{fmt}")
        assert code == 0 and out.endswith(f"there/{of}.{fmt}\n")
        frame, held = load_results(results, of), read(f"there/{of}.{fmt}")
        assert list(held.columns) == list(frame.columns) and len(held) == len(frame)
        for name in frame.select_dtypes("number"):
            pd.testing.assert_series_equal(held[name], frame[name], check_dtype=False)


def test_without_pyarrow_parquet_is_one_sentence(call, results, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise ImportError("no engine")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", refuse)
    code, _, err = call("results", "export", "--format", "parquet")
    assert code == 1 and err == "error: Parquet needs pyarrow: install reclust[parquet], or export as csv.\n"
    assert not Path("runs.parquet").exists()


def test_the_shipped_results_load_without_training_anything():
    script = "from benchmark.analysis import load_results; import sys; f = load_results()\n"
    script += "print(len(f) > 100, [n for n in ('torch', 'benchmark.training') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("True"), done.stderr


def test_a_process_that_imported_nothing_else_explains_a_cell_and_draws_its_table(results):
    """Without the plug-ins the cell had no data, and nothing said why."""
    script = """
from pathlib import Path
from benchmark.analysis import explain_cell, find_cell, stored_tables
from benchmark.plan.request import Request
from benchmark.session import Session
asked = Request("quick", tables=("tkuco2024/table2",), methods=("ddc",), datasets=("digits",))
session = Session(Path("results"))
print(explain_cell(session, find_cell(session, asked, "quick"), "acc")["ours"]["verdict"] != "no data")
print(len(stored_tables(session, asked)))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "1"]


def test_a_process_that_imported_nothing_else_loads_what_any_other_does(results):
    """Without the plug-ins no cell could be drawn, and runs of other code, as these are, did not count as stale."""
    script = "from benchmark.analysis import load_results\n"
    script += "frames = [load_results('results', of, shipped=False) for of in ('runs', 'histories', 'cells')]\n"
    script += "print(*map(len, frames), frames[0]['stale'].sum())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    here = [len(load_results(results, of, shipped=False)) for of in ("runs", "histories", "cells")]
    assert [int(word) for word in done.stdout.split()] == [*here, 6]


def test_a_pack_is_merged_by_a_colleague(call, results):
    code, out, _ = call("results", "pack", "study", "--method", "ddc")
    data = Path("study.zip").read_bytes()
    assert code == 0 and out == f"study.zip: 3 runs, SHA-256 {hashlib.sha256(data).hexdigest()}\n"
    with zipfile.ZipFile("study.zip") as archive:
        names = set(archive.namelist())
        assert {"README.md", "environments.json", "references.bib"} < names
        assert "results merge study.zip" in archive.read("README.md").decode()
        assert json.loads(archive.read("environments.json")) == [{"runs": 3, "environment": {"device": "cpu"}}]
        bib = archive.read("references.bib").decode()
        assert "{tkuco2024," in bib and "kampffmeyer2019ddc" in bib and "alpaydin1998digits" in bib
    code, out, _ = call("results", "merge", "study.zip", "--results", "colleague")
    assert code == 0 and hashlib.sha256(data).hexdigest() in out.splitlines()[0] and "3 added" in out
    mine, theirs = (load_results(place, methods=["ddc"]).drop(columns="stale") for place in ("results", "colleague"))
    pd.testing.assert_frame_equal(mine, theirs)
    histories = [load_results(place, "histories", methods=["ddc"]) for place in ("results", "colleague")]
    pd.testing.assert_frame_equal(*histories)


def test_equal_results_give_an_equal_pack(call, results):
    digests = [json.loads(call("results", "pack", name, "--json")[1])["sha256"] for name in ("study", "study")]
    assert digests[0] == digests[1]


def test_a_pack_unpacks_nothing_but_rows_and_nothing_outside(call, results):
    call("results", "pack", "study")
    with zipfile.ZipFile("study.zip", "a") as archive:
        for name in ("../evil.csv", "stored/../../evil.csv", "stored/quick/tkuco2024/evil.py", "/stored/a/b/runs.csv"):
            archive.writestr(name, "evil")
    code, out, _ = call("results", "merge", "study.zip", "--results", "colleague")
    assert code == 0 and "6 added" in out
    assert not [path for path in Path("..").rglob("evil*")]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no zip", "is no whole pack of results"), (None, "holds no rows of results"), (b"", "is no whole pack")],
)
def test_what_is_no_pack_is_one_sentence_and_changes_nothing(call, results, content, said):
    if content is None:
        with zipfile.ZipFile("other.zip", "w") as archive:
            archive.writestr("readme.txt", "hello")
    else:
        Path("other.zip").write_bytes(content)
    code, _, err = call("results", "merge", "other.zip", "--results", "colleague")
    assert code == 1 and said in err and "other.zip" in err and len(err.splitlines()) == 1
    assert not Path("colleague", "stored").exists()


def test_a_damaged_pack_is_refused_whole(call, results):
    call("results", "pack", "study")
    data = bytearray(Path("study.zip").read_bytes())
    place = data.index(b"history.csv.gz") + 60
    data[place] ^= 0xFF
    Path("study.zip").write_bytes(data)
    code, _, err = call("results", "merge", "study.zip", "--results", "colleague")
    assert code == 1 and "study.zip is no whole pack of results" in err and len(err.splitlines()) == 1
    assert not Path("colleague", "stored").exists()


def test_the_runs_that_others_start_from_go_with_them(call, results):
    (cell,) = plan_cells(Request(tables=("idec2017/table2",), methods=("idec",)))
    parent = parent_of(cell.specs[0])
    assert parent is not None
    for spec in (cell.specs[0], parent):
        values: dict[str, Any] = {
            "status": "ok",
            "loss": 1.0,
            "metrics": {"acc": 0.5},
            "environment": {"device": "cpu"},
        }
        Store(results).save(RunRecord(run_id=spec.run_id, spec=spec, context=cell.context, **values))
    assert json.loads(call("results", "pack", "study", "--method", "idec", "--json")[1])["runs"] == 2
    call("results", "merge", "study.zip", "--results", "colleague")
    assert set(load_results("colleague")["run_id"]) == {cell.specs[0].run_id, parent.run_id}
