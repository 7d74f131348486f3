"""Downloads: mirrors tried in order, broken ones taken up again, nothing kept that is not whole and checked."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pooch
import requests

from benchmark.errors import DataError
from datasets.obtaining.archives import opened
from datasets.obtaining.files import LIMIT, OfficialFile, cache_root
from datasets.obtaining.transfer import TooLargeError, Transfer
from datasets.obtaining.watched import StuckError

ARCHIVE_MEMBER = "#"


def download(file: OfficialFile, folder: Path, target: Path) -> Path:
    """Download `file` into `folder` from the first mirror that gives it with the published hash.

    `target` is the folder to which the caller will move it.
    A download that breaks off is taken up again where it stopped: at once, a few times, and in a later call, where a
    published hash guards the joined parts. Proxies are those of the environment (HTTPS_PROXY, NO_PROXY).

    Raises
    ------
    DataError
        If no mirror does; the message says for each what went wrong.
    """
    problems = []
    for url in file.urls:
        address, _, member = url.partition(ARCHIVE_MEMBER)
        try:
            return _member(file, address, member, folder) if member else _whole(file, address, folder)
        except (OSError, ValueError, DataError) as error:
            problems.append(f"{url}: {_reason(error)}")
    raise DataError(
        f"{file.name} could not be downloaded ({'; '.join(problems)}): try again, or get it by other means and put it "
        f"into {target}."
    )


def _reason(error: Exception) -> str:
    """Return a few words for an error of pooch or requests, whose own texts run over several sentences."""
    if isinstance(error, TooLargeError | StuckError | DataError):
        return str(error).rstrip(".")
    if isinstance(error, ValueError):
        return "what came has not the published hash" if "hash" in str(error) else str(error)
    if isinstance(error, requests.TooManyRedirects):
        return "the server redirects without end"
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answers {response.status_code}"
    if isinstance(error, requests.RequestException | ConnectionError):
        return f"no whole answer, {type(error).__name__}"
    return f"nothing can be written, {error.strerror if isinstance(error, OSError) else error}"


def _whole(file: OfficialFile, url: str, folder: Path) -> Path:
    """Download one file and check its hash; where joined parts fail the check, once more from the start."""
    with _partial(file.known_hash) as part:
        transfer = Transfer(part, file.limit)
        try:
            found = pooch.retrieve(url, file.known_hash, fname=file.name, path=folder, downloader=transfer)
        except ValueError:
            part.unlink(missing_ok=True)
            if not transfer.resumed:
                raise
            found = pooch.retrieve(url, file.known_hash, fname=file.name, path=folder, downloader=transfer)
        part.unlink(missing_ok=True)
        return Path(found)


def _member(file: OfficialFile, url: str, member: str, folder: Path) -> Path:
    """Download an archive, and write one member of it, its hash checked."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        archive = _whole(OfficialFile("archive.zip", limit=max(file.limit, LIMIT)), url, Path(place))
        with opened(archive, max(file.limit, LIMIT)) as members:
            name = next((name for name in members.namelist() if name.rpartition("/")[2] == member), None)
            if name is None or members.getinfo(name).file_size > file.limit:
                raise ValueError(f"the archive has no {member}")
            target = folder / file.name
            with members.open(name) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
    if not pooch.hashes.hash_matches(str(target), file.known_hash):
        target.unlink()
        raise ValueError("hash")
    return target


@contextlib.contextmanager
def _partial(known_hash: str | None) -> Iterator[Path]:
    """Give the place of the part that is already there.

    In the cache, where it stays for the next mirror and the next call, if a published hash tells whether the parts fit;
    else temporary.
    """
    with tempfile.TemporaryDirectory() as temporary:
        place = cache_root() / "partial" if known_hash else Path(temporary)
        try:
            place.mkdir(parents=True, exist_ok=True)
            if not os.access(place, os.W_OK):
                place = Path(temporary)
        except OSError:
            place = Path(temporary)
        part = place / hashlib.sha256((known_hash or "").encode()).hexdigest()[:32]
        try:
            yield part
        finally:
            if part.is_file() and not part.stat().st_size:
                part.unlink()
            with contextlib.suppress(OSError):
                place.rmdir()


@contextlib.contextmanager
def staging(target: Path) -> Iterator[Path]:
    """Give a temporary folder inside `target`, on the same file system, removed at the end with all that is in it.

    `target` is made where it does not exist, and removed again if it stays empty.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=".fetch-", dir=target)
    except OSError as error:
        raise DataError(f"nothing can be written to {target} ({error.strerror}): name another --data-dir.") from None
    try:
        with folder as name:
            yield Path(name)
    finally:
        with contextlib.suppress(OSError):
            target.rmdir()
