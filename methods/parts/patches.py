"""Pairs of patches of an image, the second in one of eight positions around the first (dtkc2019 9.5, 15.3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

POSITIONS = 8
"""Around the first patch: row by row from the upper left one, without the middle."""

_OFFSETS = tuple((row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if (row, column) != (0, 0))


@dataclass(frozen=True)
class Grid:
    """Nine patches of `size` x `size` pixels, `gap` pixels apart; the second of a pair is moved by up to `jitter`.

    Raises
    ------
    ValueError
        Where the nine with their jitter do not fit into images of `height` x `width`.
    """

    height: int
    width: int
    size: int
    gap: int
    jitter: int

    def __post_init__(self) -> None:
        """Check that a grid fits."""
        if min(self.height, self.width) < self.reach:
            raise ValueError(
                f"images of {self.height}x{self.width} pixels are too small for patches of {self.size}, a gap of "
                f"{self.gap} and a jitter of {self.jitter}, which need {self.reach}."
            )

    @property
    def reach(self) -> int:
        """The side of the square that the nine patches and their jitter take."""
        return 3 * self.size + 2 * self.gap + 2 * self.jitter

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Return for n images the corners and position of a pair, int64 (n, 5): y, x, other y, other x, position.

        The place of the first is uniform where all others fit, the position and each jitter of the second are uniform.
        """
        margin = self.jitter + self.size + self.gap
        low, high = margin, (self.height - self.size - margin, self.width - self.size - margin)
        first = torch.stack([torch.randint(low, end + 1, (n,), generator=generator) for end in high], dim=1)
        position = torch.randint(POSITIONS, (n,), generator=generator)
        moved = torch.randint(-self.jitter, self.jitter + 1, (n, 2), generator=generator)
        second = first + torch.tensor(_OFFSETS)[position] * (self.size + self.gap) + moved
        return torch.cat([first, second, position[:, None]], dim=1)


def widest_gap(height: int, width: int, size: int, jitter: int) -> int:
    """Return the gap of Doersch et al. (2015), half a patch, or the widest that still fits (ledger T19).

    >>> widest_gap(28, 28, 7, 1), widest_gap(16, 16, 5, 0), widest_gap(112, 92, 24, 4)
    (2, 0, 6)
    """
    return max(0, min((min(height, width) - 3 * size - 2 * jitter) // 2, size // 2))


def cut(images: Tensor, corners: Tensor, size: int) -> Tensor:
    """Return a patch (n, c, size, size) of each image (n, c, h, w), its upper left corner at `corners` (n, 2)."""
    steps = torch.arange(size, device=images.device)
    rows = (corners[:, :1] + steps)[:, :, None]
    columns = (corners[:, 1:] + steps)[:, None, :]
    samples = torch.arange(len(images), device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[samples, rows, columns].permute(0, 3, 1, 2)


def position_loss(logits: Tensor, position: Tensor, form: str = "bernoulli") -> Tensor:
    """Return the mean cross-entropy of the predicted positions.

    Parameters
    ----------
    logits : Tensor, shape (n, 8)
        Inputs of the softmax.
    position : Tensor, shape (n,)
        The true positions, int64.
    form : {"bernoulli", "categorical"}
        "bernoulli" is the printed sum over all outputs p of the softmax, -sum_j [y_j ln p_j + (1 - y_j) ln(1 - p_j)];
        "categorical" is -ln p of the true one (ledger T18).

    Returns
    -------
    Tensor, a scalar

    Raises
    ------
    ValueError
        For an unknown form.
    """
    categorical = functional.cross_entropy(logits, position)
    if form == "categorical":
        return categorical
    if form != "bernoulli":
        raise ValueError(f"form must be one of bernoulli, categorical, not {form!r}.")
    others = torch.log1p(-torch.softmax(logits, dim=1).clamp_max(1 - 1e-7))
    wrong = 1 - functional.one_hot(position, logits.shape[1]).to(logits.dtype)
    return categorical - (wrong * others).sum(dim=1).mean()
