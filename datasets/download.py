"""Downloads: mirrors tried in order, nothing kept that is not whole and checked."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pooch

from benchmark.registry import DataError
from datasets.files import OfficialFile


def download(file: OfficialFile, folder: Path) -> Path:
    """Download `file` into `folder` from the first mirror that gives it with the published hash.

    Raises
    ------
    DataError
        If no mirror does; the message says for each what went wrong.
    """
    problems = []
    for url in file.urls:
        try:
            return Path(pooch.retrieve(url, known_hash=file.known_hash, fname=file.name, path=folder))
        except (OSError, ValueError) as error:
            problems.append(f"{url}: {_reason(error)}")
    raise DataError(f"{file.name} could not be downloaded ({'; '.join(problems)}).")


def _reason(error: Exception) -> str:
    """Return a few words for an error of pooch or requests, whose own texts run over several sentences."""
    if isinstance(error, ValueError) and "hash" in str(error):
        return "what came has not the published hash"
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answers {response.status_code}"
    return f"no whole answer, {type(error).__name__}"


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
