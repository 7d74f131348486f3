"""Makers of pictures of a run's clusters: the members it is surest of, and what it makes of samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from benchmark.analysis.sheets import SheetContent, sheet_bytes
from benchmark.errors import UserError
from benchmark.repeat.artefacts import Shown

ROWS = 512
"""How many samples pass the network at once."""


def make_confident(shown: Shown, options: Mapping[str, Any]) -> bytes:
    """Return the `members` of each cluster with the largest assignments, a cluster a row, and how pure each row is."""
    with torch.no_grad():
        parts = [shown.estimator.assign(shown.model, part)[0] for part in torch.split(_samples(shown), ROWS)]
    soft, classes = torch.cat(parts).cpu().numpy(), np.asarray(shown.data.y)
    labels, rows, purities = soft.argmax(axis=1), [], []
    images, each = _images(np.asarray(shown.data.x)), int(options["members"])
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        chosen = mine[np.argsort(-soft[mine, label], kind="stable")][:each]
        purities.append(np.bincount(classes[chosen]).max() / len(chosen))
        blanks = [np.zeros_like(images[0])] * (each - len(chosen))
        rows.append(np.concatenate([*images[chosen], *blanks], axis=1))
    return _stored(np.concatenate(rows), {"purity of the members shown": np.array(purities)}, "clusters")


def make_outputs(shown: Shown, options: Mapping[str, Any]) -> bytes:
    """Return `images` random samples above their reconstructions; and of each, how much nearer its centre's image is.

    That is the distance of the output to the sample less that to the mean image of its cluster.
    """
    model: Any = shown.model
    if not (hasattr(model, "encode") and hasattr(model, "decode")):
        raise UserError("only an auto-encoder has outputs to show.")
    x = _samples(shown)
    chosen = np.random.default_rng(0).permutation(len(x))[: int(options["images"])]
    with torch.no_grad():
        decoded = model.decode(model.encode(x[torch.from_numpy(chosen).to(x.device)])[0]).cpu().numpy()
    whole, clusters = np.asarray(shown.data.x), shown.clusters
    means = {label: whole[clusters == label].mean(axis=0) for label in np.unique(clusters[chosen])}
    centres = np.stack([means[label] for label in clusters[chosen]])
    nearer = _distance(decoded, whole[chosen]) - _distance(decoded, centres)
    pictures = [np.concatenate(list(_images(part)), axis=1) for part in (whole[chosen], decoded)]
    return _stored(np.concatenate(pictures), {"nearer to the mean of the cluster": nearer}, "samples")


def _samples(shown: Shown) -> torch.Tensor:
    shown.model.eval()
    device = next(shown.model.parameters()).device
    return torch.from_numpy(np.array(shown.data.x, dtype=np.float32)).to(device)


def _images(x: np.ndarray) -> np.ndarray:
    """Return samples as grey images (n, side, side), flattened ones too; UserError where they are no square images."""
    side = math.isqrt(math.prod(x.shape[1:])) if x.ndim == 2 else x.shape[-1]
    if not (x.ndim == 2 and side * side == x.shape[1]) and not (x.ndim == 4 and x.shape[2] == x.shape[3]):
        raise UserError("only square images can be shown.")
    grey: np.ndarray = x.reshape(len(x), -1, side, side).mean(axis=1)
    return grey


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.linalg.norm((a - b).reshape(len(a), -1), axis=1)
    return found


def _stored(image: np.ndarray, numbers: Mapping[str, np.ndarray], counted: str) -> bytes:
    low, high = float(image.min()), float(image.max())
    levels = (image - low) / (high - low if high > low else 1)
    return sheet_bytes(SheetContent(np.rint(255 * levels).astype(np.uint8), {}, numbers, counted))
