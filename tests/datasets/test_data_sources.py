"""Files of data sets: official formats built here, looked for in their order, and damaged in many ways."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.errors import DataError
from datasets.arrays import array_digest
from datasets.base import Source
from datasets.coil import CoilArchive
from datasets.coil100 import HashedCoilArchive, ReducedCoil
from datasets.idx_images import IdxImages
from datasets.obtaining.files import OfficialFile
from datasets.usps import LibsvmImages

RANDOM = np.random.default_rng(0)
Y = np.array([0, 1, 0, 1, 1, 0])
GRAY = RANDOM.integers(0, 256, (6, 4, 4), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
SIGNED = RANDOM.integers(-1000, 1001, (6, 2, 2)) / 1000
BY_OBJECT = np.array([0, 0, 0, 1, 1, 1])
FACTS: dict[str, Any] = {"title": "t", "licence": "l", "citation": "c", "folder": "tiny", "class_counts": (3, 3)}


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def libsvm(x: np.ndarray, y: np.ndarray) -> bytes:
    features = [" ".join(f"{i}:{value:g}" for i, value in enumerate(row.ravel(), 1)) for row in x]
    return "".join(f"{label + 1} {row} \n" for label, row in zip(y, features, strict=True)).encode()


def picture(image: np.ndarray, format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format)
    return stream.getvalue()


def archive(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return stream.getvalue()


def views(images: np.ndarray) -> dict[str, bytes]:
    """Return the members of a COIL archive of 2 objects from 3 angles, out of order, as published: with a script."""
    names = [f"coil-100/obj{o}__{angle}.png" for o in (1, 2) for angle in (0, 5, 10)]
    members = {name: picture(image) for name, image in zip(names, images, strict=True)}
    return {"coil-100/": b"", "coil-100/convert.pl": b"#!perl", **dict(reversed(members.items()))}


def npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


IDX = IdxImages(
    name="tiny-idx", files=(OfficialFile("images.gz"), OfficialFile("labels.gz")), shape=(1, 4, 4),
    digest=array_digest(GRAY, Y), **FACTS,
)  # fmt: skip
LIBSVM = LibsvmImages(
    name="tiny-libsvm", files=(OfficialFile("tiny.bz2"), OfficialFile("tiny.t.bz2")), shape=(1, 2, 2),
    digest=array_digest(SIGNED.astype(np.float32), Y), **FACTS,
)  # fmt: skip
GRAY_ZIP = CoilArchive(
    name="tiny-gray", files=(OfficialFile("gray.zip"),), shape=(1, 4, 4), positions=range(0, 15, 5), size=4,
    raw_range=(0, 255), digest=array_digest(GRAY, BY_OBJECT), **FACTS,
)  # fmt: skip
COLOUR_ZIP = HashedCoilArchive(
    name="tiny-colour", files=(OfficialFile("colour.zip"),), shape=(3, 2, 2), positions=range(0, 15, 5), size=4,
    raw_range=(0, 4 * 255), reduction=2, digest=f"sha1:{hashlib.sha1(archive(views(COLOUR))).hexdigest()}", **FACTS,
)  # fmt: skip
NPZ = ReducedCoil(
    name="tiny-npz", files=(OfficialFile("tiny.npz"),), shape=(3, 4, 4), digest=array_digest(COLOUR, Y), **FACTS
)
GOOD: dict[str, tuple[Source, dict[str, bytes]]] = {
    "idx": (IDX, {"images.gz": gzip.compress(idx(GRAY)), "labels.gz": gzip.compress(idx(Y.astype(np.uint8)))}),
    "libsvm": (
        LIBSVM,
        {name: bz2.compress(libsvm(SIGNED[p], Y[p])) for name, p in
         (("tiny.bz2", slice(4)), ("tiny.t.bz2", slice(4, None)))},
    ),
    "gray": (GRAY_ZIP, {"gray.zip": archive(views(GRAY))}),
    "colour": (COLOUR_ZIP, {"colour.zip": archive(views(COLOUR))}),
    "npz": (NPZ, {"tiny.npz": npz(x=COLOUR, y=Y.astype(np.int16), angle=Y)}),
}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("RECLUST_DATA", raising=False)
    return tmp_path / "cache" / "reclust"


def put(root: Path, files: dict[str, bytes]) -> Path:
    (root / "tiny").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (root / "tiny" / name).write_bytes(content)
    return root


def refusal(call: Callable[..., object], *arguments: object) -> str:
    """Return the message with which `call` refuses, having checked that it is one clean sentence."""
    with pytest.raises(DataError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and ". " not in message
    assert caught.value.__cause__ is None and (caught.value.__context__ is None or caught.value.__suppress_context__)
    return message


# Official formats


def zipped(data: bytes) -> bytes:
    """Return the same bytes in every process: tests are named by them."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    "kind, x, y",
    [
        ("idx", GRAY[:, None] / 255, Y),
        ("libsvm", (SIGNED[:, None] + 1) / 2, Y),
        ("gray", GRAY[:, None] / 255, BY_OBJECT),
        ("colour", COLOUR.reshape(6, 2, 2, 2, 2, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2) / 255, BY_OBJECT),
        ("npz", COLOUR.transpose(0, 3, 1, 2) / 255, Y),
    ],
)
def test_official_files_are_read_and_scaled(kind: str, x: np.ndarray, y: np.ndarray, tmp_path: Path) -> None:
    source, files = GOOD[kind]
    data = source.load(put(tmp_path, files))
    np.testing.assert_allclose(data.x, x, atol=1e-6)
    np.testing.assert_array_equal(data.y, y)
    assert data.x.dtype == np.float32 and data.x.flags.c_contiguous
    assert source.status(tmp_path).state == source.verify(tmp_path).state == "ready"


