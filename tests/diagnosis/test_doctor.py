"""`doctor`: what it finds, by planting it; it changes nothing, and exits 1 only where something blocks runs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmark.diagnosis import examine, machine
from benchmark.diagnosis.folders import claims
from benchmark.files.locks import Claims
from benchmark.registry import BROKEN, load_plugins

pytestmark = pytest.mark.usefixtures("nothing_shipped")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, without data and with a cache of its own."""
    load_plugins()
    monkeypatch.setattr("benchmark.registry.BROKEN", {})
    monkeypatch.setattr("benchmark.diagnosis.examination.BROKEN", {})
    monkeypatch.delenv("RECLUST_DATA", raising=False)
    monkeypatch.delenv("RECLUST_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(area: str, **options: Any) -> dict[str, tuple[str, str, str]]:
    """Return state, text and mend of what is found in an area, by name."""
    findings = [finding for finding in examine(Path("results"), **options) if finding.area == area]
    return {finding.name: (finding.state, finding.what, finding.mend) for finding in findings}


def blocking(text: dict[str, Any]) -> set[str]:
    return {finding["name"] for finding in text["findings"] if finding["state"] == "blocks"}


def test_a_healthy_machine_is_told_so_and_nothing_is_written(call, place):
    before = sorted(path for path in place.rglob("*") if "cache" not in path.parts)
    code, out, _ = call("doctor", "--json")
    told = json.loads(out)
    assert (code, told["blocks"], blocking(told)) == (0, 0, set()), out
    assert {finding["area"] for finding in told["findings"]} == {
        *("versions", "plug-ins", "devices", "data", "cache", "results"),
    }
    assert sorted(path for path in place.rglob("*") if "cache" not in path.parts) == before
    torch = next(finding for finding in told["findings"] if finding["name"] == "torch")
    assert torch["what"] == importlib.metadata.version("torch")


def test_for_people_each_finding_is_a_line_with_its_mend_below(call):
    code, out, _ = call("doctor")
    assert code == 0
    lines = out.splitlines()
    place = next(i for i, line in enumerate(lines) if " - RECLUST_DATA" in line)
    assert lines[place + 1].strip().startswith("-> export RECLUST_DATA=")
    assert lines[-1].startswith("0 of ")


def test_a_package_outside_the_declared_range_blocks_with_the_command_that_mends_it(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: ["numpy<1", "no-such-package>=3", "x; extra == 'y'"])
    told = {finding.name: finding for finding in machine.versions()}
    assert told["numpy"].state == "blocks" and told["numpy"].mend == "pip install 'numpy<1'"
    assert told["no-such-package"].what == "not installed"
    assert "x" not in told


def test_a_data_folder_that_is_not_there_and_damaged_data_block(call, place, monkeypatch):
    monkeypatch.setenv("RECLUST_DATA", str(place / "nowhere"))
    assert found("data")["RECLUST_DATA"][0] == "blocks"
    (place / "data" / "usps").mkdir(parents=True)
    for name in ("usps.bz2", "usps.t.bz2"):
        (place / "data" / "usps" / name).write_bytes(b"")
    monkeypatch.setenv("RECLUST_DATA", str(place / "data"))
    told = found("data")
    assert told["digits"][0] == "fine" and told["mnist"][0] == "note"
    assert "data fetch" in told["mnist"][1] or "put" in told["mnist"][1]
    assert told["usps"][0] == "blocks", told["usps"]
    assert call("doctor")[0] == 1


def test_a_full_disk_and_a_results_folder_that_cannot_be_written_block(place, monkeypatch):
    monkeypatch.setattr(machine, "LEAST_FREE", 2**80)
    assert machine.disk(place / "results").state == "blocks"
    monkeypatch.undo()
    assert machine.disk(place / "results").state == "fine"
    (place / "file").write_text("no folder")
    assert machine.disk(place / "file").state == "blocks"


def test_a_plug_in_that_cannot_be_imported_blocks_and_is_named(monkeypatch):
    monkeypatch.setattr("benchmark.diagnosis.examination.BROKEN", {"thorn": "the plug-in 'thorn' is left out: ..."})
    state, what, mend = found("plug-ins")["thorn"]
    assert state == "blocks" and "thorn" in what and "remove" in mend
    assert "thorn" not in BROKEN


def test_damaged_and_stale_results_are_named_and_do_not_block(call, place):
    assert (
        call("run", "--table", "idec2017/table2", "--method", "k-means", "--runs", "2", "--executor", "serial")[0] == 0
    )
    assert found("results")["records"] == ("fine", "2 ok", "")
    runs = sorted((place / "results" / "runs").iterdir())
    (runs[0] / "record.json").write_text("{")
    told = found("results")
    assert told["run"][0] == "note" and str(runs[0]) in told["run"][1]
    assert told["records"][1] == "1 ok"
    assert call("doctor")[0] == 0
    assert (runs[0] / "record.json").read_text() == "{", "doctor moves nothing"


def test_an_edited_tracked_row_is_named_and_one_that_cannot_be_read_blocks(call, place):
    call("run", "--table", "idec2017/table2", "--method", "k-means", "--runs", "2", "--executor", "serial")
    assert call("results", "merge")[0] == 0
    (rows,) = (place / "results" / "stored").rglob("runs.csv")
    whole = rows.read_text()
    rows.write_text(whole.replace(",ok,", ",collapsed,", 1))
    assert found("results")["tracked rows"][0] == "note"
    rows.write_text(whole[: len(whole) // 2])
    code, out, _ = call("doctor", "--json")
    assert code == 1 and "tracked rows" in blocking(json.loads(out)), out


def test_a_claim_says_whether_its_owner_lives(place):
    results = place / "results"
    with Claims(results) as mine:
        assert mine.take("0123456789abcdef")
        (alive,) = claims(results)
        assert alive.state == "fine" and f"process {os.getpid()}" in alive.what
    script = (
        "import os, sys; from pathlib import Path; from benchmark.files.locks import Claims\n"
        "Claims(Path('results')).take('fedcba9876543210'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=place, check=True, timeout=600)
    (dead,) = claims(results)
    assert dead.state == "note" and "which is gone" in dead.what and "takes it over" in dead.mend
