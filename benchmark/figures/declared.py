"""What a figure of a paper is: drawn from stored numbers only, as ``paper_tables/<id>/figures.toml`` declares it.

Drawings of ideas are Python, in ``figures.py`` beside it, which lists them as ``FIGURES``, a tuple of `Figure`. Each
figure has a function that takes `Numbers` (what is stored) and returns a `Drawing`, or raises `NoNumbers` with the
command that would make what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from benchmark.errors import UserError
from benchmark.measure.statements import Answer

if TYPE_CHECKING:
    import matplotlib.figure

Floats = npt.NDArray[np.float64]


class NoNumbers(UserError):
    """What a figure needs is not stored; the message says why, and how to make it.

    `near` says that runs are stored and only something beside them is missing.
    """

    def __init__(self, message: str, *, near: bool = False) -> None:
        super().__init__(message)
        self.near = near


@dataclass(frozen=True)
class Trace:
    """The last phase of one run: `epochs` and `steps` (t,), and by name what was recorded then.

    Values are (t,) floats, NaN where absent.
    Names are "total", the loss terms as "term:NAME", the metrics as the record has them ("acc"), and what observers
    recorded ("gram:A,B"). `selected` marks the run with the lowest loss of its cell.
    """

    run_id: str
    replicate: int
    loss: float
    selected: bool
    epochs: Floats
    steps: Floats
    values: Mapping[str, Floats]


@dataclass(frozen=True)
class CellTraces:
    """The runs of one method on one data set; `planned` counts the runs that the profile asks for."""

    method: str
    label: str
    dataset: str
    dataset_label: str
    reading: str
    planned: int
    traces: tuple[Trace, ...]

    @property
    def best(self) -> Trace:
        """The run with the lowest loss."""
        return next(trace for trace in self.traces if trace.selected)

    def stacked(self, name: str) -> tuple[Floats, Floats]:
        """Return the epochs (t,) that all runs share and the values of `name` there, (runs, t)."""
        shared = sorted(set.intersection(*(set(trace.epochs.tolist()) for trace in self.traces)))
        rows = []
        for trace in self.traces:
            at = dict(zip(trace.epochs.tolist(), trace.values[name].tolist(), strict=True))
            rows.append([at[epoch] for epoch in shared])
        return np.asarray(shared), np.asarray(rows)


@dataclass(frozen=True)
class Scores:
    """The final metrics of one cell of a table that varies settings: by name, for each run that succeeded, (runs,).

    `setting` maps the names of the table's axes to the labels of this cell's values; `replicates` are the indices of
    the runs.
    """

    method: str
    label: str
    dataset_label: str
    reading: str
    planned: int
    setting: Mapping[str, str]
    values: Mapping[str, Floats]
    replicates: tuple[int, ...] = ()


@dataclass(frozen=True)
class Embedding:
    """Points (n, 2) of one run's representation, with the class and the cluster of each, (n,) integers.

    `epoch` is when in the last phase it was taken, None for the end.
    """

    method: str
    label: str
    dataset_label: str
    run_id: str
    points: Floats
    classes: npt.NDArray[np.int64]
    clusters: npt.NDArray[np.int64]
    note: str = ""
    epoch: int | None = None


@dataclass(frozen=True)
class ShownImages:
    """Images (n, channels, height, width) in [0, 1] of a data set as loaded, and the class (n,) of each."""

    label: str
    images: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sheet:
    """A picture that the best run of a cell left: grey or coloured pixels, or lines (x, y) by name.

    `numbers` are what the artefact measured beside it, each an array (m,) of what `counted` says. `key` names the
    method, with its epoch or setting where there are several.
    """

    method: str
    key: str
    title: str
    dataset_label: str
    run_id: str
    note: str
    image: npt.NDArray[Any]
    lines: Mapping[str, tuple[Floats, Floats]]
    numbers: Mapping[str, Floats]
    counted: str


def embedding_name(run_id: str, tap: str, projection: str, epoch: int | None = None) -> str:
    """Return the name of the file that holds an embedding: of the end of a run, or of an epoch of its last phase."""
    return f"{run_id}-{tap}-{projection}" + ("" if epoch is None else f"-epoch{epoch}") + ".csv"


class Numbers(Protocol):
    """What is stored, for one profile and reading. Every method raises `NoNumbers` where nothing is."""

    @property
    def profile(self) -> str:
        """The profile that the numbers are of."""
        ...

    def traces(
        self, table: str, methods: Sequence[str], dataset: str, needs: Sequence[str] = ()
    ) -> tuple[CellTraces, ...]:
        """Return the runs of `methods` (rows of `table`) on `dataset`, or on the profile's stand-in for it.

        `needs` are prefixes of names, each of which every history must have ("gram:"). Methods without runs are left
        out; without any, `NoNumbers`.
        """
        ...

    def rows(self, file: str) -> tuple[dict[str, str], ...]:
        """Return the rows of a CSV `file` beside figures.toml, or below results/stored/<folder of the figure>/."""
        ...

    def scores(self, table: str, methods: Sequence[str], dataset: str) -> tuple[Scores, ...]:
        """Return what is stored of every setting of a table, on `dataset` or the profile's stand-in for it."""
        ...

    def parameters(self, table: str, method: str, dataset: str) -> Mapping[str, Any]:
        """Return the parameters that a row of a table runs with; nothing need be stored."""
        ...

    def layers(self, network: str) -> tuple[tuple[str, int], ...]:
        """Return name and width of every layer of a registered network, as declared."""
        ...

    def samples(self, column: str) -> ShownImages:
        """Return the images of a column of the paper, as loaded; NoNumbers, with the command, without them."""
        ...

    def sheets(
        self,
        artefact: str,
        table: str,
        methods: Sequence[str],
        dataset: str,
        options: Mapping[str, Any],
        epochs: Sequence[int] = (),
        *,
        every_setting: bool = False,
    ) -> tuple[Sheet, ...]:
        """Return pictures that the best runs left as an artefact, of each setting of the table if asked."""
        ...

    def embeddings(
        self,
        table: str,
        methods: Sequence[str],
        dataset: str,
        tap: str,
        projection: str,
        epochs: Sequence[int] = (),
        samples: int | None = None,
    ) -> tuple[Embedding, ...]:
        """Return stored embeddings of the best runs at the layer `tap`, made by `projection` ("tsne", "umap").

        With `epochs`, those of each of these epochs of the last phase, as far as they are stored. `samples` is how many
        the command for those that are missing asks for.
        """
        ...


