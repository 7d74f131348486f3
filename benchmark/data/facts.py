"""What there is to say about a data set: declared facts of its source, and statistics of what was loaded."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmark.registry import DataSource, LoadedData

MOST = 10_000
"""Samples that the statistics of values are taken over."""


def facts(source: DataSource) -> dict[str, Any]:
    """Return what a source declares, by the name that people see."""
    recipes: dict[str, tuple[str, ...]] = getattr(source, "recipes", {})
    urls = [url for file in getattr(source, "files", ()) for url in file.urls[:1]]
    shown = {
        "name": source.name,
        "title": source.title,
        "samples": source.n_samples,
        "shape": "x".join(map(str, source.shape)),
        "kind": kind(source),
        "classes": source.n_clusters,
        "digest": source.digest,
        "licence": source.licence,
        "citation": source.citation,
        "stand_in_for": source.stand_in_for or "",
        "note": getattr(source, "note", ""),
        "files": [file.name for file in getattr(source, "files", ())],
        "from": urls,
        "preprocessing": [f"{who}: {', '.join(steps) or 'none'}" for who, steps in recipes.items()],
    }
    return {key: value for key, value in shown.items() if value not in ("", [])}


def kind(source: DataSource) -> str:
    """Return what the samples of a source are, by their shape."""
    return {1: "vectors", 2: "sequences", 3: "images"}.get(len(source.shape), "arrays")


def statistics(data: LoadedData, source: DataSource) -> dict[str, Any]:
    """Return statistics of a loaded data set: those of values over a uniform subset of at most `MOST` samples."""
    sample = data.prepare((), MOST)
    x = sample.x
    counts = np.bincount(data.y, minlength=data.n_clusters)
    names = getattr(source, "class_names", ()) or range(data.n_clusters)
    mean, sd = x.mean(dtype=np.float64), x.std(dtype=np.float64)
    shown: dict[str, Any] = {
        "values": f"{x.min():.4g} to {x.max():.4g}, mean {mean:.4g}, sd {sd:.4g}",
        "zeros": f"{100 * float((x == 0).mean()):.1f} %",
        "of": f"{len(x)} samples" + (", drawn uniformly" if len(x) < len(data.y) else ""),
    }
    lengths = getattr(data, "lengths", None)
    if lengths is not None:
        shown["steps"] = f"{lengths.min()} to {lengths.max()}, median {np.median(lengths):g}"
    shown["per_class"] = [f"{name}: {count}" for name, count in zip(names, counts, strict=True)]
    return shown
