"""Files of data sets: where they are looked for, and how they are read without trusting them."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import itertools
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pooch

from benchmark.errors import DataError
from datasets.obtaining import xz

COMPRESSIONS: dict[str, tuple[bytes, Any]] = {
    ".gz": (b"\x1f\x8b", gzip),
    ".bz2": (b"BZh", bz2),
    ".xz": (b"\xfd7zXZ\x00", xz),
}
ARCHIVES = (".zip", ".npz")
LIMIT = 2**30
"""Bytes that a file may hold after decompression, where it does not say otherwise."""
CHUNK = 2**20
"""Bytes that are read at once."""
DAMAGE = (OSError, EOFError, ValueError, RuntimeError, MemoryError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""What the standard library raises for a file that is truncated, damaged, encrypted or of another format.

MemoryError is among them for headers that ask for more than there is, such as the dictionary of an xz file.
"""
OTHER_ANSWERS = (b"<", b"{")
"""What web pages and messages of servers begin with, which are saved under the name of the file that was asked for."""


@dataclass(frozen=True)
class OfficialFile:
    """A file as its publisher names it: the mirrors in the order to try, and the published hash, if any.

    `known_hash` is written as pooch does, such as ``sha256:...``. It guards downloads only; a local copy may be
    compressed in another way, and is judged by the digest of its content. A URL of an archive names the member after
    ``#``. More than `limit` bytes, downloaded or decompressed, are refused. A local file may also have one of the
    `other_names`, of the same content in another form.
    """

    name: str
    urls: tuple[str, ...] = ()
    known_hash: str | None = None
    limit: int = LIMIT
    other_names: tuple[str, ...] = ()

    def find(self, folders: list[Path]) -> Path | None:
        """Return the first such file in `folders`, compressed or not, or None."""
        plain = Path(self.name)
        names: tuple[str, ...] = (self.name, plain.stem) if plain.suffix in COMPRESSIONS else (self.name,)
        names += tuple(self.name + suffix for suffix in COMPRESSIONS) if plain.suffix == ".txt" else ()
        names += self.other_names
        candidates = (folder / name for folder in folders for name in names)
        return next((path for path in candidates if path.is_file()), None)


def cache_root() -> Path:
    """Return the user's cache folder for downloads."""
    return Path(pooch.os_cache("reclust"))


def search_roots(data_dir: Path | str | None) -> list[Path]:
    """Return the folders that may hold data sets: `data_dir`, else RECLUST_DATA, then the cache."""
    chosen = data_dir if data_dir is not None else os.environ.get("RECLUST_DATA")
    return [Path(chosen).expanduser(), cache_root()] if chosen else [cache_root()]


def read_decompressed(path: Path, limit: int = LIMIT) -> bytes:
    """Return the content of `path`, decompressed as its first bytes ask, whichever compression its name says.

    Raises
    ------
    DataError
        If the file cannot be read or decompressed, or has more than `limit` bytes.
    """
    with decompressed(path) as stream:
        try:
            content = read_at_most(stream, limit + 1)
        except DAMAGE as error:
            raise damaged(path, error) from None
    if len(content) > limit:
        raise too_large(path, limit)
    return content


def read_at_most(stream: IO[bytes], limit: int) -> bytes:
    """Return the next `limit` bytes of `stream`, or all where there are fewer.

    Piece by piece: a single read of so many bytes takes memory for all of them, or unpacks without an end.
    """
    pieces = []
    while limit > 0 and (piece := stream.read(min(CHUNK, limit))):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)


def read_lines(path: Path, limit: int, most: int, longest: int) -> Iterator[bytes]:
    """Yield the lines of `path`, decompressed, one at a time: a file of short lines takes no more memory than one line.

    Raises
    ------
    DataError
        If the file cannot be read or decompressed, or has more than `limit` bytes, more than `most` lines, or a line of
        more than `longest` bytes.
    """
    left = limit
    with decompressed(path) as stream:
        for number in itertools.count():
            try:
                line = stream.readline(longest + 1)
            except DAMAGE as error:
                raise damaged(path, error) from None
            if not line:
                return
            left -= len(line)
            if left < 0:
                raise too_large(path, limit)
            if number >= most or len(line) > longest:
                raise damaged(path, f"it has more than {most} lines, or one of more than {longest} bytes")
            yield line


@contextlib.contextmanager
def decompressed(path: Path) -> Iterator[IO[bytes]]:
    """Give a stream of the decompressed content of `path`; what goes wrong while it is read is the reader's."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None
    with file:
        codec = _codec(path, file.read(8))
        file.seek(0)
        if codec is None:
            yield file
        else:
            with codec.open(file) as stream:
                yield stream


def probe(path: Path) -> None:
    """Raise DataError where a cheap look at both ends of `path` shows that it cannot be what its name says."""
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty: replace it by the official file.")
        if path.suffix in ARCHIVES and not zipfile.is_zipfile(path):
            raise damaged(path, "no zip archive, or one without its end")
        with path.open("rb") as stream:
            codec = _codec(path, stream.read(8))
            stream.seek(0)
            if codec is not None:
                with codec.open(stream) as unpacked:
                    unpacked.read(1)
    except DAMAGE as error:
        raise damaged(path, error) from None


def _codec(path: Path, head: bytes) -> Any:
    """Return the module that decompresses what begins with `head`; None for a file that is not compressed.

    Browsers unpack files and leave them their names: what is in it is judged by its format and its digest.
    """
    for magic, codec in COMPRESSIONS.values():
        if head.startswith(magic):
            return codec
    if path.suffix in COMPRESSIONS and (not head or head.lstrip().startswith(OTHER_ANSWERS)):
        raise damaged(path, "not compressed")
    return None


def too_large(path: Path, limit: int) -> DataError:
    """Return the error that says that `path` holds more than it can."""
    return damaged(path, f"it holds more than the {limit} bytes that it may have")


def damaged(path: Path, reason: object) -> DataError:
    """Return the error that says that `path` is not the file it should be, and why."""
    lines = str(reason).strip().splitlines() or [type(reason).__name__]
    text = lines[0].partition(". ")[0].rstrip(".")
    return DataError(f"{path} is truncated, damaged or of another format ({text}): replace it by the official file.")
