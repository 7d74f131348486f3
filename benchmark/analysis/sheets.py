"""Pictures that runs leave beside their records: how they are stored, and the artefacts that are such pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.figures.declared import Floats
from benchmark.registry import Artefact, register_artefact

LINE, NUMBER = "line/", "number/"


@dataclass(frozen=True)
class SheetContent:
    """What is stored of a picture: pixels, lines (x, y) by name, numbers (m,) by name, and what these count."""

    image: npt.NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.uint8))
    lines: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    numbers: Mapping[str, Floats] = field(default_factory=dict)
    counted: str = "samples"


def sheet_bytes(content: SheetContent) -> bytes:
    """Return a picture as the bytes of an npz file without pickles; equal pictures give equal bytes."""
    arrays: dict[str, Any] = {"image": content.image, "counted": np.array(content.counted)}
    arrays |= {f"{LINE}{name}": np.stack(line).astype(np.float32) for name, line in content.lines.items()}
    arrays |= {f"{NUMBER}{name}": np.asarray(values, np.float32) for name, values in content.numbers.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def read_sheet(data: bytes) -> SheetContent:
    """Return what `sheet_bytes` stored."""
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        lines = {name.removeprefix(LINE): held[name].astype(float) for name in held.files if name.startswith(LINE)}
        numbers = {n.removeprefix(NUMBER): held[n].astype(float) for n in held.files if n.startswith(NUMBER)}
        pairs = {name: (line[0], line[1]) for name, line in lines.items()}
        return SheetContent(held["image"], pairs, numbers, str(held["counted"]))


def _file(run_id: str, options: Mapping[str, Any], epoch: int | None) -> str:
    named = "".join(f"-{options[name]}" for name in sorted(options))
    return f"{run_id}{named}" + ("" if epoch is None else f"-epoch{epoch}") + ".npz"


def _sheet(name: str, about: str, module: str = "sheets") -> Artefact:
    maker = f"benchmark.repeat.{module}:make_{name}"
    return register_artefact(Artefact(name, about, name, _file, read_sheet, maker, f"picture {name}"))


MEMBERS = _sheet("members", "random members of some clusters of the best run, one cluster a row")
KERNELS = _sheet("kernels", "the kernel matrix of a block on samples sorted by class, and how its classes contrast")
PARAMETERS = _sheet("parameters", "kernel density estimates of the parameters of each block")
SALIENCY = _sheet("saliency", "guided backpropagation from the assigned cluster to the pixels")
CONFIDENT = _sheet("confident", "the members that a run is surest of, one cluster a row", "cluster_sheets")
OUTPUTS = _sheet("outputs", "samples above what the auto-encoder makes of them", "cluster_sheets")
