"""The commands `data show` and `data export`, as their users meet them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import sparse
from sklearn.datasets import load_digits

from benchmark.data.export import export
from benchmark.data.facts import kind, statistics
from benchmark.data.pictures import draw_samples
from benchmark.errors import UsageError
from benchmark.registry import DATASETS
from datasets.arrays import Dataset
from datasets.base import Source
from tests.support import data_files as made

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("RECLUST_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def sample(kind: str, root: Path) -> tuple[Source, Dataset]:
    source, files = made.SOURCES[kind]
    made.put(root, source, files)
    source = made.pinned(source, root)
    return source, source.load(root)


def test_show_says_what_a_data_set_is_and_draws_it(call: Call, tmp_path: Path) -> None:
    code, out, _ = call("data", "show", "digits", "--json")
    assert code == 0
    shown = json.loads(out)
    assert (shown["samples"], shown["shape"], shown["classes"], shown["kind"]) == (1797, "1x28x28", 10, "images")
    counts = np.bincount(load_digits().target)
    assert shown["per_class"] == [f"{label}: {count}" for label, count in enumerate(counts)]
    assert shown["licence"] == DATASETS["digits"].licence and shown["state"] == "ready"
    with Image.open(tmp_path / shown["picture"]) as picture:
        assert picture.format == "PNG" and len(np.unique(np.asarray(picture))) > 50


def test_show_of_a_data_set_that_is_not_here_says_how_to_get_it(call: Call) -> None:
    code, out, _ = call("data", "show", "rcv1-23405")
    assert code == 0
    assert "stand in for  reuters" in out and "state         missing" in out and "rcv1_4class.npz" in out
    assert "picture" not in out


def test_show_refuses_what_is_no_picture_and_no_data_set(call: Call) -> None:
    code, _, err = call("data", "show", "digits", "--picture", "digits.doc")
    assert code == 2 and "png, svg or pdf" in err
    code, _, err = call("data", "show", "digit")
    assert code == 2 and "did you mean 'digits'" in err


@pytest.mark.parametrize("name", ["svhn", "chartraj-1607", "reuters10k", "10x73k", "umist mat"])
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_every_kind_of_samples_has_its_picture(name: str, suffix: str, tmp_path: Path) -> None:
    source, data = sample(name, tmp_path)
    path = draw_samples(data, source, tmp_path / "pictures" / f"a.{suffix}")
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG" if suffix == "png" else b"<?xml")
    if suffix == "svg" and kind(source) == "sequences":
        assert content.count(b"stroke: #1f77b4") >= data.n_clusters


def test_a_stand_in_is_marked_in_its_picture(tmp_path: Path) -> None:
    source, data = sample("chartraj-1607", tmp_path)
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        text = draw_samples(data, source, tmp_path / "a.svg").read_text()
    assert "(stand-in)" in text


def test_a_picture_needs_a_format(tmp_path: Path) -> None:
    source, data = sample("chartraj-1607", tmp_path)
    with pytest.raises(UsageError, match=r"png, svg or pdf"):
        draw_samples(data, source, tmp_path / "a")


def test_statistics_are_those_of_numpy(tmp_path: Path) -> None:
    source, data = sample("chartraj-1607", tmp_path)
    shown = statistics(data, source)
    assert (
        shown["values"] == f"{data.x.min():.4g} to {data.x.max():.4g}, mean {data.x.mean():.4g}, sd {data.x.std():.4g}"
    )
    assert shown["steps"] == "4 to 7, median 5" and shown["per_class"][:2] == ["a: 1", "b: 1"]


@pytest.mark.parametrize("name", ["svhn", "chartraj-1607", "reuters10k"])
def test_an_export_as_npz_gives_back_the_arrays_without_pickle(name: str, tmp_path: Path) -> None:
    _, data = sample(name, tmp_path)
    export(data, "npz", tmp_path / "out" / "a.npz")
    dense = data.x.toarray() if isinstance(data.x, sparse.csr_array) else data.x
    with np.load(tmp_path / "out" / "a.npz", allow_pickle=False) as found:
        np.testing.assert_array_equal(found["x"], dense)
        np.testing.assert_array_equal(found["y"], data.y)
        assert str(found["digest"]) == data.digest and int(found["n_clusters"]) == data.n_clusters
        assert ("length" in found) == (data.lengths is not None)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.npz"]


@pytest.mark.parametrize("name", ["svhn", "chartraj-1607", "reuters10k"])
def test_an_export_as_parquet_has_a_row_for_each_sample(name: str, tmp_path: Path) -> None:
    _, data = sample(name, tmp_path)
    export(data, "parquet", tmp_path / "a.parquet")
    frame = pd.read_parquet(tmp_path / "a.parquet")
    dense = data.x.toarray() if isinstance(data.x, sparse.csr_array) else data.x
    np.testing.assert_array_equal(np.stack(frame["x"].to_list()), dense.reshape(len(dense), -1))
    np.testing.assert_array_equal(frame["y"], data.y)
    if data.lengths is not None:
        np.testing.assert_array_equal(frame["length"], data.lengths)


def test_export_writes_to_the_working_directory_unless_told_otherwise(call: Call, tmp_path: Path) -> None:
    assert call("data", "export", "digits")[0] == 0
    assert call("data", "export", "digits", "--format", "parquet", "--out", "sub/d.parquet")[0] == 0
    assert (tmp_path / "digits.npz").is_file() and (tmp_path / "sub" / "d.parquet").is_file()


def test_export_errors_are_one_sentence(call: Call) -> None:
    code, _, err = call("data", "export", "digits", "--format", "csv")
    assert code == 2 and "export format" in err
    code, _, err = call("data", "export", "usps")
    assert code == 1 and "usps.bz2" in err and len(err.strip().splitlines()) == 1
