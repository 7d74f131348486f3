"""Zip archives read without trusting them: member by member in memory, within declared sizes, nothing extracted."""

from __future__ import annotations

import contextlib
import math
import stat
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from numpy.lib import format as npy

from datasets.arrays import Array
from datasets.obtaining.files import DAMAGE, LIMIT, damaged, probe, read_at_most, too_large

MOST_MEMBERS = 100_000
COMPRESSED_BY = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How members may be compressed: of the others, zipfile unpacks all at once, whatever size the archive declares."""


@contextlib.contextmanager
def opened(path: Path, limit: int = LIMIT) -> Iterator[zipfile.ZipFile]:
    """Give the zip archive `path`, its table of contents checked; what goes wrong while it is read is DataError.

    A member read by `read_member` gives no more bytes than the table of contents declares; their sum bounds memory.

    Raises
    ------
    DataError
        If the file is no zip archive; if a member has an absolute path or one with ``..``, is a link, is encrypted or
        is there twice; or if the members have more than `limit` bytes together.
    """
    probe(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check(path, archive.infolist(), limit)
            yield archive
    except (*DAMAGE, NotImplementedError) as error:
        raise damaged(path, error) from None


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the content of a member, at most as many bytes as the table of contents declares."""
    with archive.open(name) as stream:
        return read_at_most(stream, archive.getinfo(name).file_size)


def read_npz(path: Path, names: Iterable[str], limit: int = LIMIT) -> dict[str, Array]:
    """Return the arrays `names` of the npz file `path`, without pickle, or raise DataError."""
    names = list(names)
    with opened(path, limit) as archive:
        if not {f"{name}.npy" for name in names} <= set(archive.namelist()):
            raise damaged(path, f"it lacks the arrays {' and '.join(names)}")
        return {name: _array(path, archive, name) for name in names}


def _check(path: Path, members: list[zipfile.ZipInfo], limit: int) -> None:
    names = [member.filename for member in members]
    if len(members) > MOST_MEMBERS or len(set(names)) < len(names):
        raise damaged(path, "members of one name, or too many of them")
    for member in members:
        name = member.filename
        parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
        if PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or ".." in parts:
            raise damaged(path, f"the member {name!r} points out of the archive")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise damaged(path, f"the member {name!r} is a link")
    if sum(member.file_size for member in members) > limit:
        raise too_large(path, limit)
    if odd := next((member for member in members if member.compress_type not in COMPRESSED_BY), None):
        raise damaged(path, f"the member {odd.filename!r} is compressed in a way that cannot be read piece by piece")


def _array(path: Path, archive: zipfile.ZipFile, name: str) -> Array:
    with archive.open(f"{name}.npy") as stream:
        version = npy.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise damaged(path, f"{name} has the npy format {version}")
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        try:
            shape, columns_first, dtype = header(stream)
        except DAMAGE:
            raise
        except Exception as error:  # it evaluates a literal of Python and takes it apart, with any error there is
            raise damaged(path, f"{name} has no npy header, {type(error).__name__}") from None
        if any(isinstance(side, bool) for side in shape):
            raise damaged(path, f"{name} has the impossible shape {shape}")
        if dtype.hasobject:
            raise damaged(path, f"{name} holds Python objects, and no pickle is read")
        content = read_at_most(stream, archive.getinfo(f"{name}.npy").file_size)
    if len(content) != math.prod(shape) * dtype.itemsize or min(shape, default=0) < 0:
        raise damaged(path, f"{name} should have the shape {shape} of {dtype}, but has {len(content)} bytes")
    array: Array = np.frombuffer(content, dtype=dtype).reshape(shape, order="F" if columns_first else "C")
    return array
