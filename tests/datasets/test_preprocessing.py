"""Preprocessing steps: their values against closed forms and Pillow, and how wrong steps are refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmark.errors import UsageError
from benchmark.registry import DATASETS
from datasets import load_dataset
from datasets.preprocessing import apply_steps
from tests.bench.measure_resize import usps


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).random((3, 2, 16, 12), dtype=np.float32)


def test_symmetric_maps_the_unit_interval_to_minus_one_to_one() -> None:
    x = apply_steps(np.array([[0.0, 0.5, 1.0]], dtype=np.float32), ("symmetric",))
    np.testing.assert_array_equal(x, [[-1.0, 0.0, 1.0]])
    assert x.dtype == np.float32


def test_flatten_keeps_the_order_of_channels_rows_and_columns(images: np.ndarray) -> None:
    x = apply_steps(images, ("flatten",))
    assert x.shape == (3, 2 * 16 * 12)
    assert x[1, 1 * 16 * 12 + 5 * 12 + 7] == images[1, 1, 5, 7]


def test_enlarging_uses_half_pixel_centres() -> None:
    x = np.array([0.0, 1.0], dtype=np.float32).reshape(1, 1, 1, 2)
    # Pixel i of 4 has its centre at (i + 1/2) / 2 - 1/2 of the old grid: -1/4, 1/4, 3/4, 5/4, clamped to 0..1.
    np.testing.assert_allclose(apply_steps(x, ("resize:1x4",))[0, 0, 0], [0, 0.25, 0.75, 1], atol=1e-7)


@pytest.mark.parametrize("height, width", [(32, 32), (7, 5), (32, 6)])
def test_resizing_equals_pillows_bilinear_filter(images: np.ndarray, height: int, width: int) -> None:
    x = apply_steps(images, (f"resize:{height}x{width}",))
    assert x.shape == (3, 2, height, width)
    for sample in range(3):
        for channel in range(2):
            image = Image.fromarray(images[sample, channel]).resize((width, height), Image.Resampling.BILINEAR)
            np.testing.assert_allclose(x[sample, channel], np.asarray(image), atol=1e-5)


def test_halving_an_image_uses_all_its_pixels() -> None:
    x = np.zeros((1, 1, 8, 8), dtype=np.float32)
    x[..., ::2, ::2] = 1
    reduced = apply_steps(x, ("resize:2x2",))
    np.testing.assert_allclose(reduced, 0.25, atol=0.05)


IMAGE = [[0, 10, 30, 60], [5, 25, 45, 5], [90, 0, 20, 40], [7, 9, 11, 13]]


def test_skimage_resize_gives_what_scikit_image_gives() -> None:
    """Values of skimage.transform.resize(IMAGE, (8, 8)) and (2, 2), scikit-image 0.26.0."""
    x = np.array(IMAGE, dtype=np.float32)[None, None]
    larger = apply_steps(x, ("skimage_resize:8x8",))[0, 0]
    np.testing.assert_allclose(larger[0], [4.375, 4.375, 10.625, 18.75, 28.75, 36.875, 43.125, 43.125], rtol=1e-6)
    np.testing.assert_allclose(larger[:, 3], [18.75, 18.75, 26.25, 23.75, 11.25, 6.125, 8.375, 8.375], rtol=1e-6)
    smaller = apply_steps(x, ("skimage_resize:2x2",))[0, 0]
    np.testing.assert_allclose(smaller, [[13.726315, 33.418138], [25.210441, 20.59327]], rtol=1e-6)


def test_enlarging_as_scikit_image_differs_from_ours_in_the_outermost_ring_alone(images: np.ndarray) -> None:
    ours, theirs = (apply_steps(images, (f"{step}:32x24",)) for step in ("resize", "skimage_resize"))
    np.testing.assert_allclose(theirs[..., 1:-1, 1:-1], ours[..., 1:-1, 1:-1], atol=1e-6)
    np.testing.assert_allclose(theirs[..., 0, 0], ours[..., 1, 1], atol=1e-6)  # .75 of the edge, .25 of what is inside
    assert np.abs(theirs[..., 0, :] - ours[..., 0, :]).max() > 0.05


def test_truncated_pixels_are_those_of_whole_numbers() -> None:
    x = np.linspace(0, 1, 1001, dtype=np.float32)[None]
    whole = (x * 255).astype(np.uint8).astype(np.float32) / 255
    np.testing.assert_array_equal(apply_steps(x, ("truncated",)), whole)


@pytest.mark.data
def test_usps_is_enlarged_as_the_ledger_says() -> None:
    """D4: the outermost ring differs by 6.6 levels of gray on average, truncation by .2 and less than 1."""
    if DATASETS["usps"].status().state == "missing":
        pytest.skip(DATASETS["usps"].status().detail)
    found = {(what, where): x for _, what, where, x in usps(load_dataset("usps").prepare((), None).x)}
    assert found["border mirrored", "outermost ring"].mean() == pytest.approx(6.58, abs=0.005)
    assert found["border mirrored", "outermost ring"].max() == pytest.approx(78.8, abs=0.05)
    assert found["border mirrored", "all other pixels"].max() < 1e-3
    assert found["pixels truncated", "all other pixels"].mean() == pytest.approx(0.16, abs=0.005)
    assert max(found["pixels truncated", where].max() for where in ("outermost ring", "all other pixels")) < 1 + 1e-4


def test_steps_are_applied_in_the_order_written(images: np.ndarray) -> None:
    both = apply_steps(images, ("resize:8x8", "symmetric", "flatten"))
    by_hand = 2 * apply_steps(images, ("resize:8x8",)).reshape(3, -1) - 1
    np.testing.assert_allclose(both, by_hand, atol=1e-6)


def test_steps_leave_their_input_unchanged(images: np.ndarray) -> None:
    before = images.copy()
    apply_steps(images, ("resize:16x12", "symmetric", "flatten"))
    np.testing.assert_array_equal(images, before)


def test_an_unknown_step_is_answered_with_the_nearest_known_one(images: np.ndarray) -> None:
    with pytest.raises(UsageError, match="no preprocessing step named 'symetric'; did you mean 'symmetric'"):
        apply_steps(images, ("flatten", "symetric"))


@pytest.mark.parametrize(
    "step",
    ["resize", "resize:", "resize:32", "resize:0x8", "resize:8x8x8", "flatten:2", "skimage_resize:8", "truncated:2"],
)
def test_a_step_with_a_wrong_argument_is_refused(images: np.ndarray, step: str) -> None:
    with pytest.raises(UsageError, match="written as"):
        apply_steps(images, (step,))


def test_vectors_cannot_be_resized() -> None:
    with pytest.raises(UsageError, match="needs images"):
        apply_steps(np.zeros((3, 784), dtype=np.float32), ("resize:32x32",))
