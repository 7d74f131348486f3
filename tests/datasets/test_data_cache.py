"""What was parsed once comes from memory maps, as long as nothing changed, and never in the place of other data."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from benchmark.errors import DataError
from datasets.base import Source
from datasets.obtaining import cache
from tests.support import data_files as made


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the folder of parsed data sets in a cache of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("RECLUST_DATA", raising=False)
    monkeypatch.delenv("RECLUST_CACHE", raising=False)
    return tmp_path / "cache" / "reclust" / "parsed"


@pytest.fixture(params=["mnist-0-3", "chartraj-1607", "reuters10k"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    """Return a source of images, one of sequences and one of sparse vectors, with files in `tmp_path`."""
    known, files = made.SOURCES[request.param]
    return made.pinned(known, made.put(tmp_path, known, files))


def broken(*_: object) -> None:
    raise AssertionError("the files were parsed")


def dense(x: object) -> np.ndarray:
    return x.toarray() if isinstance(x, sparse.csr_array) else np.asarray(x)


def test_the_second_load_parses_nothing_and_gives_the_same(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = source.load(tmp_path)
    monkeypatch.setattr(type(source), "parse", broken)
    second = source.load(tmp_path)
    assert type(first.x) is type(second.x) and first.x.dtype == second.x.dtype
    np.testing.assert_array_equal(dense(first.x), dense(second.x))
    np.testing.assert_array_equal(first.y, second.y)
    assert (first.lengths is None) == (second.lengths is None)
    if first.lengths is not None:
        np.testing.assert_array_equal(first.lengths, second.lengths)
    prepared = [data.prepare((), 7) for data in (first, second)]
    np.testing.assert_array_equal(*(data.x for data in prepared))


def test_writing_into_loaded_samples_changes_no_later_load(source: Source, tmp_path: Path) -> None:
    expected = dense(source.load(tmp_path).x).copy()
    data = source.load(tmp_path)
    values = data.x.data if isinstance(data.x, sparse.csr_array) else data.x
    values[...] = 7
    np.testing.assert_array_equal(dense(source.load(tmp_path).x), expected)


@pytest.mark.parametrize("change", ["content", "touched", "cut"])
def test_files_that_changed_are_read_again(change: str, source: Source, tmp_path: Path) -> None:
    source.load(tmp_path)
    path = source.files[-1].find([tmp_path / source.folder])
    assert path is not None
    content = path.read_bytes()
    if change == "touched":
        os.utime(path, (1, 1))
        assert source.load(tmp_path).digest == source.digest
        return
    path.write_bytes(content[:-9] if change == "cut" else bytes(len(content)))
    with pytest.raises(DataError):
        source.load(tmp_path)


def test_another_declared_digest_is_not_served_from_the_cache(source: Source, tmp_path: Path) -> None:
    source.load(tmp_path)
    if source.digest.startswith("facts:"):
        assert replace(source, digest="facts:other").load(tmp_path).digest == "facts:other"
        return
    with pytest.raises(DataError, match="should have the digest sha256:1"):
        replace(source, digest="sha256:1").load(tmp_path)


@pytest.mark.parametrize("harm", ["cut", "overwritten", "removed", "no index", "index"])
def test_a_damaged_cache_is_not_believed(harm: str, source: Source, tmp_path: Path, folder: Path) -> None:
    expected = dense(source.load(tmp_path).x).copy()
    place = folder / source.name
    path = kept_samples(folder, source)
    content = path.read_bytes()
    if harm == "removed":
        path.unlink()
    elif harm == "no index":
        (place / cache.INDEX).unlink()
    elif harm == "index":
        (place / cache.INDEX).write_text("[]")
    else:
        path.write_bytes(content[:-8] if harm == "cut" else bytes(len(content)))
    np.testing.assert_array_equal(dense(source.load(tmp_path).x), expected)


def kept_samples(folder: Path, source: Source) -> Path:
    """Return the file of the samples that are kept, or of the values of sparse ones."""
    return next((folder / source.name).glob("data.npy"), folder / source.name / "x.npy")


def flipped(path: Path) -> None:
    """Change one bit of the last value of a file; its size and time stay."""
    found, content = path.stat(), bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def test_an_array_that_changed_on_disk_is_parsed_anew_though_size_and_time_are_the_same(
    source: Source, tmp_path: Path, folder: Path
) -> None:
    expected = dense(source.load(tmp_path).x).copy()
    for _ in range(2):  # what was found in order once is not believed for ever
        flipped(kept_samples(folder, source))
        np.testing.assert_array_equal(dense(source.load(tmp_path).x), expected)


def test_verify_names_an_array_that_changed_on_disk_and_removes_it(
    source: Source, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Source, "_check_facts", lambda self, raw: None)  # the small data have other counts
    source.load(tmp_path)
    assert source.verify(tmp_path).state == "ready"
    path = kept_samples(folder, source)
    flipped(path)
    found = source.verify(tmp_path)
    assert found.state == "broken" and str(path) in found.detail
    assert not path.exists() and source.verify(tmp_path).state == "ready"


def test_kept_arrays_are_hashed_once_per_process(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.load(tmp_path)
    read: list[str] = []
    hashed = cache._sha256
    monkeypatch.setattr(cache, "_sha256", lambda path: read.append(path.name) or hashed(path))
    for _ in range(3):
        source.load(tmp_path)
    assert len(read) == len(set(read)) >= 2


def test_what_other_code_parsed_is_parsed_anew(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source.load(tmp_path)
    monkeypatch.setattr("datasets.base.data_code_digest", lambda source: "0" * 16)
    monkeypatch.setattr(type(source), "parse", broken)
    with pytest.raises(AssertionError, match="were parsed"):
        source.load(tmp_path)


def test_a_source_whose_code_cannot_be_digested_is_loaded_and_not_kept(
    source: Source, tmp_path: Path, folder: Path
) -> None:
    class Local(type(source)):  # type: ignore[misc]
        """A class that is not at the top of a module."""

    values = {name: getattr(source, name) for name in source.__dataclass_fields__}
    expected = dense(source.load(tmp_path).x)
    cache.forget(source.name)
    np.testing.assert_array_equal(dense(Local(**values).load(tmp_path).x), expected)
    assert list(folder.iterdir()) == []


def test_sources_that_differ_in_any_declared_value_are_told_apart(source: Source, tmp_path: Path) -> None:
    paths = {file.name: tmp_path for file in source.files}
    assert source._key(paths) == replace(source)._key(paths)
    assert source._key(paths) != replace(source, raw_range=(-1.0, 1e9))._key(paths)


def test_one_folder_is_kept_for_each_data_set(source: Source, tmp_path: Path, folder: Path) -> None:
    source.load(tmp_path)
    path = source.files[0].find([tmp_path / source.folder])
    assert path is not None
    os.utime(path, (5, 5))
    source.load(tmp_path)
    assert [place.name for place in folder.iterdir()] == [source.name]


def test_nothing_is_kept_where_the_user_says_so(
    source: Source, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECLUST_CACHE", "off")
    source.load(tmp_path)
    assert not folder.exists()


def test_a_cache_that_cannot_be_written_is_no_error(source: Source, tmp_path: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("a file in the place of the folder")
    assert source.load(tmp_path).digest == source.digest


def test_verify_reads_the_files_whatever_the_cache_holds(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.load(tmp_path)
    monkeypatch.setattr(type(source), "parse", broken)
    with pytest.raises(AssertionError, match="were parsed"):
        source.verify(tmp_path)
