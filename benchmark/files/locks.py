"""Claims: which process makes which run, so that several commands share one results folder and make each run once.

A claim is a file ``<results>/claims/<run>``, created in one step, that names its owner. The owner touches it every few
seconds. A claim is dead when its owner is a process of this machine that is gone, or when it was not touched for
`patience` seconds of the observer's own monotonic clock: no two clocks are compared, and a clock may be set back.

What lies there and is no file (a link that leads nowhere, a pipe) is nobody's claim, and is replaced. File systems that
have no hard links get a file that is created where there is none, and then written.

Two owners of one run cost time and nothing else: equal runs give equal records, and the first that is stored stays.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import socket
import stat
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from benchmark.errors import UserError
from benchmark.files.owners import alive, dead_drafts, draft, machine, this_process

CLAIMS = "claims"
BEAT_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
_TURN = ".turn-"

_NO_FILE = "\0"
"""What stands for the text of a claim that is no file."""
_LONGEST = 4096
_NO_LINKS = {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
"""What file systems answer that cannot link, or not to this file."""

Seen = tuple[str, int]
"""The text of a claim and the time of its last touch, in nanoseconds of whatever clock."""


class Claims:
    """The claims of this process on runs of a results folder; a context that gives all back at its end."""

    def __init__(self, results: Path, *, beat: float = BEAT_SECONDS, patience: float = PATIENCE_SECONDS) -> None:
        self.folder, self.beat, self.patience = results / CLAIMS, beat, patience
        self._mine: dict[str, str] = {}
        self._seen: dict[str, tuple[Seen, float]] = {}
        self._over = threading.Event()
        self._heart = threading.Thread(target=self._touch_all, daemon=True)

    def __enter__(self) -> Claims:
        """Begin to touch what is claimed, and remove what dead writers left."""
        with contextlib.suppress(OSError):
            for left in dead_drafts(self.folder):
                left.unlink(missing_ok=True)
        self._heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give all claims back."""
        self._over.set()
        for run in list(self._mine):
            self.give_back(run)

    def take(self, run: str) -> bool:
        """Claim a run; return False where another process has it. Raises OSError where no file can be written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path, text = self.folder / run, f"{this_process()} {uuid.uuid4().hex} {socket.gethostname()}"
        seen = _look(path)
        if seen is None:
            taken = self._create(path, text)
        else:
            taken = self._dead(run, seen) and self._succeed(path, seen[0], text)
        if taken:
            self._mine[run] = text
        return taken

    def give_back(self, run: str) -> None:
        """Give up a claim, unless another process has taken it over.

        One that the disk keeps is dead when this process is gone.
        """
        text = self._mine.pop(run, None)
        path = self.folder / run
        with contextlib.suppress(OSError):
            seen = _look(path)
            if text is not None and seen is not None and seen[0] == text:
                path.unlink(missing_ok=True)

    def holder(self, run: str) -> str:
        """Return whose claim on a run is there, as ``process 12 on HOST``; nothing where there is none."""
        try:
            seen = _look(self.folder / run)
        except OSError:
            return ""
        owner, _, rest = (seen[0] if seen else "").partition(" ")
        found, host = re.fullmatch(r"(\w+)-(\d+)-(\d+)", owner), rest.partition(" ")[2]
        if seen is None or found is None:
            return ""
        ours = socket.gethostname() if found[1] == machine() else "another machine"
        return f"process {found[2]} on {host or ours}"

    def _dead(self, run: str, seen: Seen) -> bool:
        if seen[0] == _NO_FILE:
            return True
        living = alive(seen[0].partition(" ")[0])
        if living is not None:
            return not living
        now = time.monotonic()
        before, since = self._seen.get(run, (None, now))
        if before != seen:
            self._seen[run] = (seen, now)
            return False
        return now - since >= self.patience

    def _create(self, path: Path, text: str) -> bool:
        """Write a claim where there is none; return False where another process was faster."""
        with self._written(text) as written:
            try:
                os.link(written, path)  # unlike a rename, it fails where there is a claim
            except OSError as error:
                # An answer may be lost on the way from a server that did make the link, and that is then asked again.
                if _holds(path, text):
                    return True
                if error.errno in _NO_LINKS:
                    return _created(path, text)
                if error.errno == errno.EEXIST:
                    return False
                raise
        return True

    def _succeed(self, path: Path, dead: str, text: str) -> bool:
        """Put a claim in a dead one's place; return False where another process does, or did meanwhile.

        The run is claimed by one or the other all along: were the dead claim taken away first, two could follow it. Who
        may succeed it is settled by a claim on the dead claim itself, which can die and be succeeded like any other.
        """
        turn = f"{_TURN}{hashlib.sha256(f'{path.name} {dead}'.encode()).hexdigest()[:32]}"
        if not self.take(turn):
            return False
        try:
            seen = _look(path)
            if seen is None or seen[0] != dead:
                return False
            with self._written(text) as written:
                os.replace(written, path)
        finally:
            self.give_back(turn)
        return True

    @contextlib.contextmanager
    def _written(self, text: str) -> Iterator[Path]:
        written = draft(self.folder)
        try:
            written.write_text(text, encoding="utf-8")
            yield written
        finally:
            written.unlink(missing_ok=True)

    def _touch_all(self) -> None:
        while not self._over.wait(self.beat):
            for run in list(self._mine):
                try:
                    os.utime(self.folder / run)
                except OSError:  # lost, or the disk is away: the run is made all the same
                    continue


@contextlib.contextmanager
def alone(results: Path, what: str) -> Iterator[None]:
    """Do `what`, of which two at once would lose something; UserError where another process is at it in `results`."""
    with Claims(results) as claims:
        if not claims.take(what):
            who = claims.holder(what) or "another command"
            raise UserError(f"{who} does a {what} into {results}: let it end, and give this command again.")
        yield


def _look(path: Path) -> Seen | None:
    """Return what a claim says; never waits, and follows no link."""
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            return _NO_FILE, found.st_mtime_ns
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:  # it became a link meanwhile
            return _NO_FILE, 0
        raise
    with os.fdopen(handle, "rb") as file:
        return file.read(_LONGEST).decode("utf-8", "replace"), os.fstat(handle).st_mtime_ns


def _holds(path: Path, text: str) -> bool:
    with contextlib.suppress(OSError):
        seen = _look(path)
        return seen is not None and seen[0] == text
    return False


def _created(path: Path, text: str) -> bool:
    """Write a claim to a file that is created here; return False where there is one, or another took it over.

    Until it is written it is nobody's, and dies like the claim of another machine.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)  # a full disk: half a claim would be in the way of all
        raise
    return _holds(path, text)
