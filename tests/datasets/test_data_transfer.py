"""Downloads from a server that behaves badly: nothing half-written, no hang, one sentence each."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmark.errors import DataError, UsageError
from datasets.obtaining import transfer, watched
from datasets.obtaining.download import download
from datasets.obtaining.files import OfficialFile

pytestmark = pytest.mark.attack("downloads")

CONTENT = gzip.compress(os.urandom(300_000))
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


def zipped(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
    return stream.getvalue()


@dataclass
class Server:
    """A server on this machine: `behaviour` is what it does, `asked` the ranges that it was asked for."""

    url: str = ""
    asked: list[str | None] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(transfer, "PAUSE", 0.01)
    monkeypatch.setattr(transfer, "SILENCE", (10.0, 10.0))
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            behaviour = self.path.strip("/").partition("/")[0]
            state.asked.append(self.headers.get("Range"))
            first = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.answer(behaviour, first)

        def answer(self, behaviour: str, first: int) -> None:
            if behaviour == "missing":
                self.send_error(404)
            elif behaviour == "failing":
                self.send_error(503)
            elif behaviour in ("redirected", "loop"):
                self.send_response(302)
                self.send_header("Location", "/good/a.gz" if behaviour == "redirected" else self.path)
                self.end_headers()
            elif behaviour in ("endless", "announced"):
                self.send_response(200)
                if behaviour == "announced":
                    self.send_header("Content-Length", str(10**15))
                self.end_headers()
                for _ in range(10_000):
                    self.wfile.write(bytes(2**16))
                    state.sent[behaviour] = state.sent.get(behaviour, 0) + 2**16
            elif behaviour in ("drip", "dripping-greeting", "steady"):
                self.drip(behaviour)
            elif behaviour == "silent":
                self.send_response(200)
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                self.wfile.write(CONTENT[:40_000])
                self.wfile.flush()
                time.sleep(1)
            else:
                self.send_content(behaviour, first)

        def drip(self, behaviour: str) -> None:
            """Send bytes a few at a time, for ten seconds at most: no pause is long."""
            if behaviour == "dripping-greeting":
                pieces = [b"HTTP/1.0 200 OK\r\nX-Slow: ", *[b"abcde"] * 100, b"\r\n\r\n"]
            else:
                self.send_response(200)
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                size = 5 if behaviour == "drip" else 20_000
                pieces = [CONTENT[first : first + size] for first in range(0, len(CONTENT), size)][:100]
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(0.1)

        def send_content(self, behaviour: str, first: int) -> None:
            content = {"wrong": CONTENT[::-1], "archive": zipped("folder/a.gz", CONTENT)}.get(behaviour, CONTENT)
            ranged = behaviour not in ("no-ranges", "wrong") and first > 0
            if ranged and first >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if ranged else 200)
            start = first if ranged else 0
            if ranged:
                shift = 7 if behaviour == "shifted" else 0
                self.send_header("Content-Range", f"bytes {start + shift}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            breaking = len(state.asked) < {"breaking": 4, "no-ranges": 4, "shifted": 2}.get(behaviour, 0)
            most = 120_000 if breaking else len(content)
            self.wfile.write(content[start : start + most])

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.daemon_threads = True
        httpd.block_on_close = False
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{httpd.server_port}/"
        yield state
        httpd.shutdown()
        thread.join()


def file_from(server: Server, *behaviours: str, limit: int = 10**6, known_hash: str | None = SHA256) -> OfficialFile:
    return OfficialFile("a.gz", tuple(f"{server.url}{behaviour}/a.gz" for behaviour in behaviours), known_hash, limit)


def fetched(file: OfficialFile, tmp_path: Path) -> bytes:
    (tmp_path / "staging").mkdir(exist_ok=True)
    return download(file, tmp_path / "staging", tmp_path / "target").read_bytes()


def partial(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache" / "reclust" / "partial").glob("*"))


@pytest.mark.parametrize("behaviour", ["good", "redirected"])
def test_a_good_answer_is_kept_whole(behaviour: str, server: Server, tmp_path: Path) -> None:
    assert fetched(file_from(server, behaviour), tmp_path) == CONTENT
    assert partial(tmp_path) == []


def test_a_transfer_that_breaks_off_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    assert fetched(file_from(server, "breaking"), tmp_path) == CONTENT
    assert server.asked[0] is None and len(server.asked) == 3
    starts = [int(asked[6:-1]) for asked in server.asked[1:] if asked]
    assert 100_000 < starts[0] <= 120_000 and starts[0] + 100_000 < starts[1] <= 240_000


@pytest.mark.parametrize("behaviour", ["no-ranges", "shifted"])
def test_a_server_without_ranges_or_with_other_ones_is_asked_from_the_start(
    behaviour: str, server: Server, tmp_path: Path
) -> None:
    assert fetched(file_from(server, behaviour), tmp_path) == CONTENT
    assert len(server.asked) == (4 if behaviour == "no-ranges" else 3)


def test_what_broke_off_in_one_call_goes_on_in_the_next(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "ATTEMPTS", 1)
    with pytest.raises(DataError):
        fetched(file_from(server, "breaking"), tmp_path)
    (part,) = partial(tmp_path)
    known = part.read_bytes()
    assert len(known) > 100_000 and CONTENT.startswith(known)
    monkeypatch.setattr(transfer, "ATTEMPTS", 4)
    assert fetched(file_from(server, "breaking"), tmp_path) == CONTENT
    assert server.asked[1] == f"bytes={len(known)}-"
    assert partial(tmp_path) == []


def test_a_part_of_another_file_is_found_out_by_the_hash(server: Server, tmp_path: Path) -> None:
    place = tmp_path / "cache" / "reclust" / "partial"
    place.mkdir(parents=True)
    (place / hashlib.sha256(SHA256.encode()).hexdigest()[:32]).write_bytes(b"something else")
    assert fetched(file_from(server, "good"), tmp_path) == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    place = tmp_path / "cache" / "reclust" / "partial"
    place.mkdir(parents=True)
    (place / hashlib.sha256(SHA256.encode()).hexdigest()[:32]).write_bytes(CONTENT + b"more")
    assert fetched(file_from(server, "good"), tmp_path) == CONTENT


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("wrong", "has not the published hash"),
        ("missing", "answers 404"),
        ("failing", "answers 503"),
        ("silent", "no whole answer"),
        ("loop", "redirects without end"),
        ("endless", "more than the 1000000 bytes"),
        ("announced", "announces 1000000000000000 bytes"),
    ],
)
def test_a_bad_answer_is_one_sentence_that_says_where_to_put_the_file(
    behaviour: str, words: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if behaviour == "silent":
        monkeypatch.setattr(transfer, "SILENCE", (10.0, 0.4))
    with pytest.raises(DataError) as caught:
        fetched(file_from(server, behaviour), tmp_path)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and ". " not in message
    assert words in message and f"put it into {tmp_path / 'target'}" in message
    assert list((tmp_path / "staging").iterdir()) == []
    assert server.sent.get(behaviour, 0) < 2**25
    assert sum(part.stat().st_size for part in partial(tmp_path)) <= 40_000 * (behaviour == "silent")


@pytest.mark.parametrize("behaviour", ["drip", "dripping-greeting"])
def test_a_server_that_drips_is_left_for_the_next_though_no_pause_is_long(
    behaviour: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "WINDOW", 0.5)
    with pytest.raises(DataError, match=r"sends next to nothing, 0 bytes in 0\.5 s"):
        fetched(file_from(server, behaviour), tmp_path)
    assert len(server.asked) == 1
    assert fetched(file_from(server, behaviour, "good"), tmp_path) == CONTENT


def test_a_server_that_begins_fast_and_then_drips_is_left_too(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "WINDOW", 0.2)
    monkeypatch.setattr(transfer, "ATTEMPTS", 1)
    with pytest.raises(DataError, match="sends next to nothing"):
        fetched(file_from(server, "silent"), tmp_path)
    assert sum(part.stat().st_size for part in partial(tmp_path)) > 30_000, "what came is kept"


def test_a_slow_server_that_goes_on_is_waited_for_as_long_as_it_takes(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "WINDOW", 0.5)
    assert fetched(file_from(server, "steady"), tmp_path) == CONTENT


def test_the_environment_says_how_slow_a_server_may_be(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "WINDOW", 0.3)
    monkeypatch.setenv("RECLUST_SLOWEST", "1e6")
    with pytest.raises(DataError, match="next to nothing"):
        fetched(file_from(server, "steady"), tmp_path)
    monkeypatch.setenv("RECLUST_SLOWEST", "0")
    assert fetched(file_from(server, "steady"), tmp_path) == CONTENT
    monkeypatch.setenv("RECLUST_SLOWEST", "fast")
    with pytest.raises(UsageError, match="no number of bytes in a second"):
        watched.slowest()


def test_the_next_mirror_goes_on_where_the_first_stopped(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "SILENCE", (10.0, 0.4))
    assert fetched(file_from(server, "silent", "missing", "good"), tmp_path) == CONTENT
    assert server.asked[-1] not in (None, "bytes=0-")


def test_without_a_published_hash_nothing_is_kept_for_the_next_call(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "ATTEMPTS", 1)
    with pytest.raises(DataError):
        fetched(file_from(server, "breaking", known_hash=None), tmp_path)
    assert partial(tmp_path) == []


def test_a_member_of_an_archive_is_taken_out_and_its_hash_checked(server: Server, tmp_path: Path) -> None:
    archive = f"{server.url}archive/a.zip#"
    assert fetched(OfficialFile("a.gz", (archive + "a.gz",), SHA256, 10**6), tmp_path) == CONTENT
    other = f"sha256:{'0' * 64}"
    for member, known, words in (("a.gz", other, "published hash"), ("b.gz", SHA256, "archive has no b.gz")):
        with pytest.raises(DataError, match=words):
            fetched(OfficialFile("b.gz", (archive + member,), known, 10**6), tmp_path)
    assert sorted(path.name for path in (tmp_path / "staging").iterdir()) == ["a.gz"]


def test_no_network_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PAUSE", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"no whole answer, ConnectionError\): try again, or get it by other means"):
        fetched(OfficialFile("a.gz", ("http://127.0.0.1:1/a.gz",), SHA256), tmp_path)


def test_a_proxy_of_the_environment_is_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(DataError, match=r"published hash|404|503|whole"):
        fetched(OfficialFile("a.gz", ("http://data.invalid/a.gz",), f"sha256:{'0' * 64}"), tmp_path)
    assert server.asked, "the proxy was not asked"


def test_a_terminal_sees_a_progress_bar(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    fetched(file_from(server, "good"), tmp_path)
    assert "a.gz" in capsys.readouterr().err
