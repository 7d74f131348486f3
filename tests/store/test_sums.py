"""Tracked files have digests, so that whatever changes them besides a command is noticed."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.store.merge import merge
from benchmark.store.renewals import Renewal, keep
from benchmark.store.sums import SUMS, accept, change_tracked, changes, read_sums
from tests.support.records import make_record, opened

pytestmark = pytest.mark.attack("files")

FOLDER = Path("cpu", "wood2020")
FILES = [FOLDER / name for name in ("runs.csv", "history.csv.gz", "specs.jsonl")] + [
    Path("renewals.jsonl"),
    Path("wood2020", "embeddings", "x.csv"),
]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Tracked records, a renewal and an artefact, written by commands."""
    for replicate in range(2):
        opened(tmp_path / "source").save(make_record(replicate))
    merge([tmp_path / "source"], tmp_path)
    facts = {"cell": "c", "method": "tree", "dataset": "leaves", "old": "1", "new": "2", "run_id": "r"}
    keep([Renewal(**facts, compared="all", machine="oak")], tmp_path / "stored")
    change_tracked(tmp_path / "stored", {tmp_path / "stored" / FILES[-1]: b"x,y\n1,2\n"})
    return tmp_path / "stored"


def test_every_command_that_writes_tracked_files_writes_their_digests(stored: Path) -> None:
    assert changes(stored) == [] and opened(stored.parent).verify() == []
    assert sorted(read_sums(stored) or {}) == sorted(map(str, FILES))


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_the_digests_are_those_that_sha256sum_checks(stored: Path) -> None:
    checked = subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=stored, capture_output=True, text=True)
    assert checked.returncode == 0 and checked.stdout.count(": OK") == len(FILES)


EDITS: dict[str, Callable[[bytes], bytes]] = {
    "a number": lambda data: data.replace(b"1", b"2", 1),
    "the end": lambda data: data + b"\n",
    "nothing": lambda data: b"",
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("file", FILES, ids=str)
def test_any_edit_of_a_tracked_file_is_found_and_no_merge_takes_it_for_good(
    stored: Path, file: Path, edit: str
) -> None:
    path = stored / file
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(EDITS[edit](gzip.decompress(path.read_bytes()))))
    else:
        path.write_bytes(EDITS[edit](path.read_bytes()))
    (said,) = changes(stored)
    assert str(path) in said and "git checkout" in said and "--accept" in said and "\n" not in said
    assert said in opened(stored.parent).verify()
    if file.parent == FOLDER:
        before = path.read_bytes()
        opened(stored.parent / "more").save(make_record(5))
        with pytest.raises(UserError):
            merge([stored.parent / "more"], stored.parent)
        assert path.read_bytes() == before


def test_files_that_are_missing_or_of_nobody_are_found(stored: Path) -> None:
    (stored / FILES[-1]).unlink()
    (stored / "cpu" / "notes.txt").write_text("mine")
    assert [text.split(" ")[0] for text in changes(stored)] == [str(stored / FILES[-1]), str(stored / "cpu/notes.txt")]
    assert accept(stored) and changes(stored) == [] and not accept(stored)


def test_digests_that_are_missing_or_damaged_are_found(stored: Path) -> None:
    (stored / SUMS).write_text("abc  runs.csv\n")
    assert "line 1" in changes(stored)[0]
    (stored / SUMS).unlink()
    assert "is missing, so that no edit is noticed" in changes(stored)[0]
    opened(stored.parent / "more").save(make_record(7))
    merge([stored.parent / "more"], stored.parent)
    assert changes(stored) == []


def test_a_folder_without_tracked_files_needs_no_digests(tmp_path: Path) -> None:
    assert changes(tmp_path / "stored") == [] and opened(tmp_path).verify() == []
