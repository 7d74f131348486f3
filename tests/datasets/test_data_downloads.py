"""Downloads of data sets, from a server on this machine: nothing is kept that is not whole and right."""

from __future__ import annotations

import gzip
import hashlib
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.errors import DataError
from datasets.arrays import array_digest
from datasets.base import Source
from datasets.idx_images import IdxImages
from datasets.obtaining.files import OfficialFile

X = np.random.default_rng(0).integers(0, 256, (6, 4, 4), dtype=np.uint8)
Y = np.array([0, 1, 0, 1, 1, 0], dtype=np.uint8)
IMAGES = struct.pack(">4I", 0x803, 6, 4, 4) + X.tobytes()
FILES = {"images.gz": gzip.compress(IMAGES), "labels.gz": gzip.compress(struct.pack(">2I", 0x801, 6) + Y.tobytes())}
BROKEN = {"images.gz": b"broken", "labels.gz": b"broken"}
TINY = IdxImages(
    name="tiny",
    title="title",
    licence="licence",
    citation="citation",
    folder="tiny",
    files=tuple(OfficialFile(name) for name in FILES),
    shape=(1, 4, 4),
    class_counts=(3, 3),
    digest=array_digest(X, Y.astype(np.int64)),
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("RECLUST_DATA", raising=False)
    return tmp_path / "cache" / "reclust"


def put(root: Path, files: dict[str, bytes]) -> Path:
    (root / "tiny").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (root / "tiny" / name).write_bytes(content)
    return root


def fetch_refused(source: Source, data_dir: Path | None = None) -> str:
    """Return the one sentence with which a download fails."""
    with pytest.raises(DataError) as caught:
        source.fetch(data_dir)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and ". " not in message
    return message


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Give the URL and the folder of a server on this machine; what is named short-* is cut off half-way."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def copyfile(self, source: Any, outputfile: Any) -> None:
            content = source.read()
            outputfile.write(content[: len(content) // 2] if "/short-" in self.path else content)

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}/", folder
        httpd.shutdown()
        thread.join()


def remote(server: tuple[str, Path], prefixes: tuple[str, ...] = ("",), hashed: bool = True) -> Source:
    """Return the data set with mirrors under `prefixes`, all serving its files."""
    url, folder = server
    for name, content in FILES.items():
        for prefix in prefixes:
            if prefix != "absent-":
                (folder / (prefix + name)).write_bytes(content[::-1] if prefix == "other-" else content)
    official = tuple(
        OfficialFile(
            name,
            tuple(url + prefix + name for prefix in prefixes),
            f"md5:{hashlib.md5(content).hexdigest()}" if hashed else None,
        )
        for name, content in FILES.items()
    )
    return replace(TINY, files=official)


def test_fetch_downloads_to_the_cache_and_load_finds_it(server: tuple[str, Path], cache: Path) -> None:
    source = remote(server)
    with pytest.raises(DataError, match="data fetch tiny"):
        source.load()
    assert source.fetch() == cache / "tiny"
    assert sorted(path.name for path in (cache / "tiny").iterdir()) == ["images.gz", "labels.gz"]
    assert source.load().digest == source.digest


@pytest.mark.parametrize("prefix", ["short-", "other-", "absent-"])
def test_fetch_goes_on_to_the_next_mirror(prefix: str, server: tuple[str, Path], tmp_path: Path) -> None:
    source = remote(server, (prefix, ""))
    assert source.fetch(tmp_path / "data") == tmp_path / "data" / "tiny"
    assert source.load(tmp_path / "data").digest == source.digest


@pytest.mark.parametrize(
    "prefix, reason", [("short-", "no whole answer"), ("other-", "not the published hash"), ("absent-", "answers 404")]
)
def test_a_failed_download_leaves_nothing(prefix: str, reason: str, server: tuple[str, Path], cache: Path) -> None:
    message = fetch_refused(remote(server, (prefix,)))
    assert reason in message and "images.gz" in message and server[0] in message
    assert not (cache / "tiny").exists()


@pytest.mark.parametrize("prefix", ["short-", "other-"])
def test_without_a_published_hash_the_content_is_checked_before_it_is_kept(
    prefix: str, server: tuple[str, Path], cache: Path
) -> None:
    fetch_refused(remote(server, (prefix,), hashed=False))
    assert not (cache / "tiny").exists()


def test_fetch_downloads_only_what_is_missing(server: tuple[str, Path], cache: Path) -> None:
    put(cache, {"images": IMAGES})
    remote(server).fetch()
    assert sorted(path.name for path in (cache / "tiny").iterdir()) == ["images", "labels.gz"]


def test_fetch_downloads_nothing_where_all_is_there(tmp_path: Path) -> None:
    assert TINY.fetch(put(tmp_path, FILES)) == tmp_path / "tiny"


def test_fetch_replaces_broken_files_only_where_it_would_write(server: tuple[str, Path], cache: Path) -> None:
    source = remote(server)
    source.fetch(put(cache, BROKEN))
    assert source.load().digest == source.digest


def test_fetch_leaves_a_users_broken_files_alone(
    server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECLUST_DATA", str(put(tmp_path / "mine", BROKEN)))
    assert "images.gz" in fetch_refused(remote(server))
    assert (tmp_path / "mine" / "tiny" / "images.gz").read_bytes() == b"broken"


def test_a_data_set_without_download_says_where_to_put_its_files(tmp_path: Path) -> None:
    message = fetch_refused(TINY, tmp_path)
    assert "images.gz and labels.gz" in message and "data fetch" not in message
    assert list(tmp_path.iterdir()) == []