def test_files_are_accepted_whatever_their_compression(tmp_path: Path) -> None:
    files = {"images": idx(GRAY), "labels.gz": bz2.compress(idx(Y.astype(np.uint8)))}
    assert IDX.load(put(tmp_path, files)).digest == IDX.digest
    assert IDX.status(tmp_path).state == "ready"


def test_the_data_folder_comes_before_the_environment_and_the_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, files = GOOD["npz"]
    for root in (cache, tmp_path / "environment", tmp_path / "argument"):
        put(root, files)
    assert source.status().path == cache / "tiny"
    monkeypatch.setenv("RECLUST_DATA", str(tmp_path / "environment"))
    assert source.status().path == tmp_path / "environment" / "tiny"
    assert source.status(tmp_path / "argument").path == tmp_path / "argument" / "tiny"
    assert source.status(tmp_path / "nowhere").path == cache / "tiny"


# Damaged files


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("keep", [0, 1, 20, 0.5, 0.98])
def test_truncated_files_are_named(kind: str, keep: float, tmp_path: Path) -> None:
    source, files = GOOD[kind]
    name, content = next(iter(files.items()))
    put(tmp_path, files | {name: content[: int(keep if keep >= 1 else keep * len(content))]})
    assert name in refusal(source.load, tmp_path)
    assert source.verify(tmp_path).state == "broken"


@pytest.mark.parametrize("kind", GOOD)
def test_a_web_page_in_the_place_of_a_file_is_noticed_at_a_glance(kind: str, tmp_path: Path) -> None:
    source, files = GOOD[kind]
    name = next(iter(files))
    put(tmp_path, files | {name: b"<html>please log in</html>"})
    assert name in refusal(source.load, tmp_path)
    assert source.status(tmp_path).state == "broken" and name in source.status(tmp_path).detail


