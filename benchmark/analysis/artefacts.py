"""Artefacts of stored runs: where their files lie, and how they are read. What makes them is `benchmark.repeat`."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.figures.declared import Floats, embedding_name
from benchmark.registry import Artefact, register_artefact
from benchmark.session import Session


@dataclass(frozen=True)
class Embedded:
    """An embedding as stored: points (n, 2), the class and cluster of each (n,), and the epoch where one was asked."""

    points: Floats
    classes: npt.NDArray[np.int64]
    clusters: npt.NDArray[np.int64]
    epoch: int | None


def _read_embedding(data: bytes) -> Embedded:
    rows = list(csv.DictReader(data.decode("utf-8").splitlines()))
    return Embedded(
        np.asarray([[float(row["x"]), float(row["y"])] for row in rows]),
        np.asarray([int(row["class"]) for row in rows], dtype=np.int64),
        np.asarray([int(row["cluster"]) for row in rows], dtype=np.int64),
        int(rows[0]["epoch"]) if "epoch" in rows[0] else None,
    )


EMBEDDING = register_artefact(
    Artefact(
        "embedding",
        "a layer's outputs of the best run, projected to the plane by pca, tsne or umap",
        "embeddings",
        lambda run_id, options, epoch: embedding_name(run_id, options["tap"], options["projection"], epoch),
        _read_embedding,
        "benchmark.repeat.embedding:make_embedding",
        "embed",
    )
)


def artefact_file(
    root: Path, paper: str, artefact: Artefact, run_id: str, options: Mapping[str, Any], epoch: int | None
) -> Path:
    """Return the file of an artefact below a folder of tracked results."""
    return root / paper / artefact.folder / artefact.file(run_id, options, epoch)


def read_artefact(
    session: Session, paper: str, artefact: Artefact, run_id: str, options: Mapping[str, Any], epoch: int | None = None
) -> Any:
    """Return what is stored of an artefact, in the results folder or shipped, as its reader gives it; None without."""
    for root in (session.results / "stored", session.store.shipped):
        file = artefact_file(root, paper, artefact, run_id, options, epoch)
        if file.is_file():
            return artefact.read(file.read_bytes())
    return None


def artefact_command(artefact: Artefact, where: str, options: Mapping[str, Any], epochs: Sequence[int]) -> str:
    """Return the command that makes an artefact of the cell `where` ("PAPER/TABLE METHOD DATASET --profile NAME")."""
    given = "".join(f" --{name} {value}" for name, value in options.items() if value is not None)
    return f"python -m benchmark {artefact.command} {where}{given}" + "".join(f" --epoch {epoch}" for epoch in epochs)
