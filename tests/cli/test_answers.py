"""What commands answer: JSON alone on stdout with one spelling of keys, what cannot run, what is in another profile."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.record import RunRecord
from benchmark.registry import METHODS, load_plugins
from benchmark.repeat.check import Checked
from benchmark.store import Store

load_plugins()
pytestmark = pytest.mark.usefixtures("alone")
TABLE2 = ("--table", "tkuco2024/table2")
K_MEANS = (*TABLE2, "--method", "k-means", "--runs", "1", "--workers", "1")


@pytest.fixture
def alone(nothing_shipped: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """See no shipped rows, no data folder and no cache of this machine; the working directory is empty."""
    monkeypatch.setattr("datasets.obtaining.files.cache_root", lambda: tmp_path / "no-cache")
    monkeypatch.delenv("RECLUST_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def keep(results: Path, method: str, accs: list[float], **changes: Any) -> list[str]:
    """Store runs of a method on the digits of tkuco2024/table2."""
    (cell,) = plan_cells(Request(tables=("tkuco2024/table2",), methods=(method,), runs=len(accs)))
    for spec, acc in zip(cell.specs, accs, strict=True):
        values: dict[str, Any] = {"status": "ok", "loss": 1 - acc, "metrics": {"acc": acc, "nmi_geometric": acc}}
        values["n_samples"] = spec.data.samples
        environment = {"device": "cpu", "streams": ["init:a"]}
        Store(results).save(
            RunRecord(
                **(
                    {"run_id": spec.run_id, "spec": spec, "environment": environment, "context": cell.context}
                    | values
                    | changes
                )
            )
        )
    return [spec.run_id for spec in cell.specs]


def keys(value: Any) -> set[str]:
    """Return all keys of nested values."""
    if isinstance(value, dict):
        return set(value) | {key for item in value.values() for key in keys(item)}
    return {key for item in value for key in keys(item)} if isinstance(value, list) else set()


NAMES = {"losses", "terms", "metrics", "means", "winners"}
"""Keys below which names stand, of loss terms or methods."""


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        *(("ls", what) for what in ("methods", "datasets", "networks", "papers", "tables", "profiles", "observers")),
        ("explain", "tkuco2024/table2", "ddc", "digits", "acc", "--runs", "3"),
        ("explain", "tkuco2024/table2", "ddc", "digits", "acc", "--runs", "3", "--short"),
        ("compare", "ddc", "ddc-uco-t"),
        ("ledger", "K1"),
        ("ledger",),
        ("ledger", "--effects", "tkuco2024", "--method", "ddc", "--dataset", "digits"),
        ("figures", "--list"),
        ("data", "status"),
        ("data", "show", "digits"),
        ("results", "merge"),
        ("results", "verify"),
        ("results", "prune"),
    ],
    ids=" ".join,
)
def test_keys_of_json_are_words_joined_by_underscores(call, words):
    results = Path("results")
    for method in ("ddc", "ddc-uco-t"):
        keep(results, method, [0.5, 0.6, 0.7])
    code, out, _ = call(*words, "--json")
    answer = json.loads(out)
    assert code == 0, answer
    named = {key for key in keys(answer) if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", key)}
    allowed = {"ddc", "ddc-uco-t", *(f"r={r}" for r in range(3))}
    assert named <= allowed, named


def test_run_says_in_json_what_became_of_it(call):
    code, out, err = call("run", *K_MEANS, "--json")
    answer = json.loads(out)
    assert (code, answer["exit_code"], answer["planned"], answer["stored_before"]) == (0, 0, 1, 0)
    assert answer["made"] == {"ok": 1} and answer["left"] == 0 and answer["cannot"] == [] and answer["not_ok"] == []
    assert (Path(answer["tables"]) / "tkuco2024" / "table2.md").is_file()
    assert "1 to make" in err, "the course of things is told on stderr"
    again = json.loads(call("run", *K_MEANS, "--json")[1])
    assert (again["stored_before"], again["planned"], again["made"]) == (1, 0, {})
    assert "1 runs are stored" in call("run", *K_MEANS)[1], "without --json all is told on stdout again"


@pytest.mark.parametrize(("found", "code"), [(Checked(1, 2, ()), 0), (Checked(1, 2, ("it differs.",)), 1)])
def test_check_says_in_json_what_it_found(call, monkeypatch, found, code):
    monkeypatch.setattr("benchmark.repeat.check.check_cells", lambda *_: found)
    got, out, err = call("check", "--dataset", "digits", "--method", "k-means", "--json")
    answer = json.loads(out)
    assert (got, err, answer["agree"], answer["cells"], answer["runs"]) == (code, "", not code, 1, 2)
    assert answer["disagreements"] == list(found.disagreements)


def test_check_takes_the_cells_of_a_data_set_only(call, monkeypatch):
    seen: list[str] = []
    monkeypatch.setattr(
        "benchmark.repeat.check.check_cells",
        lambda session, cells, workers: seen.extend(cell.column for cell in cells) or Checked(len(cells), 0, ()),
    )
    assert call("check", "--dataset", "digits")[0] == 0
    assert seen and set(seen) == {"digits", "digits-vectors"} & set(seen)


def test_merge_verify_and_prune_answer_in_json(call):
    (run_id,) = keep(Path("mine"), "ddc", [0.5])
    answer = json.loads(call("results", "merge", "mine", "--json")[1])
    assert answer["added"] == [{"run_id": run_id, "device": "cpu", "machine": ""}] and answer["total"] == 1
    assert all(Path(name).is_file() for name in answer["written"]) and answer["problems"] == []
    verified = json.loads(call("results", "verify", "--json")[1])
    assert verified == {"records": 1, "scored_again": 0, "not_scored_again": [], "problems": [], "quarantined": []}
    call("results", "merge", "mine", "--results", "mine")
    code, out, _ = call("results", "prune", "--merged", "--older-than", "0s", "--results", "mine", "--json")
    answer = json.loads(out)
    assert code == 0 and answer["removed"] == 1 and answer["freed_bytes"] > 0 and not answer["dry_run"]
    assert [Path(line["path"]).name for line in answer["folders"]] == [run_id]


def test_missing_data_are_exit_1_though_other_runs_were_made(call, tmp_path):
    code, out, err = call("run", *K_MEANS, "--dataset", "usps", "--dataset", "mnist", "--profile", "cpu")
    assert code == 1 and "no run can be made" in err
    keep_usps(tmp_path / "results")
    code, out, err = call("run", *K_MEANS, "--dataset", "usps", "--dataset", "mnist", "--profile", "cpu")
    assert code == 1 and "1 runs were not made" in err and "data fetch mnist" in err.splitlines()[-1]
    assert "Profile cpu" in out, "the tables are drawn"


def keep_usps(results: Path) -> None:
    (cell,) = plan_cells(Request("cpu", tables=("tkuco2024/table2",), methods=("k-means",), datasets=("usps",), runs=1))
    values: dict[str, Any] = {"status": "ok", "loss": 0.5, "metrics": {"acc": 0.5, "nmi_geometric": 0.5}}
    Store(results).save(
        RunRecord(run_id=cell.specs[0].run_id, spec=cell.specs[0], environment={"device": "cpu"}, **values)
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", *TABLE2, "--dataset", "usps"), "usps is in the cpu and paper profiles: add --profile cpu."),
        (("run", *TABLE2, "--dataset", "usps", "--dataset", "mnist"), "usps, mnist are in the cpu and paper profiles"),
        (("tables", *TABLE2, "--dataset", "usps", "--profile", "quick"), "usps is in the cpu and paper profiles"),
        (("check", "--dataset", "usps"), "usps is in the cpu and paper profiles"),
    ],
    ids=" ".join,
)
def test_where_a_profile_has_no_such_cell_the_profiles_that_have_it_are_named(call, words, said):
    code, out, err = call(*words)
    assert (code, out) == (2, "") and said in err and len(err.splitlines()) == 1


def test_a_data_set_that_the_profile_lacks_beside_one_that_it_has_is_told(call):
    keep(Path("results"), "k-means", [0.5])
    code, _, err = call("run", *K_MEANS, "--dataset", "usps", "--dataset", "digits")
    assert code == 0 and "note: no cell of the quick profile has usps: usps is in the cpu and paper profiles" in err


def test_status_tells_what_cannot_run_from_what_is_left(call, monkeypatch):
    asked = (
        *TABLE2,
        "--profile",
        "cpu",
        "--dataset",
        "usps",
        "--runs",
        "2",
        "--method",
        "ddc",
        "--method",
        "clustpy-dec",
    )
    monkeypatch.setattr(METHODS["clustpy-dec"], "requires", ("a_package_that_is_nowhere",))
    (line,) = json.loads(call("status", *asked, "--json")[1])
    assert (line["runs"], line["stored"], line["missing"], line["no_data"], line["no_package"]) == (4, 0, 0, 2, 2)
    out = call("status", *asked)[1]
    assert "2 runs: clustpy-dec needs a_package_that_is_nowhere, not installed here: pip install" in out
    assert re.search(r"2 runs: .*usps.bz2", out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tables", "--results", "nowhere"), "there is no folder nowhere: name a results folder with --results."),
        (("status", "--results", "results/runs"), "results/runs is part of a results folder"),
        (("explain", "tkuco2024/table2", "ddc", "digits", "acc", "--results", "a-file"), "there is no folder a-file"),
        (("status", "--data-dir", "nowhere"), "there is no folder nowhere: name the folder of the data sets"),
        (("data", "status", "--data-dir", "a-file"), "there is no folder a-file"),
        (("run", *K_MEANS, "--results", "a-file"), "a-file is a file: name a folder with --results."),
        (("run", *K_MEANS, "--results", "a-file/below"), "a-file is a file: name a folder with --results."),
        (("run", *K_MEANS, "--results", "results/runs"), "results/runs is part of a results folder"),
    ],
    ids=" ".join,
)
def test_a_wrong_folder_is_exit_1_and_one_sentence(call, words, said):
    keep(Path("results"), "ddc", [0.5])
    Path("a-file").touch()
    code, _, err = call(*words)
    assert code == 1 and said in err and len(err.splitlines()) == 1 and err.startswith("error: ")


def test_a_folder_without_results_is_told(call):
    Path("elsewhere").mkdir()
    Path("elsewhere", "thesis.txt").touch()
    code, _, err = call("tables", *TABLE2, "--results", "elsewhere")
    assert code == 0 and err == "note: elsewhere holds no results yet: it has neither runs nor stored.\n"


def test_the_short_explanation_has_value_verdict_and_command(call):
    keep(Path("results"), "ddc", [0.5, 0.6, 0.7])
    words = ("explain", "tkuco2024/table2", "ddc", "digits", "acc")
    out = call(*words, "--short")[1]
    heads = [line for line in out.splitlines() if line.isupper()]
    assert heads == ["CELL", "PUBLISHED", "OURS", "COMMAND", "VERDICT"]
    assert "selected run" in out and "--method ddc" in out and len(out) < len(call(*words)[1]) / 3


def test_tables_leave_out_what_has_no_runs_where_most_has_none(call):
    keep(Path("results"), "ddc", [0.5, 0.6, 0.7])
    words = ("tables", *TABLE2, "--profile", "quick")
    out, whole = (call(*words, *more)[1].partition("####")[0] for more in ((), ("--all-rows",)))
    csv = call(*words, "--format", "csv")[1]
    assert "| DDC " in out and "| DDC-UCO_T" not in out
    assert "Left out, as no run of theirs is stored: rows" in out and "--all-rows" in out
    assert "| DDC-UCO_T" in whole and "Left out" not in whole
    assert ",ddc-uco-t," in csv and ",ddc-uco-t," not in call(*words, "--format", "csv", "--stored-only")[1]


def test_tables_show_the_lines_that_are_asked_for(call):
    keep(Path("results"), "ddc", [0.5, 0.6, 0.7])
    words = ("tables", *TABLE2, "--profile", "quick", "--method", "ddc")
    assert "| runs" in call(*words)[1] and "| runs" not in call(*words, "--rows", "ours,published")[1]
    for rows, said in (("ours,verdit", "did you mean 'verdict'"), ("verdict", "leaves out 'ours'")):
        code, _, err = call(*words, "--rows", rows)
        assert code == 2 and said in err


def test_check_leaves_out_methods_whose_package_is_missing(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS["clustpy-dcn"], "requires", ("a_package_that_is_nowhere",))
    code, out, err = call("check", "--table", "dynae2022/table2", "--method", "clustpy-dcn")
    assert code == 1 and "nothing can be checked here" in err + out and "clustpy-dcn needs a_package" in err + out


def test_run_ends_well_though_a_row_needs_an_extra_that_nobody_asked_for_by_name(
    call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(METHODS["clustpy-dec"], "requires", ("a_package_that_is_nowhere",))
    monkeypatch.setattr(
        "benchmark.session.Session.lacking",
        lambda self, m: self._lacking.setdefault(m, "it needs an extra." * (m == "gmm")),
    )
    asked = ("run", "--table", "dynae2022/table2", "--fresh", "--budget", "0s", "--results", str(tmp_path))
    assert call(*asked)[0] == 0
    assert call(*asked, "--method", "gmm")[0] == 1
