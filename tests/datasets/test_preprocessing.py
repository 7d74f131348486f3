"""Preprocessing steps: their values against closed forms and Pillow, and how wrong steps are refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmark.errors import UsageError
from datasets.preprocessing import apply_steps


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


@pytest.mark.parametrize("step", ["resize", "resize:", "resize:32", "resize:0x8", "resize:8x8x8", "flatten:2"])
def test_a_step_with_a_wrong_argument_is_refused(images: np.ndarray, step: str) -> None:
    with pytest.raises(UsageError, match="written as"):
        apply_steps(images, (step,))


def test_vectors_cannot_be_resized() -> None:
    with pytest.raises(UsageError, match="needs images"):
        apply_steps(np.zeros((3, 784), dtype=np.float32), ("resize:32x32",))
