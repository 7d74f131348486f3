"""The contract of every registered data set, and published facts about the real ones."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import zoom
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

import datasets
from benchmark.errors import DataError, UsageError
from benchmark.registry import DATASETS, DataSource
from datasets.arrays import Dataset, array_digest, subset_indices

# Loading one data set registers all, so that the contract below holds for whatever lies in datasets/.
DIGITS = datasets.load_dataset("digits")
NAMES = [pytest.param(name, marks=[] if source.embedded else pytest.mark.data) for name, source in DATASETS.items()]
WITH_FILES = [name for name, source in DATASETS.items() if not source.embedded]


def source_or_skip(name: str) -> DataSource:
    status = DATASETS[name].status()
    if status.state == "missing":
        pytest.skip(status.detail)
    return DATASETS[name]


@pytest.fixture(scope="module", params=NAMES)
def source(request: pytest.FixtureRequest) -> DataSource:
    return source_or_skip(request.param)


@pytest.fixture(scope="module")
def data(source: DataSource) -> Dataset:
    return source.load()


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("RECLUST_DATA", raising=False)
    return tmp_path


# The contract


def test_samples_are_float32_of_the_declared_shape(source: DataSource, data: Dataset) -> None:
    assert data.x.shape == (source.n_samples, *source.shape)
    assert data.x.dtype == np.float32
    prepared = data.prepare((), 100).x
    assert isinstance(prepared, np.ndarray) and prepared.flags.c_contiguous and np.isfinite(prepared).all()


def test_images_lie_in_the_unit_interval_and_fill_it(source: DataSource, data: Dataset) -> None:
    if len(source.shape) != 3:
        pytest.skip("vectors and sequences have ranges of their own")
    assert data.x.flags.c_contiguous
    assert 0 <= data.x.min() < 0.05 and 0.93 < data.x.max() <= 1


def test_sequences_are_zero_from_their_length_on(source: DataSource, data: Dataset) -> None:
    if len(source.shape) != 2:
        assert data.lengths is None
        return
    steps = source.shape[0]
    assert data.lengths.dtype == np.int64 and data.lengths.shape == data.y.shape
    assert data.lengths.min() >= 1 and data.lengths.max() == steps
    padding = np.arange(steps) >= data.lengths[:, None]
    assert not data.x[padding].any()
    few = data.prepare((), 50)
    np.testing.assert_array_equal(few.lengths, data.lengths[subset_indices(data.name, len(data.y), 50)])


def test_labels_run_from_zero_to_k_minus_one_without_gaps(source: DataSource, data: Dataset) -> None:
    assert data.y.dtype == np.int64 and data.y.shape == (source.n_samples,)
    np.testing.assert_array_equal(np.unique(data.y), np.arange(source.n_clusters))


def test_what_is_loaded_carries_the_declared_identity(source: DataSource, data: Dataset) -> None:
    assert (data.name, data.n_clusters, data.digest) == (source.name, source.n_clusters, source.digest)
    assert data.digest.startswith(("sha256:", "sha1:", "md5:", "files:", "facts:"))


def test_loading_twice_gives_equal_arrays(source: DataSource, data: Dataset) -> None:
    again = source.load()
    assert np.array_equal(again.y, data.y)
    assert abs(again.x - data.x).max() == 0


def test_verify_finds_the_declared_facts_in_the_files(source: DataSource) -> None:
    status = source.verify()
    assert status.state == "ready", status.detail
    assert source.status().state == "ready"


def test_a_subset_is_chosen_without_labels(data: Dataset) -> None:
    permuted = replace(data, y=np.random.default_rng(0).permutation(data.y))
    subset, other = data.prepare((), 500), permuted.prepare((), 500)
    np.testing.assert_array_equal(subset.x, other.x)
    assert len(subset.x) == len(subset.y) == 500
    assert (subset.name, subset.digest, subset.n_clusters) == (data.name, data.digest, data.n_clusters)


def test_every_data_set_says_where_it_comes_from() -> None:
    for name, source in DATASETS.items():
        assert isinstance(source, DataSource)
        assert source.name == name and source.title and source.licence and source.citation
        assert source.stand_in_for is None or source.stand_in_for in DATASETS


@pytest.mark.parametrize("name", WITH_FILES)
def test_missing_files_give_one_sentence_that_says_what_to_do(name: str, empty_cache: Path) -> None:
    with pytest.raises(DataError) as caught:
        datasets.load_dataset(name, data_dir=empty_cache / "nowhere")
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and ". " not in message
    assert "RECLUST_DATA" in message and str(empty_cache / "nowhere") in message
    assert DATASETS[name].status(empty_cache / "nowhere").state == "missing"
    assert DATASETS[name].verify(empty_cache / "nowhere").state == "missing"
    assert list(empty_cache.iterdir()) == []


# Names, subsets, digests


def test_a_wrong_name_is_answered_with_the_nearest_right_one() -> None:
    with pytest.raises(UsageError, match="no data set named 'fashion_mnist'; did you mean 'fashion-mnist'"):
        datasets.load_dataset("fashion_mnist")


def test_digits_are_scikit_learns_images_enlarged_bilinearly() -> None:
    x, y = load_digits(return_X_y=True)
    np.testing.assert_array_equal(DIGITS.y, y)
    enlarged = zoom(x[7].reshape(8, 8) / 16, 28 / 8, order=1, grid_mode=True, mode="nearest")
    np.testing.assert_allclose(DIGITS.x[7, 0], enlarged, atol=1e-6)


def test_the_digest_hashes_type_shape_and_little_endian_bytes() -> None:
    x, y = np.array([[1, 258]], dtype=">u2"), np.array([3], dtype=np.int64)
    text = b"<u2(1,2)" + b"\x01\x00\x02\x01" + b"<i8(1)" + b"\x03" + 7 * b"\x00"
    assert array_digest(x, y) == f"sha256:{hashlib.sha256(text).hexdigest()}"
    assert array_digest(x.T.copy().T, y) == array_digest(x, y)


@pytest.mark.parametrize(
    "change", [lambda x: x.astype(np.int16), lambda x: x.reshape(3, 2), lambda x: x[::-1], lambda x: x + 1]
)
def test_the_digest_changes_with_type_shape_order_and_values(change: Callable[[np.ndarray], np.ndarray]) -> None:
    x, y = np.arange(6, dtype=np.uint8).reshape(2, 3), np.arange(2)
    assert array_digest(change(x), y) != array_digest(x, y)


def test_a_subset_is_sorted_without_repetition_and_nested() -> None:
    few, many = subset_indices("usps", 9298, 100), subset_indices("usps", 9298, 1000)
    assert (np.diff(few) > 0).all() and set(few) < set(many)
    assert set(few) != set(subset_indices("mnist", 9298, 100))


def test_a_subset_is_spread_evenly_over_the_samples() -> None:
    tenths = np.bincount(subset_indices("mnist", 60000, 10000) // 6000)
    # Hypergeometric: mean 1000, standard deviation 27.
    assert len(tenths) == 10 and (abs(tenths - 1000) < 5 * 27).all()


def test_the_subset_of_a_data_set_never_changes() -> None:
    np.testing.assert_array_equal(subset_indices("usps", 9298, 5), [1668, 4133, 4291, 6190, 7484])


def test_a_subset_is_taken_before_the_preprocessing() -> None:
    prepared = DIGITS.prepare(("symmetric", "flatten"), 100)
    chosen = subset_indices("digits", 1797, 100)
    np.testing.assert_array_equal(prepared.x, 2 * DIGITS.x[chosen].reshape(100, -1) - 1)
    np.testing.assert_array_equal(prepared.y, DIGITS.y[chosen])


@pytest.mark.parametrize("samples", [None, 1797, 10**6])
def test_without_a_smaller_cap_all_samples_stay_in_order(samples: int | None) -> None:
    np.testing.assert_array_equal(DIGITS.prepare((), samples).y, DIGITS.y)


def test_an_empty_subset_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        DIGITS.prepare((), 0)


# Published facts about the real files


def idx_md5s(data: Dataset) -> tuple[str, str]:
    """Return the MD5 of the uncompressed IDX files of images and labels that `data` must have come from."""
    pixels = np.round(data.x * 255).astype(np.uint8)
    images = struct.pack(">4I", 0x803, len(pixels), 28, 28) + pixels.tobytes()
    labels = struct.pack(">2I", 0x801, len(pixels)) + data.y.astype(np.uint8).tobytes()
    return hashlib.md5(images).hexdigest(), hashlib.md5(labels).hexdigest()


MNIST_TRAIN = ("6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624")
MNIST_TEST = ("2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637")
FASHION_TRAIN = ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9")
FASHION_TEST = ("8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965")


@pytest.mark.data
@pytest.mark.parametrize(
    "name, published",
    [
        ("mnist", [MNIST_TRAIN]),
        ("mnist-test", [MNIST_TEST]),
        ("mnist-full", [MNIST_TRAIN, MNIST_TEST]),
        ("fashion-mnist", [FASHION_TRAIN]),
        ("fashion-mnist-full", [FASHION_TRAIN, FASHION_TEST]),
    ],
)
def test_loaded_arrays_give_back_the_published_idx_files(name: str, published: list[tuple[str, str]]) -> None:
    data = source_or_skip(name).load()
    parts = [slice(60000), slice(60000, None)][: len(published)]
    assert [idx_md5s(replace(data, x=data.x[part], y=data.y[part])) for part in parts] == published


@pytest.mark.data
def test_usps_has_the_published_numbers_of_digits_and_its_training_set_first() -> None:
    y = source_or_skip("usps").load().y
    assert np.bincount(y).tolist() == [1553, 1269, 929, 824, 852, 716, 834, 792, 708, 821]
    # The test set alone, as in Hastie et al.'s description of the zip code data.
    assert np.bincount(y[7291:]).tolist() == [359, 264, 198, 166, 200, 160, 170, 147, 166, 177]


@pytest.mark.data
@pytest.mark.parametrize("name, objects", [("coil-20", 20), ("coil100-64px", 100), ("coil100-32px", 100)])
def test_coil_has_72_views_of_each_object_in_order(name: str, objects: int) -> None:
    data = source_or_skip(name).load()
    np.testing.assert_array_equal(data.y, np.repeat(np.arange(objects), 72))
    views = data.x[:, :, ::4, ::4].reshape(objects, 72, -1)
    neighbours = abs(np.diff(views, axis=1)).mean()
    assert neighbours < 0.5 * abs(views[:, 36:] - views[:, :36]).mean()


@pytest.mark.data
def test_both_reduced_forms_of_coil_100_show_the_same_views() -> None:
    large, small = source_or_skip("coil100-64px").load(), source_or_skip("coil100-32px").load()
    means = large.x.reshape(7200, 3, 32, 2, 32, 2).mean(axis=(3, 5))
    own, next_view = (abs(means - x).mean(axis=(1, 2, 3)) for x in (small.x, np.roll(small.x, 1, axis=0)))
    assert own.max() < 0.03 and own.mean() < 0.5 * next_view.mean()


@pytest.mark.data
def test_k_means_reaches_its_published_accuracy_on_usps() -> None:
    data = source_or_skip("usps").load().prepare(("flatten",), None)
    found = KMeans(10, n_init=20, random_state=0).fit_predict(data.x)
    table = np.zeros((10, 10), dtype=int)
    np.add.at(table, (data.y, found), 1)
    rows, columns = linear_sum_assignment(table, maximize=True)
    assert table[rows, columns].sum() / len(found) == pytest.approx(0.668, abs=0.005)
