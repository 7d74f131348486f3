"""The command line, as its users meet it: exit codes, one sentence for an error, lists for people and for programs."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark import __version__
from benchmark.cli.running import missing_readings
from benchmark.papers.paper import load_paper
from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.repeat.check import Checked
from benchmark.tables import FORMATS
from tests.support.checkout import ROOT

COMMANDS = [
    *(["run"], ["status"], ["ls"], ["tables"], ["explain"], ["check"], ["data"], ["results"]),
    *(["data", "status"], ["data", "fetch"], ["data", "verify"], ["data", "show"], ["data", "export"]),
    *(["results", "merge"], ["results", "verify"], ["results", "prune"]),
]
TABLE2 = ("--table", "tkuco2024/table2")
TINY = ("--set", "phases.train.budget.amount=1", "--set", "data.samples=240")
MADE = (*TABLE2, "--method", "ddc", "--method", "k-means", "--runs", "1", *TINY)

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def alone(nothing_shipped: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """See no shipped rows, no data folder and no cache of this machine; the working directory is empty."""
    monkeypatch.setattr("datasets.obtaining.files.cache_root", lambda: tmp_path / "no-cache")
    monkeypatch.delenv("RECLUST_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Return the results folder and the output of a real command that is no terminal: a run each of two methods."""
    results = tmp_path_factory.mktemp("results")
    command = [sys.executable, "-m", "benchmark", "run", *MADE, "--workers", "1", "--results", str(results)]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**variables, "COLUMNS": "60", "RECLUST_CACHE": "off"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return results, done


@pytest.fixture
def results(first_run: tuple[Path, subprocess.CompletedProcess[str]]) -> Path:
    return first_run[0]


def one_sentence(err: str) -> str:
    """Return the only line of `err`, without `error: `."""
    (line,) = err.splitlines()
    assert line.startswith("error: ") and line.endswith((".", "?"))
    return line.removeprefix("error: ")


def words(arguments: tuple[str, ...] | str) -> str:
    """Return the name of a test: the command without the hint."""
    return "" if isinstance(arguments, str) else " ".join(arguments)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_says_what_it_does(call, command):
    code, out, err = call(*command, "--help")
    assert (code, err) == (0, "")
    assert "Usage:" in out and "--help" in out


def test_version(call):
    assert call("--version") == (0, f"{__version__}\n", "")


def test_run_without_any_filter_asks_what_to_run(call):
    code, out, err = call("run")
    assert (code, out) == (2, "")
    assert "--all" in one_sentence(err)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("run", "--table", "tkuco2024/tabel2"), "did you mean 'table2'"),
        (("run", "--paper", "tkuco"), "did you mean 'tkuco2024'"),
        (("run", "--method", "ddcc"), "did you mean 'ddc'"),
        (("run", "--dataset", "digit"), "did you mean 'digits'"),
        (("run", "--all", "--profile", "quik"), "did you mean 'quick'"),
        (("run", "--all", "--set", "widht=1"), "did you mean 'width'"),
        (("run", "--all", "--stale", "rerunn"), "did you mean 'rerun'"),
        (("run", "--all", "--budget", "5x"), "90s, 20m, 5h30m or 7d"),
        (("run", "--all", "--device", "gpu"), "write cpu, cuda or cuda:1"),
        (("run", "--dataset", "mnist"), "no cell of the quick profile"),
        (("run", "--all", "--reading", "code"), "only the reading: paper"),
        (("ls", "method"), "did you mean 'methods'"),
        (("tables", "--format", "cvs"), "did you mean 'csv'"),
        (("tables", "--table", "table22"), "did you mean 'table2'"),
        (("status", "--method", "ddcc"), "did you mean 'ddc'"),
        (("check", "--method", "ddcc"), "did you mean 'ddc'"),
        (("check", "--dataset", "coil-100", "--method", "sec"), "no cell of the quick profile"),
        (("data", "status", "mnistt"), "did you mean 'mnist'"),
        (("data", "fetch", "mnistt"), "did you mean 'mnist'"),
        (("explain", "table2", "ddc", "digits", "acc"), "PAPER/TABLE"),
        (("explain", "tkuco2024/table9", "ddc", "digits", "acc"), "did you mean 'table"),
        (("explain", "tkuco2024/table1", "ddc", "digits", "acc"), "no run stands behind it"),
        (("explain", "tkuco2024/table2", "ddcc", "digits", "acc"), "did you mean 'ddc'"),
        (("explain", "tkuco2024/table2", "ddc", "digit", "acc"), "did you mean 'digits'"),
        (("explain", "tkuco2024/table2", "ddc", "digits", "accc"), "did you mean 'acc'"),
        (("explain", "tkuco2024/table4", "ddc-uco-t", "digits", "acc", "--setting", "x"), "lambda=0.010;"),
    ],
    ids=words,
)
def test_a_wrong_name_is_exit_2_and_one_sentence_with_the_mend(call, arguments, hint):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert hint in one_sentence(err)


