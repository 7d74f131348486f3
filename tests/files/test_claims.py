"""Claims: one owner for each run, taken over from the dead, whatever the clocks say."""

from __future__ import annotations

import errno
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from multiprocessing.synchronize import Event as EventType
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.errors import UserError
from benchmark.files.locks import Claims, alone
from benchmark.files.owners import alive, machine, process, this_process
from tests.support.waiting import wait_until

pytestmark = pytest.mark.attack("claims")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Give the claims a monotonic clock that stands still."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr("benchmark.files.locks.time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


@pytest.fixture(params=["links", "no links"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test be once on a file system that has hard links, and once on one that has none."""
    if request.param == "no links":
        monkeypatch.setattr(os, "link", no_link)


def no_link(source: Path, target: Path) -> None:
    raise OSError(errno.EOPNOTSUPP, "Operation not supported", str(source))


def dead_process() -> str:
    """Return the owner that a process was that is gone."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    owner = process(child.pid)
    assert alive(owner) is True
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert alive(owner) is False, "a zombie is dead, too"
    child.wait()
    assert alive(owner) is False
    return owner


def claimed_by(owner: str, results: Path, run: str = "run") -> Path:
    path = results / "claims" / run
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{owner} token")
    return path


def test_a_run_has_one_owner_until_it_is_given_back(tmp_path, either):
    with Claims(tmp_path) as first, Claims(tmp_path) as second:
        assert first.take("run") and not second.take("run") and second.take("other")
        second.give_back("run")
        assert not second.take("run"), "only the owner gives back"
        first.give_back("run")
        assert second.take("run")
    assert list((tmp_path / "claims").iterdir()) == [], "all is given back at the end"


def test_the_claim_of_a_dead_process_of_this_machine_is_taken_over_at_once(tmp_path, either):
    claimed_by(dead_process(), tmp_path)
    with Claims(tmp_path) as claims:
        assert claims.take("run")


def test_a_process_id_that_was_given_again_is_not_the_owner():
    now = this_process()
    assert alive(now) is True
    head, _, began = now.rpartition("-")
    assert alive(f"{head}-{int(began) - 1}") is False
    assert alive(f"elsewhere-{os.getpid()}-{began}") is None
    assert alive("") is None and "-" not in machine()


@pytest.mark.parametrize("owner", ["elsewhere-1-1", ""])
def test_a_claim_of_another_machine_is_dead_when_it_was_not_touched_for_long(tmp_path, clock, owner):
    claimed_by(owner, tmp_path)
    with Claims(tmp_path, patience=60) as claims:
        for seconds in (0, 59):
            clock.seconds = 1000 + seconds
            assert not claims.take("run")
        clock.seconds += 1
        assert claims.take("run")


@pytest.mark.parametrize("wall", [1.0, 2e9], ids=["set back", "set forward"])
def test_a_claim_that_is_touched_lives_whatever_its_clock_says(tmp_path, clock, wall):
    path = claimed_by("elsewhere-1-1", tmp_path)
    with Claims(tmp_path, patience=60) as claims:
        for beat in range(10):
            assert not claims.take("run")
            clock.seconds += 50
            os.utime(path, (wall - beat,) * 2)
        clock.seconds += 61
        assert not claims.take("run"), "the last touch is seen now"
        clock.seconds += 61
        assert claims.take("run")


def test_the_owner_touches_its_claims(tmp_path):
    with Claims(tmp_path, beat=0.02) as claims:
        claims.take("run")
        path = tmp_path / "claims" / "run"
        os.utime(path, (0, 0))
        wait_until(lambda: path.stat().st_mtime != 0, "the claim is touched")


def test_a_claim_that_was_taken_over_is_not_given_back_by_its_first_owner(tmp_path):
    first = Claims(tmp_path)
    assert first.take("run")
    path = claimed_by("elsewhere-1-1", tmp_path)
    first.give_back("run")
    assert path.exists()


def test_a_claim_renewed_between_the_look_and_the_takeover_keeps_its_owner(tmp_path, monkeypatch):
    path = claimed_by(dead_process(), tmp_path)
    claims, original = Claims(tmp_path), os.link

    def late(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", original)
        path.write_text(f"{this_process()} faster")
        original(source, target)

    monkeypatch.setattr(os, "link", late)
    assert not claims.take("run")
    assert path.read_text().endswith("faster")
    assert list((tmp_path / "claims").iterdir()) == [path]


def test_a_dead_claim_is_succeeded_though_a_successor_died_before(tmp_path, monkeypatch):
    path = claimed_by(dead_process(), tmp_path)

    def dies(source: Path, target: Path) -> None:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", dies)
        broken.setattr(Claims, "give_back", lambda *_: None)
        with pytest.raises(MemoryError):
            Claims(tmp_path).take("run")
    (turn,) = set((tmp_path / "claims").iterdir()) - {path}
    assert not Claims(tmp_path).take("run"), "its turn: it lives"
    turn.write_text(f"{dead_process()} token")
    assert Claims(tmp_path).take("run")
    assert list((tmp_path / "claims").iterdir()) == [path]


def test_a_claim_of_no_text_dies_like_that_of_another_machine(tmp_path, clock):
    path = claimed_by("", tmp_path)
    path.write_bytes(b"\xff\xfe\x00")
    with Claims(tmp_path, patience=60) as claims:
        assert not claims.take("run")
        clock.seconds += 60
        assert claims.take("run")


def test_a_claim_that_the_disk_keeps_ends_nothing(tmp_path, monkeypatch):
    def stale(*_: object, **__: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    with Claims(tmp_path) as claims:
        assert claims.take("run") and claims.take("other")
        with monkeypatch.context() as broken:
            broken.setattr(Path, "unlink", stale)
            claims.give_back("run")
        assert (tmp_path / "claims" / "run").exists()
    assert not (tmp_path / "claims" / "other").exists()


def _take_all(results: str, start: float, taken: multiprocessing.Queue, over: EventType) -> None:  # type: ignore[type-arg]
    claims = Claims(Path(results))
    while time.monotonic() < start:
        pass
    taken.put([run for run in range(200) if claims.take(str(run))])
    over.wait()  # the claims of a process that is gone may be taken


def test_of_processes_at_once_exactly_one_takes_each_run(tmp_path, either):
    for run in range(0, 200, 2):
        claimed_by("gone-owner", tmp_path, str(run))
    for path in (tmp_path / "claims").iterdir():
        path.write_text(f"{machine()}-{2**22 + 1}-1 token")  # of this machine, and dead
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    taken, over = context.Queue(), context.Event()
    start = time.monotonic() + 0.3
    crew = [context.Process(target=_take_all, args=(str(tmp_path), start, taken, over), daemon=True) for _ in range(6)]
    for member in crew:
        member.start()
    try:
        got = [taken.get(timeout=300) for _ in crew]
    finally:
        over.set()
    for member in crew:
        member.join(60)
    assert sorted(run for runs in got for run in runs) == list(range(200))
    assert {path.name for path in (tmp_path / "claims").iterdir()} == {str(run) for run in range(200)}


# Disks and folders that misbehave


@pytest.mark.parametrize("number", [errno.EEXIST, errno.EIO, errno.ETIMEDOUT])
def test_a_link_that_was_made_though_its_answer_was_lost_is_ours(tmp_path, monkeypatch, number):
    original = os.link

    def lost(source: Path, target: Path) -> None:
        original(source, target)
        raise OSError(number, os.strerror(number), str(target))

    monkeypatch.setattr(os, "link", lost)
    with Claims(tmp_path) as claims:
        assert claims.take("run")
        monkeypatch.setattr(os, "link", original)
        assert not Claims(tmp_path).take("run")
    assert list((tmp_path / "claims").iterdir()) == []


def test_a_link_that_failed_for_good_is_the_error_that_it_is(tmp_path, monkeypatch):
    def broken(source: Path, target: Path) -> None:
        raise OSError(errno.EIO, "Input/output error", str(target))

    monkeypatch.setattr(os, "link", broken)
    with pytest.raises(OSError, match="Input/output error"):
        Claims(tmp_path).take("run")
    assert list((tmp_path / "claims").iterdir()) == []


def lay(kind: str, path: Path) -> None:
    path.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"dangling link": "nowhere", "link to itself": path.name, "link to a file": __file__}[kind])


@pytest.mark.parametrize("kind", ["dangling link", "link to itself", "link to a file", "pipe"])
def test_what_is_no_file_is_no_claim_and_holds_nobody_up(tmp_path, kind, either):
    path = tmp_path / "claims" / "run"
    lay(kind, path)
    before = Path(__file__).read_bytes()
    with Claims(tmp_path) as claims:
        assert claims.holder("run") == "" and claims.take("run")
        assert path.is_file() and not path.is_symlink() and not Claims(tmp_path).take("run")
    assert list(path.parent.iterdir()) == [] and Path(__file__).read_bytes() == before


def test_a_folder_in_the_place_of_a_claim_is_an_error_that_names_it(tmp_path):
    (tmp_path / "claims" / "run").mkdir(parents=True)
    with pytest.raises(OSError, match="Is a directory"):
        Claims(tmp_path).take("run")


def test_without_links_a_full_disk_leaves_no_half_claim(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", no_link)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Claims(tmp_path).take("run")
    assert list((tmp_path / "claims").iterdir()) == []


def test_without_links_a_claim_taken_over_while_it_was_written_is_not_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", no_link)
    original = os.fsync

    def slow(handle: int) -> None:
        original(handle)
        (tmp_path / "claims" / "run").unlink()
        claimed_by("elsewhere-1-1", tmp_path)

    monkeypatch.setattr(os, "fsync", slow)
    assert not Claims(tmp_path).take("run")


def test_the_holder_of_a_claim_is_named_by_process_and_host(tmp_path):
    with Claims(tmp_path) as claims:
        assert claims.holder("run") == ""
        claims.take("run")
        assert claims.holder("run") == f"process {os.getpid()} on {socket.gethostname()}"
    claimed_by("far-7-9", tmp_path).write_text("far-7-9 token far.example.org")
    assert Claims(tmp_path).holder("run") == "process 7 on far.example.org"
    claimed_by("far-7-9", tmp_path)
    assert Claims(tmp_path).holder("run") == "process 7 on another machine"


def test_what_must_be_done_alone_says_who_is_at_it(tmp_path):
    with Claims(tmp_path) as claims:
        claims.take("merge")
        with pytest.raises(UserError, match=f"process {os.getpid()} on .* does a merge into"), alone(tmp_path, "merge"):
            raise AssertionError
