"""The condition of a results folder: checkpoints stay as long as a run needs them, and numbers are those of today."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmark.execution.checkpoints import checkpoint_folder
from benchmark.execution.upkeep import tidy
from benchmark.files.locks import Claims
from benchmark.session import Session
from tests.support.records import make_record, opened


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """The checkpoints of a run that is stored."""
    record = make_record()
    opened(tmp_path).save(record)
    folder = checkpoint_folder(tmp_path, record.run_id)
    folder.mkdir(parents=True)
    (folder / "00-000000003-within.0123456789abcdef.safetensors").write_bytes(b"state")
    return folder


def written(folder: Path, seconds: float) -> None:
    """Let what is in a folder be written so many seconds after the record of its run."""
    stored = (folder.parent.parent / "runs" / folder.name / "record.json").stat().st_mtime
    for file in folder.iterdir():
        os.utime(file, (stored + seconds,) * 2)


def test_checkpoints_of_before_the_record_are_removed(tmp_path, checkpoints):
    written(checkpoints, -5)
    assert tidy(opened(tmp_path)) == []
    assert not checkpoints.exists()


def test_a_run_that_is_made_again_keeps_its_checkpoints(tmp_path, checkpoints):
    written(checkpoints, 5)
    tidy(opened(tmp_path))
    assert len(list(checkpoints.iterdir())) == 1


def test_a_run_that_another_process_is_at_keeps_its_checkpoints(tmp_path, checkpoints):
    written(checkpoints, -5)
    with Claims(tmp_path) as claims:
        assert claims.take(checkpoints.name)
        tidy(opened(tmp_path))
        assert checkpoints.exists()
    tidy(opened(tmp_path))
    assert not checkpoints.exists()


def test_a_session_that_is_refreshed_sees_the_records_that_were_replaced(tmp_path):
    old, new = make_record(loss=0.1), make_record(loss=9.0)
    opened(tmp_path).save(old)
    session = Session(tmp_path, fresh=True)
    assert [record.loss for record in session.find(old.spec)] == [0.1]
    opened(tmp_path).save(new, replace=True)
    session.refresh()
    assert [record.loss for record in session.find(old.spec)] == [9.0]
