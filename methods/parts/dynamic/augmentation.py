"""Random small rotations and shifts of images, made on their device."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from benchmark.training import Draws


def augmented(
    x: Tensor, shift: float, rotation: float, generator: torch.Generator, draws: Draws | None = None
) -> Tensor:
    """Return images, each turned about its centre and moved by random amounts.

    Parameters
    ----------
    x : Tensor, shape (b, d) or (b, c, s, s)
        Square images, flattened ones too.
    shift : float
        The largest move along each axis, as a share of the side; uniform, and not in whole pixels.
    rotation : float
        The largest angle, in degrees; uniform.
    generator : torch.Generator
        Of the CPU, so that all devices see the same draws.
    draws : Draws, optional
        Those of the phase, where this is a part of its steps.

    Returns
    -------
    Tensor, of the shape of `x`
        By bilinear interpolation; what comes from outside has the value of the nearest pixel inside (dynae2022 section
        4.1; the numbers and the order, first moved and then turned, are those of the authors' code).

    Raises
    ------
    ValueError
        Where the samples are no square images.
    """
    images = _square(x)
    n = len(x)
    drawn = (draws or Draws())(lambda: torch.rand((n, 3), generator=generator), x.device) * 2 - 1
    angle = drawn[:, 0] * math.radians(rotation)
    down, right = 2 * shift * drawn[:, 1], 2 * shift * drawn[:, 2]
    cos, sin = angle.cos(), angle.sin()
    across = torch.stack([cos, sin, sin * down + cos * right], dim=1)
    along = torch.stack([-sin, cos, cos * down - sin * right], dim=1)
    size = [len(images), *images.shape[1:]]
    grid = functional.affine_grid(torch.stack([across, along], dim=1).to(x.dtype), size, align_corners=False)
    moved = functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return moved.reshape(x.shape)


def _square(x: Tensor) -> Tensor:
    side = math.isqrt(math.prod(x.shape[1:])) if x.ndim == 2 else x.shape[-1]
    if not (x.ndim == 2 and side * side == x.shape[1]) and not (x.ndim == 4 and x.shape[2] == x.shape[3]):
        raise ValueError(f"only square images are turned and moved, not samples of shape {tuple(x.shape[1:])}.")
    return x.reshape(len(x), -1, side, side)
