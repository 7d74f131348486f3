"""Makers of pictures of a run: members of its clusters, its kernels, its parameters, what its pixels matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.analysis.sheets import SheetContent, sheet_bytes
from benchmark.errors import UserError
from benchmark.execution.kernel_observer import kernels_of
from benchmark.measure.kernels import contrasts
from benchmark.repeat.artefacts import Shown

SIDE = 256
"""Kernel matrices are averaged over squares until they have at most so many rows."""

POINTS = 512
"""On so many points densities are evaluated."""

BORDER = 2
"""So many outer pixels are the border of an image."""

PERMUTED = 200


def make_members(shown: Shown, options: Mapping[str, Any]) -> bytes:
    """Return random members of random clusters, one cluster a row; how pure the clusters are, and how coloured."""
    x, y, clusters = np.asarray(shown.data.x), np.asarray(shown.data.y), shown.clusters
    if x.ndim != 4:
        raise UserError("only images can be shown as members of clusters.")
    draw = np.random.default_rng(0)
    names = np.unique(clusters)
    rows = []
    for name in np.sort(draw.permutation(names)[: int(options["clusters"])]):
        chosen = draw.permutation(np.flatnonzero(clusters == name))[: int(options["members"])]
        blanks = [np.zeros_like(x[0])] * (int(options["members"]) - len(chosen))
        rows.append(np.concatenate([*_levels(x[chosen]), *blanks], axis=2))
    image = np.moveaxis(np.concatenate(rows, axis=1), 0, -1)
    grey = np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)
    purities = np.sort([np.bincount(y[clusters == name]).max() / (clusters == name).sum() for name in names])
    colours = x.mean(axis=(2, 3))
    share = between_share(colours, clusters)
    chance = np.array([between_share(colours, draw.permutation(clusters)) for _ in range(PERMUTED)])
    numbers = {"purity of the three purest": purities[-3:], "colour share above permuted": share - chance}
    return sheet_bytes(SheetContent(grey if grey.shape[2] == 3 else grey[:, :, 0], {}, numbers, "clusters or draws"))


def _levels(images: np.ndarray) -> np.ndarray:
    """Return images with values from 0 to 1, whatever the preprocessing made of them."""
    low, high = images.min(), images.max()
    levels: np.ndarray = (images - low) / (high - low if high > low else 1)
    return levels


def between_share(values: np.ndarray, clusters: np.ndarray) -> float:
    """Return the share of the variance of `values` (n, d) that lies between clusters (n,); 0 without any variance."""
    whole = np.square(values - values.mean(axis=0)).sum()
    means = {name: values[clusters == name].mean(axis=0) for name in np.unique(clusters)}
    within = sum(np.square(values[clusters == name] - mean).sum() for name, mean in means.items())
    return float(1 - within / whole) if whole > 0 else 0.0


def make_kernels(shown: Shown, options: Mapping[str, Any]) -> bytes:
    """Return the kernel matrix of a block, sorted by class, origin lower left, and the contrast of each sample."""
    kernels, classes = kernels_of(shown.estimator, shown.model, shown.data)
    block = int(options["block"])
    if not 1 <= block <= len(kernels):
        raise UserError(f"the method has kernels of {len(kernels)} blocks, and none of block {block}.")
    order = np.argsort(classes, kind="stable")
    kernel = kernels[block - 1][np.ix_(order, order)]
    image = np.rint(255 * np.clip(averaged(kernel, SIDE), 0, 1)).astype(np.uint8)[::-1]
    found = contrasts(kernels[block - 1], classes)
    return sheet_bytes(SheetContent(image, {}, {"contrast": found[np.isfinite(found)]}, "samples of this run"))


def averaged(matrix: np.ndarray, side: int) -> np.ndarray:
    """Return a square matrix averaged over squares, so that at most `side` rows are left; a rest is left out."""
    step = -(-len(matrix) // side)
    kept = len(matrix) // step
    squares: np.ndarray = matrix[: kept * step, : kept * step].reshape(kept, step, kept, step).mean(axis=(1, 3))
    return squares


def make_parameters(shown: Shown, options: Mapping[str, Any]) -> bytes:
    """Return the density of all parameters of each block, with the width of the rule of thumb, and their spread."""
    from scipy.stats import gaussian_kde

    blocks: dict[str, list[np.ndarray]] = {}
    for name, parameter in shown.model.backbone.named_parameters():  # type: ignore[union-attr]
        blocks.setdefault(_block(name), []).append(parameter.detach().flatten().double().cpu().numpy())
    values = [np.concatenate(parts) for parts in blocks.values()]
    ends = max(float(np.abs(part).max()) for part in values)
    at = np.linspace(-ends, ends, POINTS)
    lines, numbers = {}, {}
    for number, part in enumerate(values, start=1):
        factor = (4 / (3 * len(part))) ** 0.2  # of the standard deviation
        lines[f"layer {number}"] = (at, gaussian_kde(part, bw_method=factor)(at))
        numbers[f"spread of layer {number}"] = np.array([part.std(ddof=1)])
    return sheet_bytes(SheetContent(lines=lines, numbers=numbers, counted="runs"))


def _block(name: str) -> str:
    """Return the block of a parameter of a backbone: what comes before the first underscore of its layer."""
    layer = name.split(".")[1] if "." in name else name
    return layer.partition("_")[0]


def make_saliency(shown: Shown, options: Mapping[str, Any]) -> bytes:
    """Return images beside what their pixels matter, and the share of the border in that, of each image."""
    x, classes = np.asarray(shown.data.x), np.asarray(shown.data.y)
    first = [int(np.flatnonzero(classes == label)[0]) for label in np.unique(classes)]
    chosen = x[first[: int(options["images"])]]
    device = next(shown.model.parameters()).device
    images = torch.from_numpy(np.array(chosen, dtype=np.float32)).to(device)
    found = guided_gradients(shown.model, shown.estimator.cluster_layer(shown.model), images).cpu().numpy()
    importance = found.sum(axis=1)
    scale = np.abs(importance).max(axis=(1, 2), keepdims=True)
    signed = 0.5 + 0.5 * importance / np.where(scale > 0, scale, 1)
    pictures = np.concatenate([_levels(chosen).mean(axis=1), signed], axis=2)
    grey = np.rint(255 * np.concatenate(list(pictures), axis=0)).astype(np.uint8)
    return sheet_bytes(SheetContent(grey, {}, {"border": border_share(importance)}, "images"))


def border_share(importance: np.ndarray) -> np.ndarray:
    """Return the share of the outer two pixels in the absolute values of maps (n, h, w), of each; 0 of an empty map."""
    size = np.abs(importance)
    whole = size.sum(axis=(1, 2))
    inner = size[:, BORDER:-BORDER, BORDER:-BORDER].sum(axis=(1, 2))
    share: np.ndarray = np.where(whole > 0, 1 - inner / np.where(whole > 0, whole, 1), 0.0)
    return share


def guided_gradients(model: nn.Module, layer: nn.Module, images: Tensor) -> Tensor:
    """Return guided backpropagation (Springenberg et al., 2015) from the largest output of `layer` to the pixels.

    The gradient of every ReLU that is a module of the network is cut at 0; batch normalisation is in inference mode.
    `images` and the result have the shape (n, c, h, w).
    """
    outputs: list[Tensor] = []
    handles = [layer.register_forward_hook(lambda module, given, output: outputs.append(output))]
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            handles.append(module.register_full_backward_hook(lambda _, before, after: (before[0].clamp_min(0),)))
    pixels = images.detach().clone().requires_grad_()
    try:
        with torch.enable_grad():
            model.eval()(pixels)
            (gradient,) = torch.autograd.grad(outputs[-1].max(dim=1).values.sum(), pixels)
    finally:
        for handle in handles:
            handle.remove()
    return gradient
