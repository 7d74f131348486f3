"""One HTTP transfer: resumed where it broke off, bounded in bytes and slowness, with a progress bar on a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from datasets.obtaining.watched import StuckError, Watched

ATTEMPTS = 4
"""How often a transfer is tried before the next mirror is."""

PAUSE = 0.2
"""Seconds before the second attempt; before each further one, twice as many."""

SILENCE = (10.0, 30.0)
"""Seconds to wait for a connection, and for the next bytes."""

PARTIAL, BEYOND = 206, 416


class TooLargeError(ValueError):
    """A server sends more bytes than the file may have."""


class Transfer:
    """A downloader for pooch that gathers the bytes of a URL in the file `part`, at most `limit`, across attempts.

    `resumed` tells whether any bytes of an earlier attempt are among them.
    """

    def __init__(self, part: Path, limit: int) -> None:
        self.part = part
        self.limit = limit
        self.resumed = False

    def __call__(self, url: str, output_file: str | IO[bytes], pooch: Any) -> None:
        """Download `url`, and write it to `output_file` when all of it is here.

        Raises
        ------
        OSError
            If the server cannot be reached, answers with an error, stops sending or is stuck.
        TooLargeError
            If it sends, or announces, more than `limit` bytes.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._receive(url)
                break
            except (requests.RequestException, ConnectionError) as error:
                if attempt == ATTEMPTS or _final(error):
                    raise
                time.sleep(PAUSE * 2 ** (attempt - 1))
        if isinstance(output_file, str):
            shutil.copyfile(self.part, output_file)
        else:
            with self.part.open("rb") as source:
                shutil.copyfileobj(source, output_file)

    def _receive(self, url: str) -> None:
        known = self.part.stat().st_size if self.part.is_file() else 0
        # Compressed transfers have no byte ranges, and a length that is not that of the file.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={known}-"} if known else {})
        with Watched(url, headers, SILENCE) as watched:
            answer = watched.answer
            going_on = answer.status_code == PARTIAL
            if known and (answer.status_code == BEYOND or (going_on and _start(answer) != known)):
                self.part.unlink()
                raise ConnectionError("what comes does not follow the part that is here")
            answer.raise_for_status()
            known = known if going_on else 0
            self.resumed |= known > 0
            announced = _length(answer)
            if announced is not None and known + announced > self.limit:
                raise TooLargeError(f"the server announces {known + announced} bytes, but {self.limit} are possible")
            with self.part.open("ab" if going_on else "wb") as file, _Bar(url, known, announced) as advance:
                received = self._gather(watched, file, known, advance)
        if announced is not None and received < announced:
            raise ConnectionError(f"{announced - received} bytes are missing")

    def _gather(self, watched: Watched, file: IO[bytes], known: int, advance: Callable[[int], None]) -> int:
        received = 0
        for chunk in watched.chunks():
            received += len(chunk)
            if known + received > self.limit:
                file.truncate(0)
                raise TooLargeError(f"the server sends more than the {self.limit} bytes that are possible")
            file.write(chunk)
            advance(len(chunk))
        return received


def _final(error: Exception) -> bool:
    """Whether another attempt would end alike: the server is stuck, has no such file or will not give it."""
    answer = getattr(error, "response", None)
    return isinstance(error, StuckError) or (answer is not None and answer.status_code < 500)


def _start(answer: requests.Response) -> int | None:
    """Return the first byte that a partial answer holds."""
    unit, _, range_ = answer.headers.get("Content-Range", "").partition(" ")
    first = range_.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdigit() else None


def _length(answer: requests.Response) -> int | None:
    text = answer.headers.get("Content-Length", "")
    return int(text) if text.isdigit() else None


class _Bar:
    """A progress bar on a terminal, and nothing elsewhere; gives the function that moves it on."""

    def __init__(self, url: str, known: int, announced: int | None) -> None:
        shown = sys.stderr.isatty()
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self.progress = Progress(*columns, console=Console(stderr=True), disable=not shown)
        total = None if announced is None else known + announced
        self.task = self.progress.add_task(url.rpartition("/")[2], total=total, completed=known)

    def __enter__(self) -> Callable[[int], None]:
        self.progress.start()
        return lambda count: self.progress.advance(self.task, count)

    def __exit__(self, *error: object) -> None:
        self.progress.stop()