def test_a_wrong_name_gives_no_traceback_from_a_shell(tmp_path):
    command = [sys.executable, "-m", "benchmark", "explain", "tkuco2024/table2", "ddcc", "digits", "acc"]
    # Without the cache nothing is said of plug-ins that are imported for it.
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "RECLUST_CACHE": "off"}
    done = subprocess.run(
        command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'ddc'" in one_sentence(done.stderr)


@pytest.mark.parametrize(("option", "value"), [("--reading", "cod"), ("--runs", "0"), ("--workers", "0"), ("--al", "")])
def test_a_wrong_option_is_exit_2_and_names_it(call, option, value):
    code, _, err = call("run", "--all", option, *([value] if value else []))
    assert code == 2 and option in err and "Traceback" not in err


def test_missing_data_are_exit_1_and_say_what_is_missing_and_where_it_was_looked_for(call, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    code, _, err = call("run", *TABLE2, "--dataset", "usps", "--profile", "cpu", "--data-dir", empty)
    assert code == 1
    sentence = one_sentence(err)
    assert "usps.bz2" in sentence and str(empty) in sentence and "data fetch usps" in sentence
    assert list(empty.iterdir()) == []


def test_a_row_that_nothing_of_ours_can_fill_is_exit_1_and_says_so(call, monkeypatch):
    rows = load_paper("tkuco2024").protocol.methods
    monkeypatch.setitem(rows, "dynae", rows["dynae"].model_copy(update={"method": ""}))
    code, _, err = call("run", "--paper", "tkuco2024", "--method", "dynae")
    assert code == 1
    assert "not implemented: dynae" in one_sentence(err)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--dataset", "reuters", "--profile", "cpu", "--method", "ddc"), "reuters"),
        (("results", "merge", "nowhere"), "nowhere holds no records"),
        (("results", "verify", "--results", "nowhere"), "no folder nowhere"),
        (("results", "prune", "--results", "nowhere"), "no folder nowhere"),
        (("tables", "--out", "."), "."),
    ],
    ids=words,
)
def test_what_cannot_be_done_is_exit_1_and_one_sentence(call, arguments, said):
    code, _, err = call(*arguments)
    assert code == 1
    assert said in one_sentence(err)


def test_a_run_that_is_no_terminal_prints_plain_lines_then_the_tables_and_where_they_lie(first_run):
    results, done = first_run
    assert done.returncode == 0, done.stderr
    assert "0 runs are stored, 2 to make" in done.stdout
    ended = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert [line.partition("]")[0] for line in ended] == ["[1/2", "[2/2"]
    assert all("ACC" in line and "loss" in line for line in ended), ended
    assert "\x1b" not in done.stdout and "\r" not in done.stdout
    folder = results / "tables" / "quick"
    assert str(folder) in done.stdout.splitlines()[-1]
    assert {path.name for path in (folder / "tkuco2024").iterdir()} == {f"table2.{fmt}" for fmt in FORMATS}
    assert len(list((results / "runs").iterdir())) == 2
    assert done.stderr == ""


def test_what_is_stored_is_not_run_again(call, results):
    code, out, _ = call("run", *MADE, "--results", results)
    assert code == 0
    assert "2 runs are stored, 0 to make" in out and "Nothing to train" in out


def test_a_spent_budget_starts_nothing_and_says_what_is_left(call, tmp_path):
    code, out, _ = call("run", *MADE, "--budget", "0s", "--results", tmp_path / "results")
    assert code == 0
    assert "2 runs are left" in out and "no run made" in out
    assert not (tmp_path / "results" / "runs").exists()


def test_status_counts_runs_of_every_table(call, results):
    code, out, _ = call("status", *MADE, "--profile", "quick", "--results", results, "--json")
    (line,) = json.loads(out)
    assert code == 0
    assert line["table"] == "tkuco2024/table2"
    assert [line[name] for name in ("runs", "stored", "ok", "stale", "missing")] == [2, 2, 2, 0, 0]
    _, out, _ = call("status", *TABLE2, "--dataset", "usps", "--method", "ddc", "--runs", "4", "--json")
    assert [(line["profile"], line["no_data"]) for line in json.loads(out)] == [("cpu", 4), ("paper", 4)]


