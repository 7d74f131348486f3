"""Files change together or not at all: whoever is killed at which step, a reader finds all old or all new contents."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.files.owners import process
from benchmark.files.together import DECIDED, change_together, read_together, settle
from tests.support.attack import made
from tests.support.checkout import ROOT

pytestmark = pytest.mark.attack("leftovers")

OLD = {"a.csv": b"old a", "deep/b.csv": b"old b", "deep/c.csv": b"same"}
NEW = {"a.csv": b"new a", "deep/b.csv": b"new b", "deep/c.csv": b"same", "new/d.csv": b"new d"}

# Every call that changes what is on disk counts; at the one of this number the process kills itself, before the call.
KILLED = """
import os, signal, sys
from pathlib import Path
from benchmark.files.together import change_together

root, dies_at = Path(sys.argv[1]), int(sys.argv[2])
count = 0

def counted(call):
    def made(*arguments, **options):
        global count
        count += 1
        if count == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return made

for name in ("mkdir", "rename", "replace", "fsync", "unlink", "rmdir"):
    setattr(os, name, counted(getattr(os, name)))
change_together(root, {root / name: data.encode() for name, data in eval(sys.argv[3]).items()})
"""


def killed_change(root: Path, dies_at: int) -> int:
    """Change `root` to NEW in a process that kills itself at a step; return its exit code."""
    new = repr({name: data.decode() for name, data in NEW.items()})
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", KILLED, str(root), str(dies_at), new], env=environment).returncode


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def changed(root: Path, files: dict[str, bytes]) -> list[str]:
    done = change_together(root, {root / name: data for name, data in files.items()})
    return [path.relative_to(root).as_posix() for path in done]


def test_only_what_differs_is_written_and_nothing_is_left_beside(tmp_path: Path) -> None:
    assert changed(tmp_path, OLD) == list(OLD) and contents(tmp_path) == OLD
    assert changed(tmp_path, NEW) == ["a.csv", "deep/b.csv", "new/d.csv"] and contents(tmp_path) == NEW
    assert changed(tmp_path, NEW) == [] and {path.name for path in tmp_path.iterdir()} == {"a.csv", "deep", "new"}


def test_a_process_killed_at_any_step_leaves_all_old_or_all_new(tmp_path: Path) -> None:
    found = []
    for dies_at in range(1, 100):
        root = tmp_path / str(dies_at)
        changed(root, OLD)
        code = killed_change(root, dies_at)
        settle(root)
        held = {name: data for name, data in contents(root).items() if not name.startswith(".")}
        assert held in (OLD, NEW), f"a mixture, when killed at step {dies_at}"
        found.append(held == NEW)
        changed(root, {**held, "later.csv": b""})
        assert contents(root) == {**held, "later.csv": b""}, "drafts are swept by the next change"
        if code == 0:
            break
        made("kills")
    else:
        pytest.fail("the change never came to its end")
    assert found == sorted(found) and 5 < found.index(True) < len(found) - 5, "killed on both sides of the decision"


def test_a_decided_change_is_finished_by_a_reader_who_may_come_late(tmp_path: Path) -> None:
    changed(tmp_path, OLD)
    half = tmp_path / f"{DECIDED}{process(1)}.0"
    half.mkdir()
    (half / "places.json").write_text(json.dumps(["a.csv", "deep/b.csv"]))
    (half / "1").write_bytes(b"new b")  # the first has its place already, and was changed again since
    settle(tmp_path)
    assert contents(tmp_path) == OLD | {"deep/b.csv": b"new b"}


@pytest.mark.parametrize("name", ["../out.csv", "/tmp/out.csv", "", "deep/../../out.csv"])
def test_a_list_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    half = tmp_path / "stored" / f"{DECIDED}x.0"
    half.mkdir(parents=True)
    (half / "places.json").write_text(json.dumps([name]))
    (half / "0").write_bytes(b"evil")
    with pytest.raises(UserError, match="not below its folder"):
        settle(tmp_path / "stored")
    assert not (tmp_path / "out.csv").exists()


def test_a_change_that_cannot_be_finished_here_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = tmp_path / f"{DECIDED}x.0"
    half.mkdir()
    (half / "places.json").write_text(json.dumps(["a.csv"]))
    (half / "0").write_bytes(b"new")

    def read_only(source: Path, target: Path) -> None:
        raise OSError(30, "Read-only file system", str(target))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", read_only)
        with pytest.raises(UserError, match=r"broken off and cannot be finished: .*a\.csv: Read-only"):
            settle(tmp_path)
    settle(tmp_path)
    assert contents(tmp_path) == {"a.csv": b"new"}


def test_files_read_together_are_of_one_moment_while_another_changes_them(tmp_path: Path) -> None:
    """A writer changes two files again and again, a reader never sees one of a change without the other."""
    names = ["a.csv", "deep/b.csv"]
    changed(tmp_path, dict.fromkeys(names, b"0"))
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), *names], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    seen = set()
    while writer.poll() is None:
        seen.add(tuple(read_together(tmp_path, [tmp_path / name for name in names]).values()))
    assert writer.returncode == 0 and all(a == b for a, b in seen) and len(seen) > 5


WRITER = """
import sys
from pathlib import Path
from benchmark.files.together import change_together

root, *names = map(str, sys.argv[1:])
for number in range(1, 100):
    change_together(Path(root), {Path(root, name): str(number).encode() for name in names})
"""
