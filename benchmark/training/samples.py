"""Samples as methods get them, and for those that they cannot take, one sentence with the mend."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse

FAR = 10.0
"""From which absolute value on samples are said to be far outside [-1, 1], where a fit went wrong."""

SCALE = "divide by 255 (X / 255) where they are pixels, or scale them to [-1, 1]"


def as_samples(X: Any, n_clusters: int) -> np.ndarray:
    """Return `X` as a C-contiguous float32 array (n, ...).

    Raises
    ------
    ValueError
        One sentence with the mend: for sparse matrices, tensors that cannot be arrays, complex numbers and text, for
        samples without a common shape, of one dimension or without values, for fewer samples than `n_clusters`, and for
        NaN, infinity and what float32 cannot hold.
    TypeError
        For objects that are no numbers.
    """
    _refuse_kind(X)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is infinite, and refused below
            x = np.ascontiguousarray(X, dtype=np.float32)
    except ValueError:
        raise ValueError(
            "the samples must be an array of numbers with one shape for all samples: np.stack(X).astype('float32') "
            "makes one of a list of arrays of equal shapes."
        ) from None
    except TypeError as error:
        raise TypeError(f"the samples must be an array of numbers with one shape for all samples: {error}.") from None
    if x.ndim < 2:
        raise ValueError(
            f"the samples need at least two dimensions (n, ...), not the shape {x.shape}. Reshape your data: "
            "X.reshape(-1, 1) for many samples of one value, X.reshape(1, -1) for one sample."
        )
    if 0 in x.shape[1:]:
        raise ValueError(
            f"the samples have no values: 0 feature(s) (shape={x.shape}) while a minimum of 1 is required."
        )
    if len(x) < n_clusters:
        raise ValueError(
            f"{len(x)} samples cannot form {n_clusters} clusters: give more samples or a smaller n_clusters."
        )
    if not np.isfinite(x).all():
        raise ValueError("the samples contain NaN or infinite values, or some beyond float32: clean them first.")
    return x


def _refuse_kind(X: Any) -> None:
    """Raise ValueError for samples of a kind that no array can be made of without a decision of the caller's."""
    if issparse(X):
        raise ValueError("the samples are a sparse matrix, and sparse input is not taken: give X.toarray().")
    if isinstance(X, torch.Tensor):
        if X.requires_grad:
            raise ValueError("the samples are a tensor that requires grad: give X.detach().cpu().")
        if X.device.type != "cpu":
            raise ValueError(f"the samples are a tensor on {X.device}: give X.cpu(), and device= to the estimator.")
        if X.dtype in (torch.bfloat16, torch.float16):
            raise ValueError(f"the samples are a tensor of {X.dtype}: give X.float().")
    elif getattr(getattr(X, "dtype", None), "kind", "") == "c":
        raise ValueError("Complex data not supported: give X.real, or np.abs(X), of the samples.")


def check_scale(X: Any, x: np.ndarray) -> None:
    """Raise ValueError where the samples `X`, `x` (n, ...) as an array, are bytes, and so not scaled."""
    dtype = getattr(X, "dtype", None)
    if dtype in (np.uint8, torch.uint8) and x.max() > 1:
        raise ValueError(f"the samples are bytes from {x.min():g} to {x.max():g}: divide by 255 (X / 255) first.")


def far_outside(x: np.ndarray) -> str:
    """Return, for samples that lie far outside [-1, 1], a sentence that says so; "" for others."""
    if np.abs(x).max() < FAR:
        return ""
    return f"the samples lie between {x.min():g} and {x.max():g}, far outside [-1, 1]: {SCALE}."


def other_shape(x: np.ndarray, fitted: tuple[int, ...], name: str) -> str:
    """Return what is wrong with samples `x` (n, ...) for a fit `name` on samples of another shape."""
    text = f"the samples have the shape {x.shape[1:]}, but those of the fit had {fitted}"
    if x.ndim == 2 and len(fitted) == 1:
        return f"X has {x.shape[1]} features, but {name} is expecting {fitted[0]} features as input: {text}."
    if x.shape == fitted:
        return f"{text}: X[None] makes a batch of one sample."
    if x[:1].size == np.prod(fitted):
        return f"{text}: X.reshape({', '.join(map(str, (-1, *fitted)))}) if the order of values is the same."
    return f"{text}."


def as_lengths(lengths: Any, x: np.ndarray, device: torch.device) -> torch.Tensor:
    """Return the lengths of the sequences `x` (n, steps, ...) as int64 (n,), or raise ValueError with one sentence."""
    found = np.asarray(lengths)
    if found.shape != (len(x),) or not np.issubdtype(found.dtype, np.integer):
        raise ValueError(f"the lengths must be {len(x)} integers, one for each sequence, not of shape {found.shape}.")
    if found.min() < 1 or found.max() > x.shape[1]:
        raise ValueError(
            f"the lengths must be from 1 to {x.shape[1]}, the number of steps, not {found.min()} to {found.max()}."
        )
    return torch.from_numpy(found.astype(np.int64)).to(device)
