"""Pruning removes what nothing needs, and neither a number nor what a process is at."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.execution.checkpoints import checkpoint_folder
from benchmark.execution.pruning import Leftover, leftovers, remove
from benchmark.files.locks import CLAIMS, Claims
from benchmark.files.quarantine import quarantined, set_aside
from benchmark.papers.protocol import PROFILES, READINGS
from benchmark.plan.cells import plan_cells
from benchmark.plan.lineage import parent_of
from benchmark.plan.request import Request
from benchmark.record import Context, RunRecord
from benchmark.registry import load_plugins
from benchmark.spec import RunSpec
from benchmark.store.merge import merge
from tests.support.records import make_record, opened

DAY = 86400.0
RUN = "0123456789abcdef"


def aged(folder: Path, days: float) -> Path:
    """Let a folder and all in it be written so many days ago."""
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (time.time() - days * DAY,) * 2)
    return folder


def checkpoints(results: Path, run: str = RUN, days: float = 10.0) -> Path:
    """Checkpoints of a run that has no record."""
    folder = checkpoint_folder(results, run)
    folder.mkdir(parents=True)
    (folder / "00-000000003-within.0123456789abcdef.safetensors").write_bytes(b"s" * 2**20)
    return aged(folder, days)


def in_quarantine(results: Path, days: float) -> Path:
    """A run folder that was set aside as damaged."""
    folder = results / "runs" / RUN
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("{")
    place = set_aside(results, folder, "record.json is not whole")
    assert place is not None
    return aged(place, days)


def names(found: list[Leftover]) -> list[str]:
    """Return the names of the folders that can go."""
    return [left.path.name for left in found]


def test_what_was_left_for_long_goes_and_what_is_recent_stays(tmp_path):
    old = checkpoints(tmp_path, days=8)
    checkpoints(tmp_path, "f" * 16, days=6)
    aside = in_quarantine(tmp_path, days=8)
    store = opened(tmp_path)
    found = leftovers(store, 7 * DAY)
    assert names(found) == [old.name, aside.name]
    assert found[0].size >= 2**20
    assert [why for _, why in remove(tmp_path, found)] == ["", ""]
    assert not old.exists() and quarantined(tmp_path) == []
    assert checkpoint_folder(tmp_path, "f" * 16).exists()


def test_one_file_written_lately_keeps_all_checkpoints_of_its_run(tmp_path):
    folder = checkpoints(tmp_path, days=30)
    (folder / "01-000000001-within.0123456789abcdef.safetensors").write_bytes(b"state")
    os.utime(folder, (time.time() - 30 * DAY,) * 2)
    assert leftovers(opened(tmp_path), 7 * DAY) == []


@pytest.mark.parametrize("foreign", [False, True])
def test_a_run_that_a_process_is_at_keeps_its_checkpoints(tmp_path, foreign):
    folder = checkpoints(tmp_path)
    found = leftovers(opened(tmp_path), 7 * DAY)
    if foreign:
        (tmp_path / CLAIMS).mkdir()
        (tmp_path / CLAIMS / RUN).write_text("another_machine-17-4 0123")
        assert [why for _, why in remove(tmp_path, found)] == ["another process is at this run"]
    else:
        with Claims(tmp_path) as claims:
            assert claims.take(RUN)
            assert [why for _, why in remove(tmp_path, found)] == ["another process is at this run"]
    assert len(list(folder.iterdir())) == 1
    if not foreign:
        assert [why for _, why in remove(tmp_path, found)] == [""]
        assert not folder.exists()


def test_only_runs_whose_rows_are_tracked_go_and_their_numbers_stay(tmp_path):
    store = opened(tmp_path)
    tracked, richer, untracked, changed = (make_record(replicate) for replicate in range(4))
    for record in (tracked, richer, changed):
        store.save(record, np.zeros(12, dtype=np.int64))
    merge([tmp_path], tmp_path)
    store.save(untracked)
    more = richer.history[0].model_copy(update={"metrics": {**richer.history[0].metrics, "drift": 0.5}})
    store.save(richer.model_copy(update={"history": (more, *richer.history[1:])}), replace=True)
    store.save(changed.model_copy(update={"loss": 7.0}), replace=True)
    numbers = {run_id: record.loss for run_id, record in opened(tmp_path).records().items()}

    assert leftovers(opened(tmp_path), 0.0) == []
    found = leftovers(opened(tmp_path), 0.0, merged=True)
    assert names(found) == [tracked.run_id]
    assert [why for _, why in remove(tmp_path, found)] == [""]
    left = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert left == sorted(record.run_id for record in (richer, untracked, changed))
    assert {run_id: record.loss for run_id, record in opened(tmp_path).records().items()} == numbers


def test_what_was_written_since_it_was_found_stays(tmp_path):
    store, old = opened(tmp_path), make_record()
    store.save(old)
    merge([tmp_path], tmp_path)
    aged(tmp_path / "runs", 1)
    resumed = checkpoints(tmp_path)
    found = leftovers(opened(tmp_path), 7 * DAY, merged=True)
    assert names(found) == [resumed.name, old.run_id]
    store.save(make_record(loss=7.0), replace=True)
    (resumed / "00-000000009-within.0123456789abcdef.safetensors").write_bytes(b"state")
    assert [why for _, why in remove(tmp_path, found)] == ["it was written to meanwhile"] * 2
    assert opened(tmp_path).get(old.run_id).loss == 7.0
    assert len(list(resumed.iterdir())) == 2


def test_the_command_says_what_goes_and_a_dry_run_removes_nothing(tmp_path, call):
    folder = checkpoints(tmp_path)
    said = f"{folder} (checkpoints of a run that was broken off): 1.0 MiB\n"
    assert call("results", "prune", "--results", tmp_path, "--dry-run") == (0, f"{said}1 would go, 1.0 MiB.\n", "")
    assert folder.exists()
    assert call("results", "prune", "--results", tmp_path, "--older-than", "11d") == (0, "0 removed, 0.0 MiB.\n", "")
    assert call("results", "prune", "--results", tmp_path) == (0, f"{said}1 removed, 1.0 MiB.\n", "")
    assert not folder.exists()
    code, _, err = call("results", "prune", "--results", tmp_path, "--older-than", "soon")
    assert (code, err) == (2, "error: --older-than 'soon' is no time: write 90s, 20m, 5h30m or 7d.\n")


def test_what_the_disk_does_not_let_go_is_named_and_the_others_go(tmp_path, call, monkeypatch):
    kept, gone = checkpoints(tmp_path), checkpoints(tmp_path, "f" * 16)
    rename = os.rename

    def refusing(source: Path, target: Path) -> None:
        if Path(source) == kept:
            raise OSError(errno.EROFS, "Read-only file system", str(source))
        rename(source, target)

    monkeypatch.setattr(os, "rename", refusing)
    code, out, _ = call("results", "prune", "--results", tmp_path)
    assert code == 1 and "stays" in out and "Read-only file system" in out
    assert out.endswith("1 removed, 1.0 MiB.\n")
    assert kept.exists() and not gone.exists()


@pytest.mark.attack("leftovers")
def test_a_removal_that_was_killed_is_finished_by_the_next(tmp_path, monkeypatch):
    folder = checkpoints(tmp_path)

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            list(remove(tmp_path, leftovers(opened(tmp_path), 7 * DAY)))
    assert not folder.exists()
    assert [why for _, why in remove(tmp_path, leftovers(opened(tmp_path), 0.0))] == [""]
    assert list(folder.parent.iterdir()) == []


def record_of(spec: RunSpec) -> RunRecord:
    return RunRecord(run_id=spec.run_id, spec=spec, context=Context(paper="a", profile="b"), status="ok", loss=1.0)


@pytest.mark.slow
def test_a_run_stays_until_all_that_start_from_it_are_stored(tmp_path):
    load_plugins()
    cells = [cell for profile in PROFILES for cell in plan_cells(Request(profile, readings=READINGS))]
    specs = [spec for cell in cells if cell.specs and parent_of(cell.specs[0]) for spec in cell.specs]
    by_parent: dict[str, dict[str, RunSpec]] = {}
    for spec in specs:
        by_parent.setdefault(parent_of(spec).run_id, {})[spec.run_id] = spec
    children = list(max(by_parent.values(), key=len).values())
    parent = parent_of(children[0])
    # A run of no table: it starts from the same pre-training, and that of another replicate is stored.
    own = children[-1].model_copy(update={"params": children[-1].params | {"tolerance": 0.123}})
    cousin = own.model_copy(update={"replicate": own.replicate + 1000})
    assert len(children) > 1 and parent_of(own) == parent
    opened(tmp_path).save(record_of(parent), state={"w": torch.zeros(1)})
    for more, goes in (([], False), (children[:-1], False), (children[-1:], True), ([cousin], False), ([own], True)):
        for child in more:
            opened(tmp_path).save(record_of(child))
        merge([tmp_path], tmp_path)
        found = names(leftovers(opened(tmp_path), 0.0, merged=True))
        assert (parent.run_id in found) == goes and {child.run_id for child in more} <= set(found)


def test_links_stay_where_they_are_and_so_does_what_they_lead_to(tmp_path, call):
    store = opened(tmp_path)
    store.save(make_record())
    merge([tmp_path], tmp_path)
    elsewhere = tmp_path / "elsewhere"
    folder = tmp_path / "runs" / make_record().run_id
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    old = checkpoints(tmp_path)
    old.rename(tmp_path / "far")
    old.symlink_to(tmp_path / "far")
    os.utime(old, (time.time() - 10 * DAY,) * 2, follow_symlinks=False)
    code, out, _ = call("results", "prune", "--results", tmp_path, "--merged")
    assert code == 1 and out.count("stays, it is a link") == 2 and out.endswith("0 removed, 0.0 MiB.\n")
    assert folder.is_symlink() and old.is_symlink()
    assert len(list(elsewhere.iterdir())) == 3 and len(list((tmp_path / "far").iterdir())) == 1
    assert not [path for path in (tmp_path / "runs").iterdir() if path.name.startswith(".")]
