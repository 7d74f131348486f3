"""Parsers of data files on arbitrary and on damaged bytes: data or one clear error, in bounded time and memory."""

from __future__ import annotations

import io
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmark.errors import DataError
from tests.support.attack import made
from tests.support.parsers import PARSERS, Parser, small_mat

pytestmark = pytest.mark.attack("files")

MEMORY = 64 * 2**20


def data_or_one_sentence(parser: Parser, path: Path, content: bytes) -> None:
    made("files")
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parser(path)
    except DataError as error:
        message = str(error)
        assert message.endswith(".") and "\n" not in message
        assert message.startswith(str(path))
        assert error.__cause__ is None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MEMORY


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("kind", PARSERS)
def test_a_good_file_gives_data(kind: str, folder: Path) -> None:
    name, parser, good = PARSERS[kind]
    (folder / name).write_bytes(good)
    parser(folder / name)


FUZZING = settings(max_examples=120, deadline=4000, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("kind", PARSERS)
@FUZZING
@given(content=st.binary(max_size=400))
@example(content=b"")
@example(content=b"\n")
@example(content=b"\xff" * 300)
def test_any_bytes_give_data_or_one_clear_error(kind: str, content: bytes, folder: Path) -> None:
    name, parser, _ = PARSERS[kind]
    data_or_one_sentence(parser, folder / name, content)


def test_the_file_on_which_scipys_reader_ends_the_process_is_one_error(folder: Path) -> None:
    """Found by fuzz_atheris.py: scipy.io.mmread of 1.17 dies of a segmentation fault on these bytes."""
    name, parser, _ = PARSERS["matrix market array"]
    content = b"%%MatrixMarket matrix array integer general\n3 2\n1\n2\xf6\xcf\n4\n5ix."
    data_or_one_sentence(parser, folder / name, content)


def other_mat() -> bytes:
    stream = io.BytesIO()
    sparse = scipy.sparse.csc_array(np.array([[1j, 0], [0, 2]]))
    scipy.io.savemat(stream, {"x": np.array([[1 + 2j, 3]]), "s": np.array(["ab", "cd"]), "e": sparse})
    return stream.getvalue()


@pytest.mark.parametrize("good", [small_mat(), other_mat()], ids=["real", "complex"])
def test_a_mat_file_with_any_one_byte_changed_is_data_or_one_error(good: bytes, folder: Path) -> None:
    """scipy.io.loadmat of 1.17 dies of a segmentation fault where flags promise an imaginary part that is absent."""
    name, parser, _ = PARSERS["mat"]
    (folder / name).write_bytes(good)
    parser(folder / name)
    for place in range(124, len(good)):
        for value in (0, 1, 2, 4, 5, 6, 8, 9, 0x10, 0x4D, 0x80, 0xFF):
            data_or_one_sentence(parser, folder / name, good[:place] + bytes([value]) + good[place + 1 :])


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """Return a good file with some pieces replaced, repeated, cut out or inserted."""
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, 12))
        piece = draw(
            st.one_of(
                st.binary(max_size=12),
                st.sampled_from(
                    [b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"999999999999", b"-1", b"nan", b"1e999", b"\n", b":"]
                ),
                st.just(bytes(content[:length])),
            )
        )
        content[place : place + length] = piece
    return bytes(content)


@pytest.mark.parametrize("kind", PARSERS)
@FUZZING
@given(data=st.data())
def test_damaged_files_give_data_or_one_clear_error(kind: str, data: st.DataObject, folder: Path) -> None:
    name, parser, good = PARSERS[kind]
    data_or_one_sentence(parser, folder / name, data.draw(damaged(good)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", PARSERS)
@settings(FUZZING, max_examples=1000)
@given(data=st.data())
def test_many_damaged_files_give_data_or_one_clear_error(kind: str, data: st.DataObject, folder: Path) -> None:
    name, parser, good = PARSERS[kind]
    data_or_one_sentence(parser, folder / name, data.draw(damaged(good)))