@dataclass(frozen=True)
class Drawing:
    """A drawn figure; `finding` says what ours shows beside the published message, `facts` what it is made of.

    `answers` are the sentences of the message, each with what our numbers say of it.
    """

    figure: matplotlib.figure.Figure
    finding: str = ""
    facts: tuple[str, ...] = ()
    answers: tuple[tuple[str, Answer], ...] = ()


@dataclass(frozen=True)
class Figure:
    """A figure as declared: `published` is its name in the paper, "" for one of ours; `message` what theirs shows.

    `alt` describes the picture to those who cannot see it.
    """

    id: str
    title: str
    draw: Callable[[Numbers], Drawing]
    alt: str
    published: str = ""
    message: str = ""


def facts_of(cells: Sequence[CellTraces], profile: str) -> tuple[str, ...]:
    """State profile, reading, data set and runs of what a figure shows."""
    readings = " and ".join(dict.fromkeys(cell.reading for cell in cells))
    data = ", ".join(dict.fromkeys(cell.dataset_label for cell in cells))
    runs = ", ".join(f"{cell.label} {len(cell.traces)}/{cell.planned}" for cell in cells)
    return (f"profile {profile}", f"reading {readings}", f"data {data}", f"runs {runs}")


def facts_of_embeddings(found: Sequence[Embedding], profile: str) -> tuple[str, ...]:
    """State profile, and for each embedding its data set, run, number of points and projection."""
    shown = (f"{e.label}: {e.dataset_label}, run {e.run_id}, {len(e.points)} samples, {e.note}" for e in found)
    return (f"profile {profile}", *shown)


def facts_of_scores(cells: Sequence[Scores], profile: str) -> tuple[str, ...]:
    """State profile, reading, data set, settings and runs of what a sweep shows."""
    runs = sorted({f"{len(cell.replicates)}/{cell.planned}" for cell in cells})
    readings = " and ".join(sorted({cell.reading for cell in cells}))
    data = ", ".join(sorted({cell.dataset_label for cell in cells}))
    shown = f"settings {len(cells)}"
    return (f"profile {profile}", f"reading {readings}", f"data {data}", shown, f"runs {', '.join(runs)} for each")


def left_out(methods: Sequence[str], found: Sequence[CellTraces | Embedding]) -> tuple[str, ...]:
    """State which of the methods that were asked for nothing is stored of."""
    missing = [method for method in methods if method not in {shown.method for shown in found}]
    return (f"nothing stored of {', '.join(missing)}",) if missing else ()