@pytest.mark.parametrize("what", ["methods", "datasets", "networks", "papers", "tables", "profiles"])
def test_every_list_is_read_by_people_and_by_programs(call, what):
    code, out, _ = call("ls", what, "--json")
    lines = json.loads(out)
    assert code == 0 and lines
    _, text, _ = call("ls", what)
    assert len(text.splitlines()) == len(lines) + 1
    for line in lines:
        assert str(next(iter(line.values()))) in text


def test_tables_are_drawn_to_a_file_in_each_format(call, results, tmp_path):
    for fmt in FORMATS:
        file = tmp_path / "new" / f"all.{fmt}"
        code, out, _ = call("tables", *MADE, "--format", fmt, "--out", file, "--results", results)
        assert code == 0 and str(file) in out
        assert "DDC" in file.read_text()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "new" / "all.csv").read_text())))
    assert {row["method"] for row in rows} == {"ddc", "k-means"}


def test_tables_without_results_show_every_table_of_the_papers(call):
    code, out, _ = call("tables")
    assert code == 0
    assert [out.count(f"tkuco2024/table{n}:") for n in (1, 2, 4)] == [1, 1, 1]
    assert "not run" in out


def test_explain_tells_programs_which_runs_a_cell_is_made_of(call, results):
    cell = ("explain", "tkuco2024/table2", "ddc", "digits", "acc", "--runs", "1", *TINY, "--results", results)
    code, out, _ = call(*cell, "--json")
    facts = json.loads(out)
    assert code == 0
    (run,) = facts["runs"]
    record = json.loads((results / "runs" / run["run_id"] / "record.json").read_text())
    assert run["value"] == pytest.approx(100 * record["metrics"]["acc"])
    assert run["run_id"] in call(*cell)[1]


def test_merged_results_are_verified_and_damage_is_found(call, results, tmp_path):
    target = tmp_path / "merged"
    code, _, _ = call("results", "merge", results, "--results", target)
    assert code == 0
    file = target / "stored" / "quick" / "tkuco2024" / "runs.csv"
    assert len(file.read_text().splitlines()) == 3
    assert call("results", "verify", "--results", target) == (0, "2 records read, 0 problems.\n", "")
    code, out, err = call("run", *MADE, "--results", target)
    assert (code, err) == (0, "") and "2 runs are stored, 0 to make" in out
    file.write_text(file.read_text().replace("ok", "fine", 1))
    code, _, err = call("results", "verify", "--results", target)
    assert code == 1 and str(file) in err and "Traceback" not in err


def test_check_fails_without_tracked_rows_and_names_the_cell(call):
    """k-means stands in tables of several papers, which share the runs that are the same."""
    code, out, err = call("check", "--method", "k-means", "--runs", "1")
    assert code == 1, err
    lines = err.splitlines()
    assert {"dtkc2019", "tkuco2024"} <= {line.split()[0] for line in lines}
    assert all("k-means digits" in line and "no stored run" in line for line in lines)
    assert f"{len(lines)} disagreements" in out


@pytest.mark.parametrize(("disagreements", "code"), [((), 0), (("a cell: acc is 1, but 2 is stored.",), 1)])
def test_check_ends_as_it_found(call, monkeypatch, disagreements, code):
    monkeypatch.setattr("benchmark.repeat.check.check_cells", lambda *_: Checked(1, 1, disagreements))
    ended, _, err = call("check")
    said = [line for line in err.splitlines() if not line.startswith("left out: ")]
    assert (ended, said) == (code, list(disagreements)), "what is left out depends on the packages installed here"


def test_data_status_lists_every_set_and_verify_fails_where_a_named_one_is_missing(call):
    code, out, _ = call("data", "status", "--json")
    states = {line["name"]: line["state"] for line in json.loads(out)}
    assert code == 0
    assert states["digits"] == "ready" and states["usps"] == "missing"
    assert call("data", "verify", "digits")[0] == 0
    assert call("data", "verify", "usps")[0] == 1
    assert call("data", "verify")[0] == 0, "what is not here is not wrong"


@pytest.mark.parametrize(
    ("profile", "readings", "said"),
    [
        ("quick", ("paper", "code"), "the quick profile has no code reading here."),
        ("cpu", ("paper", "code"), ""),
        ("quick", (), ""),
    ],
)
def test_a_reading_that_a_profile_lacks_is_named(profile, readings, said):
    asked = Request(profile, tables=("tkuco2024/table2",), methods=("ddc",), readings=readings)
    assert missing_readings(plan_cells(asked), asked) == said
