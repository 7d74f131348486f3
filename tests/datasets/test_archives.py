"""Archives and MATLAB files that are not what they say: refused in one sentence, before they can do harm."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import stat
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from scipy import sparse

from benchmark.errors import DataError
from datasets.formats.matfile import read_mat
from datasets.obtaining.archives import opened, read_member, read_npz
from datasets.obtaining.files import read_decompressed

pytestmark = pytest.mark.attack("files")


def refused(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(DataError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and ". " not in message
    return message


@contextlib.contextmanager
def memory_below(limit: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def look(path: Path, limit: int = 2**20) -> list[str]:
    with opened(path, limit) as archive:
        return archive.namelist()


def zip_of(path: Path, *members: zipfile.ZipInfo | str, content: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            archive.writestr(member, content)
    return path


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up.png", "a/../../up.png", "C:\\windows\\up.png", "..\\up.png", "\\\\server\\up.png"]
)
def test_members_that_point_out_of_the_archive_are_refused(name: str, tmp_path: Path) -> None:
    assert "points out of the archive" in refused(look, zip_of(tmp_path / "a.zip", "ok.png", name))


def test_links_in_archives_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.png")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    assert "is a link" in refused(look, zip_of(tmp_path / "a.zip", link, content=b"/etc/passwd"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "one name" in refused(look, zip_of(tmp_path / "a.zip", "a.png", "a.png"))


def test_an_archive_that_unpacks_to_more_than_declared_is_refused_unread(tmp_path: Path) -> None:
    bomb = zip_of(tmp_path / "a.zip", "a.png", content=bytes(2**24))
    assert bomb.stat().st_size < 2**15
    assert "more than the 1048576 bytes" in refused(look, bomb)


def test_a_table_of_contents_that_understates_a_member_gives_no_more_than_it_states(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", "a.png", content=bytes(2**24))
    content = bytearray(path.read_bytes())
    for place in (content.rfind(b"PK\x01\x02") + 24, 22):
        content[place : place + 4] = struct.pack("<I", 100)
    path.write_bytes(content)

    def read() -> None:
        with opened(path) as archive:
            read_member(archive, "a.png")

    with memory_below(2**22):
        refused(read)


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
def test_a_compressed_file_that_unpacks_to_more_than_it_may_is_refused(suffix: str, tmp_path: Path) -> None:
    codec = {".gz": gzip, ".bz2": bz2, ".xz": lzma}[suffix]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(codec.compress(bytes(2**25)))
    with memory_below(2**24):
        assert "more than the 1000 bytes" in refused(read_decompressed, path, 1000)


def npz(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_an_npz_file_are_those_that_were_saved(order: Any, tmp_path: Path) -> None:
    array = np.asarray(np.arange(24, dtype=">i4").reshape(2, 3, 4), order=order)
    found = read_npz(npz(tmp_path / "a.npz", x=npy(array)), ["x"])["x"]
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npy(np.array([{}], dtype=object)), "no pickle is read"),
        (npy(np.zeros(3))[:-1], "but has 23 bytes"),
        (npy(np.zeros(3)).replace(b"(3,)", b"(9,)"), "but has 24 bytes"),
        (npy(np.zeros(3)).replace(b"(3,), }          ", b"(99999999999,), }"), "but has 24 bytes"),
        (b"\x93NUMPY\x03\x00" + npy(np.zeros(3))[8:], "npy format"),
        (b"not an array", "magic"),
    ],
)
def test_arrays_that_are_not_whole_are_refused(content: bytes, words: str, tmp_path: Path) -> None:
    assert words in refused(read_npz, npz(tmp_path / "a.npz", x=content), ["x"])


# MATLAB files


def saved(path: Path, compressed: bool = True, **variables: Any) -> Path:
    scipy.io.savemat(path, variables, do_compression=compressed)
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        np.zeros((0, 3)),
        np.array([[1 + 2j]]),
        "text",
        sparse.csc_array(np.eye(3)),
        {"a": np.ones((2, 2)), "b": "c"},
        np.array([[np.ones((1, 2)), "x"]], dtype=object),
    ],
    ids=["uint8", "empty", "complex", "text", "sparse", "structure", "cells"],
)
def test_matlab_variables_are_those_that_scipy_reads(value: Any, compressed: bool, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mat", compressed, x=value, other=1)
    found, expected = read_mat(path, ["x"], sparse=True)["x"], scipy.io.loadmat(path)["x"]
    assert type(found) is type(expected)
    if sparse.issparse(expected):
        found, expected = found.toarray(), expected.toarray()
    assert repr(found) == repr(expected)


def test_a_matlab_bomb_is_refused_before_it_fills_memory(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mat", x=np.zeros(2**24, dtype=np.uint8))
    assert path.stat().st_size < 2**16
    with memory_below(2**23):
        assert "more than the 1048576 bytes" in refused(read_mat, path, ["x"], 2**20)


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def matrix(kind: int, dimensions: tuple[int, ...], *values: bytes) -> bytes:
    head = element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack(f"<{len(dimensions)}i", *dimensions))
    return element(14, head + element(1, b"x") + b"".join(values))


HEADER = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no MATLAB file"),
        (b"MATLAB 7.3".ljust(124) + b"\x00\x02IM", "version 7.3: save it with -v7"),
        (HEADER + matrix(6, (2**20, 2**10), element(9, bytes(8))), "[1] values where"),
        (HEADER + matrix(6, (1, -1), element(9, bytes(8))), "impossible dimensions"),
        (HEADER + matrix(6, (1, 1), struct.pack("<II", 9, 2**31) + bytes(8)), "an element of 2147483648 bytes"),
        (HEADER + matrix(1, (1, 1000)), "0 matrices where 1000"),
        (HEADER + matrix(17, (1, 1), element(6, bytes(4))), "class 17, which is no data"),
        (HEADER + matrix(3, (1, 1), element(6, bytes(4))), "class 3, which is no data"),
        (HEADER + matrix(2, (1, 1), element(5, struct.pack("<i", 0)), element(1, b"")), "without field names"),
        (HEADER + element(9, bytes(8)), "an element of type 9"),
        (HEADER + struct.pack("<II", 15, 4) + b"abcd", "no whole MATLAB file"),
        (HEADER + struct.pack("<II", 15, 20) + zlib.compress(matrix(6, (1, 1), element(9, bytes(8))))[:20], "ends too"),
        (HEADER + b"abc", "3 bytes are left over"),
    ],
)
def test_impossible_matlab_files_are_refused_before_scipy_sees_them(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    assert words in refused(read_mat, tmp_path / "a.mat", ["x"])


def test_cells_in_cells_without_end_are_refused(tmp_path: Path) -> None:
    content = matrix(6, (1, 1), element(9, bytes(8)))
    for _ in range(40):
        content = matrix(1, (1, 1), content)
    (tmp_path / "a.mat").write_bytes(HEADER + content)
    assert "without end" in refused(read_mat, tmp_path / "a.mat", ["x"])
