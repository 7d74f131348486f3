"""Preprocessing steps, named as protocols write them: ``symmetric``, ``resize:32x32``, ``flatten``.

A step is a pure function of the samples; a text after the colon is its second argument. Another step is one more
function, listed in `STEPS`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from benchmark.errors import UsageError, did_you_mean

Array = npt.NDArray[np.float32]


def symmetric(x: Array) -> Array:
    """Return (x - 1/2) / (1/2), which maps [0, 1] to [-1, 1].

    >>> symmetric(np.array([0, 0.25, 1], dtype=np.float32)).tolist()
    [-1.0, -0.5, 1.0]
    """
    return (x - np.float32(0.5)) / np.float32(0.5)


def flatten(x: Array) -> Array:
    """Return the samples as vectors, (n, ...) -> (n, d).

    >>> flatten(np.zeros((5, 1, 28, 28), dtype=np.float32)).shape
    (5, 784)
    """
    return x.reshape(len(x), -1)


def rows(x: Array) -> Array:
    """Return grey images (n, 1, height, width) as sequences (n, height, width): a row of pixels is a step.

    >>> rows(np.zeros((5, 1, 8, 6), dtype=np.float32)).shape
    (5, 8, 6)
    """
    if x.ndim != 4 or x.shape[1] != 1:
        raise UsageError(f"the preprocessing step rows needs grey images, but each sample has the shape {x.shape[1:]}.")
    return x[:, 0]


def times(x: Array, factor: str) -> Array:
    """Return the samples times `factor`, a number.

    >>> times(np.array([[0, 0.5]], dtype=np.float32), "5.1").tolist()
    [[0.0, 2.549999952316284]]
    """
    try:
        number = np.float32(factor)
    except ValueError:
        number = np.float32(np.nan)
    if not np.isfinite(number):
        raise UsageError(f"the factor {factor!r} of the preprocessing step times is no number, as in times:5.1.")
    return x * number


def sqrt_dim(x: Array) -> Array:
    """Return the samples times the root of d, the number of their values: vectors of length 1 get (1/d) |x|^2 = 1.

    >>> sqrt_dim(np.eye(4, dtype=np.float32)[:1]).tolist()
    [[2.0, 0.0, 0.0, 0.0]]
    """
    scaled: Array = x * np.float32(np.sqrt(x[0].size))
    return scaled


def minmax(x: Array) -> Array:
    """Return the samples, each scaled to [0, 1] by its own smallest and largest value; constant ones become 0.

    >>> minmax(np.array([[1, 2, 3], [5, 5, 5]], dtype=np.float32)).tolist()
    [[0.0, 0.5, 1.0], [0.0, 0.0, 0.0]]
    """
    axes = tuple(range(1, x.ndim))
    low, high = x.min(axis=axes, keepdims=True), x.max(axis=axes, keepdims=True)
    return (x - low) / np.where(high > low, high - low, np.float32(1))  # type: ignore[no-any-return]


def resize(x: Array, size: str) -> Array:
    """Return images (n, channels, height, width) resized to `size`, written ``HEIGHTxWIDTH``.

    Bilinear with half-pixel centres; where a side shrinks, low-pass filtered first (antialiased).

    >>> resize(np.zeros((5, 1, 16, 16), dtype=np.float32), "32x32").shape
    (5, 1, 32, 32)
    """
    import torch
    from torch.nn import functional

    height, width = _size(x, size, "resize")
    if x.shape[2:] == (height, width):
        return x
    shrinks = height < x.shape[2] or width < x.shape[3]
    images = torch.from_numpy(np.require(x, requirements=("C", "W")))
    resized = functional.interpolate(
        images, size=(height, width), mode="bilinear", align_corners=False, antialias=shrinks
    )
    return resized.numpy()


def skimage_resize(x: Array, size: str) -> Array:
    """Return images (n, channels, height, width) resized to `size` as scikit-image's `resize` does by default.

    Linear with half-pixel centres, like `resize`, but mirrored at the border, without repeating the edge; where a side
    shrinks by a factor f, smoothed first by a Gaussian of deviation (f - 1) / 2, as since scikit-image 0.15. It is what
    the code of tkuco2024 calls (ledger D4, C7).

    >>> skimage_resize(np.array([[[[0, 1]]]], dtype=np.float32), "1x4").tolist()
    [[[[0.25, 0.25, 0.75, 0.75]]]]
    """
    from scipy.ndimage import gaussian_filter, zoom

    sides = _size(x, size, "skimage_resize")
    if x.shape[2:] == sides:
        return x
    factors = [old / new for old, new in zip(x.shape[2:], sides, strict=True)]
    if max(factors) > 1:
        x = gaussian_filter(x, [0, 0, *(max(0, (factor - 1) / 2) for factor in factors)], mode="mirror")
    resized: Array = zoom(x, [1, 1, *(1 / factor for factor in factors)], order=1, mode="mirror", grid_mode=True)
    return resized


def truncated(x: Array) -> Array:
    """Return values in [0, 1] cut to the next lower of 256 levels, as when pixels are stored as whole numbers.

    torchvision reads USPS so (ledger D4).

    >>> (255 * truncated(np.array([[0.5, 1]], dtype=np.float32))).tolist()
    [[127.0, 255.0]]
    """
    levels: Array = np.floor(x * np.float32(255)) / np.float32(255)
    return levels


def _size(x: Array, size: str, step: str) -> tuple[int, int]:
    """Return the height and width that `size` names; UsageError for another form, or samples that are no images."""
    match = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", size)
    if match is None:
        raise UsageError(f"the size {size!r} of the preprocessing step {step} is not written as in {step}:32x32.")
    if x.ndim != 4:
        raise UsageError(f"the preprocessing step {step} needs images, but each sample has the shape {x.shape[1:]}.")
    return int(match[1]), int(match[2])


STEPS: dict[str, Callable[..., Array]] = {
    step.__name__: step
    for step in (symmetric, resize, skimage_resize, truncated, flatten, rows, times, sqrt_dim, minmax)
}


def parse_step(text: str) -> tuple[Callable[..., Array], tuple[str, ...]]:
    """Return the function of the step written as `text`, and its arguments after the samples.

    Raises
    ------
    UsageError
        If there is no such step, or an argument is missing or too many.
    """
    name, colon, argument = text.partition(":")
    if name not in STEPS:
        raise UsageError(did_you_mean("preprocessing step", name, STEPS))
    step = STEPS[name]
    arguments = (argument,) if colon else ()
    _, *wanted = inspect.signature(step).parameters
    if len(arguments) != len(wanted):
        form = ":".join((name, *(word.upper() for word in wanted)))
        raise UsageError(f"the preprocessing step {text!r} must be written as {form}.")
    return step, arguments


def apply_steps(x: Array, steps: Iterable[str]) -> Array:
    """Return `x` after all `steps`, in order; a wrong step is refused before any is applied."""
    for step, arguments in [parse_step(text) for text in steps]:
        x = step(x, *arguments)
    return x