@pytest.mark.parametrize("kind", GOOD)
def test_other_content_is_refused_with_both_digests(kind: str, tmp_path: Path) -> None:
    source, files = GOOD[kind]
    other = replace(source, digest="sha256:0123")
    message = refusal(other.load, put(tmp_path, files))
    assert "sha256:0123" in message and source.digest in message
    assert other.verify(tmp_path).detail == message


def no_pickle() -> bytes:
    return npz(x=np.array([{"a": 1}], dtype=object), y=Y)


@pytest.mark.parametrize(
    "kind, name, content, words",
    [
        ("idx", "images.gz", zipped(idx(Y.astype(np.uint8))), "magic 00000803"),
        ("idx", "images.gz", zipped(idx(GRAY.astype(np.int16))), "more than 96 bytes follow a header"),
        ("idx", "images.gz", zipped(idx(GRAY)[:-1]), "95 bytes follow a header"),
        ("idx", "images.gz", zipped(idx(GRAY[:, :, :3])), "images of (4, 3) pixels"),
        ("idx", "", zipped(idx(GRAY[:5])), "5 samples and 6 labels"),
        ("libsvm", "tiny.bz2", bz2.compress(b"1 1:0.5 2\n"), "a line is not LIBSVM's"),
        ("libsvm", "tiny.bz2", bz2.compress(b"1 1:0.5 5:0.5\n"), "a line is not LIBSVM's"),
        ("libsvm", "tiny.bz2", bz2.compress(b"1 0:0.5\n"), "a line is not LIBSVM's"),
        ("libsvm", "tiny.bz2", bz2.compress(b"one 1:0.5\n"), "a line is not LIBSVM's"),
        ("libsvm", "tiny.bz2", bz2.compress(b"1 1:0.5 2147500002:1\n"), "a line is not LIBSVM's"),
        ("libsvm", "tiny.bz2", bz2.compress(b"3 1:0.5\n1.5 1:0.5\n"), "labels should be 1 to 2"),
        ("libsvm", "", bz2.compress(b"1 1:0.5\n"), "3 samples and 3 labels"),
        (
            "gray",
            "gray.zip/coil-100/obj2__5.png",
            views(GRAY) | {"coil-100/obj2__5.png": picture(GRAY[0], "BMP")},
            "no PNG image",
        ),
        ("gray", "obj1__0.png", views(GRAY) | {"coil-100/obj1__0.png": picture(GRAY[0])[:50]}, "truncated"),
        ("gray", "obj1__0.png", views(GRAY) | {"coil-100/obj1__0.png": picture(GRAY[0, :3])}, "size (4, 3) instead of"),
        ("gray", "obj1__0.png", views(COLOUR), "mode RGB"),
        ("gray", "gray.zip", {"coil-100/obj1__0.png": picture(GRAY[0])}, "lacks obj1__5.png"),
        ("npz", "tiny.npz", npz(x=COLOUR), "lacks the arrays x and y"),
        ("npz", "tiny.npz", npz(x=COLOUR / 255, y=Y), "x is float64"),
        ("npz", "tiny.npz", npz(x=COLOUR[:, :3], y=Y), "shape (6, 3, 4, 3)"),
        ("npz", "tiny.npz", no_pickle(), "pickle"),
    ],
)
def test_wrong_content_is_described(
    kind: str, name: str, content: bytes | dict[str, bytes], words: str, tmp_path: Path
) -> None:
    source, files = GOOD[kind]
    first = next(iter(files))
    put(tmp_path, files | {first: archive(content) if isinstance(content, dict) else content})
    message = refusal(source.load, tmp_path)
    assert name in message and words in message


def test_verify_compares_classes_and_values_with_the_declared_facts(tmp_path: Path) -> None:
    source, files = GOOD["npz"]
    put(tmp_path, files)
    assert "(2, 4) samples per class, but has (3, 3)" in replace(source, class_counts=(2, 4)).verify(tmp_path).detail
    assert "values in (0, 100)" in replace(source, raw_range=(0, 100)).verify(tmp_path).detail
