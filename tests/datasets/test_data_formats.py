"""Official formats of the data sets: files built here by other means give the arrays that went into them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from benchmark.errors import DataError
from benchmark.registry import DATASETS
from datasets.arrays import Dataset, subset_indices
from datasets.base import Source
from datasets.formats.matrix_market import read_matrix_market
from tests.support import data_files as made
from tests.support.checkout import ROOT


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("RECLUST_DATA", raising=False)


def loaded(kind: str, tmp_path: Path) -> Dataset:
    source, files = made.SOURCES[kind]
    root = made.put(tmp_path, source, files)
    return made.pinned(source, root).load(root)


@pytest.mark.parametrize("kind", made.SOURCES)
def test_official_files_are_loaded_found_and_verified(kind: str, tmp_path: Path) -> None:
    source, files = made.SOURCES[kind]
    root = made.put(tmp_path, source, files)
    ready = replace(made.pinned(source, root), class_counts=source.class_counts if kind != "mnist-0-3" else ())
    if kind == "mnist-0-3":
        ready = replace(ready, totals=(16, 4))
    data = ready.load(root)
    assert data.x.shape == (ready.n_samples, *ready.shape) and data.x.dtype == np.float32
    assert data.y.dtype == np.int64 and data.y.shape == (ready.n_samples,)
    assert ready.status(root).state == "ready"
    assert ready.verify(root).state == "ready", ready.verify(root).detail
    assert data.prepare((), 5).x.shape == (5, *ready.shape)


@pytest.mark.parametrize("kind", made.SOURCES)
def test_a_file_cut_short_is_named_in_one_sentence(kind: str, tmp_path: Path) -> None:
    source, files = made.SOURCES[kind]
    root = made.put(tmp_path, source, files)
    ready = made.pinned(source, root)
    for name, content in files.items():
        (root / source.folder / name).write_bytes(content[: len(content) * 2 // 3])
        with pytest.raises(DataError) as caught:
            ready.load(root)
        message = str(caught.value)
        assert message.endswith(".") and "\n" not in message and ". " not in message
        assert name in message or str(root / source.folder) in message
        (root / source.folder / name).write_bytes(content)


def test_house_numbers_are_training_then_test_images_and_ten_is_zero(tmp_path: Path) -> None:
    data = loaded("svhn", tmp_path)
    np.testing.assert_allclose(data.x, made.NUMBERS.transpose(3, 2, 0, 1) / 255, atol=1e-7)
    np.testing.assert_array_equal(data.y, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1])


def test_faces_are_the_same_from_either_form_of_the_file(tmp_path: Path) -> None:
    one, other = loaded("umist mat", tmp_path / "mat"), loaded("umist zip", tmp_path / "zip")
    assert one.digest == other.digest
    np.testing.assert_array_equal(one.x, other.x)
    for person, images in enumerate(made.FACES):
        found = {image.tobytes() for image in np.round(one.x[one.y == person, 0] * 255).astype(np.uint8)}
        assert found == {image.tobytes() for image in images}


def test_trajectories_are_those_of_the_first_ten_letters(tmp_path: Path) -> None:
    data = loaded("character-trajectories", tmp_path)
    kept = [number for number, letter in enumerate(made.LETTERS[0]) if letter <= 10]
    np.testing.assert_array_equal(data.y, made.LETTERS[0, kept].astype(int) - 1)
    np.testing.assert_array_equal(data.lengths, [made.STEPS[number] for number in kept])
    for row, number in enumerate(kept):
        np.testing.assert_allclose(data.x[row, : made.STEPS[number]], made.PATHS[number].T, atol=1e-6)
        assert not data.x[row, made.STEPS[number] :].any()


def test_spoken_digits_come_in_their_order_from_both_files(tmp_path: Path) -> None:
    data = loaded("spoken-arabic-digits", tmp_path)
    np.testing.assert_array_equal(data.y, [*np.repeat(range(10), 2), *range(10)])
    np.testing.assert_array_equal(data.lengths, [len(block) for block in made.UTTERANCES])
    for row, block in enumerate(made.UTTERANCES):
        np.testing.assert_allclose(data.x[row, : len(block)], block, atol=1e-4)


def as_xie_does(most: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Return features, labels and numbers of all stories with one root topic, with scikit-learn's own classes."""
    numbers = [number for number in made.TEXTS if number in made.NEWS]
    counts = CountVectorizer(dtype=np.float64, max_features=most).fit_transform(made.TEXTS[n] for n in numbers)
    features = TfidfTransformer(norm="l2", sublinear_tf=True).fit_transform(counts)
    return features.toarray(), np.array([made.NEWS[n] for n in numbers]), numbers


def test_stories_have_the_features_that_scikit_learn_gives_them(tmp_path: Path) -> None:
    features, labels, _ = as_xie_does(20)
    data = loaded("reuters10k", tmp_path)
    assert isinstance(data.x, sparse.csr_array)
    np.testing.assert_allclose(data.x.toarray(), features[:50], rtol=1e-6)
    np.testing.assert_array_equal(data.y, labels[:50])


def test_random_stories_are_another_choice_of_the_same(tmp_path: Path) -> None:
    features, labels, _ = as_xie_does(20)
    data = loaded("reuters10k-random", tmp_path)
    rows = [int(np.flatnonzero(abs(features - x).max(axis=1) < 1e-6)[0]) for x in data.x.toarray()]
    assert rows == sorted(rows) and rows != list(range(50))
    np.testing.assert_array_equal(data.y, labels[rows])


def test_the_balanced_choice_has_as_many_stories_of_each_topic(tmp_path: Path) -> None:
    data = loaded("reuters", tmp_path)
    assert np.bincount(data.y).tolist() == [30] * 4
    again = loaded("reuters", tmp_path / "again")
    np.testing.assert_array_equal(data.x.toarray(), again.x.toarray())


def test_a_corpus_that_lacks_stories_is_refused(tmp_path: Path) -> None:
    root = made.put(tmp_path, made.REUTERS, made.REUTERS_FILES)
    with pytest.raises(DataError, match=f"holds {len(made.NEWS)} stories of one root topic where 685071 should be"):
        replace(made.REUTERS, stories=685_071).load(root)


def test_vectors_of_stories_keep_their_leading_features_at_length_one(tmp_path: Path) -> None:
    data = loaded("reuters10k-ltc", tmp_path)
    rows = [row for row, number in enumerate(sorted(made.TEXTS)) if number in made.NEWS][:50]
    weights = made.WEIGHTS.toarray()[rows]
    frequency = (weights > 0).sum(axis=0)
    found = data.x.toarray()
    lengths = np.sqrt((found**2).sum(axis=1))
    assert np.logical_or(np.isclose(lengths, 1, atol=1e-6), lengths == 0).all()
    assert (found > 0).sum() == np.sort(frequency)[-30:].sum()
    np.testing.assert_array_equal(
        data.y, [made.NEWS[number] for number in sorted(made.TEXTS) if number in made.NEWS][:50]
    )


def test_cells_are_scaled_as_clustergan_does(tmp_path: Path) -> None:
    data = loaded("10x73k", tmp_path)
    logs = np.log2(made.COUNTS + 1)
    np.testing.assert_allclose(data.x, logs / logs.max(), rtol=1e-6)
    np.testing.assert_array_equal(data.y, [0, 1, 2, 3, 4, 5, 6, 7] * 2)


@pytest.mark.parametrize("form", [sparse.coo_array, np.asarray], ids=["coordinate", "array"])
def test_matrix_market_files_are_read_as_scipy_wrote_them(form: Callable[[np.ndarray], object], tmp_path: Path) -> None:
    matrix = np.round(np.random.default_rng(0).normal(size=(7, 5)) * (np.arange(5) > 1), 3)
    (tmp_path / "a.mtx").write_bytes(made.matrix_market(form(matrix)))
    np.testing.assert_allclose(read_matrix_market(tmp_path / "a.mtx", (7, 5)), matrix, rtol=1e-12)


@pytest.mark.parametrize(
    "body",
    [
        "3 2 1\n4 1 5",
        "3 2 1\n0 1 5",
        "3 2 1\n1.5 1 5",
        "3 2 2\n1 1 5",
        "3 2 1\n1 1 nan",
        "3 2 1\n1 1",
        "3 2 1\n1 1 5 6",
    ],
)
def test_matrix_market_values_outside_or_missing_are_refused(body: str, tmp_path: Path) -> None:
    (tmp_path / "a.mtx").write_text(f"%%MatrixMarket matrix coordinate real general\n{body}\n")
    with pytest.raises(DataError, match=r"a\.mtx"):
        read_matrix_market(tmp_path / "a.mtx", (3, 2))


def test_zero_to_three_are_a_uniform_choice_of_these_digits(tmp_path: Path) -> None:
    data = loaded("mnist-0-3", tmp_path)
    among = np.flatnonzero(made.MNIST_Y < 4)
    chosen = among[subset_indices("mnist-0-3", len(among), 16)]
    np.testing.assert_allclose(data.x[:, 0], made.MNIST_X[chosen] / 255, atol=1e-7)


# Facts that the papers publish


@pytest.mark.parametrize(
    ("name", "samples", "shape", "classes"),
    [
        ("svhn", 99_289, (3, 32, 32), 10),
        ("umist", 575, (1, 112, 92), 20),
        ("coil100-128px", 7200, (3, 128, 128), 100),
        ("character-trajectories", 1491, (198, 3), 10),
        ("spoken-arabic-digits", 8800, (93, 13), 10),
        ("reuters", 216_000, (2000,), 4),
        ("reuters10k", 10_000, (2000,), 4),
        ("10x73k", 73_233, (720,), 8),
        ("mnist-0-3", 2000, (1, 28, 28), 4),
    ],
)
def test_declared_facts_are_those_of_the_papers(name: str, samples: int, shape: tuple[int, ...], classes: int) -> None:
    source = DATASETS[name]
    assert (source.n_samples, source.shape, source.n_clusters) == (samples, shape, classes)
    assert source.stand_in_for is None


def test_every_stand_in_is_marked() -> None:
    assert {name: source.stand_in_for for name, source in DATASETS.items() if source.stand_in_for} == {
        "coil100-64px": "coil-100",
        "coil100-32px": "coil-100",
        "rcv1-23405": "reuters",
        "rcv1-10000": "reuters10k",
        "reuters10k-ltc": "reuters10k",
        "pbmc-facs-3774": "10x73k",
        "chartraj-1607": "character-trajectories",
    }


@pytest.mark.parametrize("source", DATASETS.values(), ids=lambda source: source.name)
def test_what_is_downloaded_has_a_published_hash_or_a_note_that_says_why_not(source: Source) -> None:
    for file in source.files:
        if file.urls and file.known_hash is None:
            assert source.digest.startswith("sha256:") or "hash" in source.note, file.name


PAGE = ROOT / "docs" / "data.md"


@pytest.mark.parametrize("name", DATASETS)
def test_the_page_on_data_says_how_to_get_every_data_set(name: str) -> None:
    source = DATASETS[name]
    table = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    first = {line: line.split("|")[1].partition(", a stand-in")[0] for line in table}
    (row,) = [line for line, names in first.items() if f"`{name}`" in names]
    assert f"{source.n_samples}" in row.replace(" ", "").replace("_", "")
    files = getattr(source, "files", ())
    assert not files or f"`{source.folder}/`" in row
    assert source.stand_in_for is None or name.startswith("coil100") or f"stand-in for `{source.stand_in_for}`" in row
