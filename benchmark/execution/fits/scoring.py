"""The scorer of a run: it holds the labels, and compares with them what the side that trains shows.

The labels are in a thread that loads them and never gives them away: no attribute, no observer and no frame of the
training path leads there. A plug-in trains in another process altogether (`apart`). What is scored flows nowhere before
the fit has ended.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from benchmark.execution.fits.sealing import opened, sealed
from benchmark.measure.metrics import evaluate_clustering
from benchmark.record import Evaluation
from benchmark.registry import METHODS, LoadedData
from benchmark.spec import RunSpec
from benchmark.training.phases import Snapshot


@dataclass(frozen=True)
class Shown:
    """An evaluation as the side that trains shows it: the plain values of a snapshot, and what it measured itself.

    `assignments` (n,) are None in a phase without clusters. `model` is a copy of the network, for measures that need
    the labels too.
    """

    phase: str
    step: int
    epoch: int
    total: float
    terms: Mapping[str, float]
    assignments: np.ndarray | None
    measured: Mapping[str, float] = field(default_factory=dict)
    model: Any = None


LabelledMeasure = Callable[[Shown, LoadedData], Mapping[str, float]]
"""Called with what was shown and the data, labels included; only the record gets what it returns."""


def labelled_measure(spec: RunSpec, observers: Sequence[Callable[..., Mapping[str, float]]]) -> LabelledMeasure:
    """Return a measure that calls observers with a method of its own, not the one that trains."""

    def measure(shown: Shown, data: LoadedData) -> dict[str, float]:
        estimator = METHODS[spec.method](**spec.params)
        plain = (shown.phase, shown.step, shown.epoch, shown.total, shown.terms)
        found: dict[str, float] = {}
        for observer in observers:
            found |= observer(Snapshot(*plain, shown.assignments, lambda: shown.model), estimator, data)
        return found

    return measure


@dataclass(frozen=True)
class Scores:
    """The history of a run, and the metrics of its final assignments."""

    history: tuple[Evaluation, ...]
    metrics: Mapping[str, float]


class Scorer:
    """Loads the data of a run by `load`, gives away samples, and scores what it is shown; a context.

    The samples are `x` (n, ...), and of sequences their `lengths` (n,), else None.

    Raises what `load` raises when it is entered.
    """

    def __init__(self, load: Callable[[], LoadedData], measure: LabelledMeasure | None = None) -> None:
        self._asked: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        arguments = (self._asked, self._answers, load, measure, torch.get_num_threads())
        self._thread = threading.Thread(target=_serve, args=arguments, name="scorer", daemon=True)

    def __enter__(self) -> Scorer:
        """Load the data."""
        self._thread.start()
        del self._thread  # a thread that runs keeps what it was given to itself
        self.x, self.lengths, self.name, self.n_clusters, self.digest = self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        """Let the labels go."""
        self._asked.put(None)

    def show(self, shown: Shown) -> None:
        """Score an evaluation; raises what a measure of it raises."""
        self._ask("show", shown)

    def seal(self) -> str:
        """Return the history so far, readable for those only who have the labels."""
        text: str = self._ask("seal")
        return text

    def unseal(self, text: str) -> None:
        """Go on from the history that `seal` returned; ValueError where it is none of this data."""
        self._ask("unseal", text)

    def scores(self, labels: np.ndarray | None) -> Scores:
        """Return the history, and the metrics of the final assignments (n,), where a run has any."""
        found: Scores = self._ask("scores", labels)
        return found

    def _ask(self, what: str, *arguments: Any) -> Any:
        self._asked.put((what, arguments))
        return self._answer()

    def _answer(self) -> Any:
        value, error = self._answers.get()
        if error is not None:
            raise error
        return value


class _Desk:
    """What the scorer does, beside the labels."""

    def __init__(self, data: LoadedData, measure: LabelledMeasure | None) -> None:
        self.data, self.measure = data, measure
        self.history: list[Evaluation] = []

    def show(self, shown: Shown) -> None:
        labels = shown.assignments
        metrics = {} if labels is None else evaluate_clustering(self.data.y, labels)
        found = self.measure(shown, self.data) if self.measure and shown.model is not None else {}
        row = Evaluation(
            phase=shown.phase,
            step=shown.step,
            epoch=shown.epoch,
            total=shown.total,
            terms=dict(shown.terms),
            metrics={**metrics, **shown.measured, **found},
            clusters=0 if labels is None else len(np.unique(labels)),
        )
        self.history.append(row)

    def seal(self) -> str:
        return sealed([row.model_dump() for row in self.history], self.data.y)

    def unseal(self, text: str) -> None:
        self.history = [Evaluation.model_validate(row) for row in opened(text, self.data.y)]

    def scores(self, labels: np.ndarray | None) -> Scores:
        return Scores(tuple(self.history), {} if labels is None else evaluate_clustering(self.data.y, labels))


def _serve(
    asked: queue.SimpleQueue[Any],
    answers: queue.SimpleQueue[Any],
    load: Callable[[], LoadedData],
    measure: LabelledMeasure | None,
    threads: int,
) -> None:
    """Answer until told to end."""
    torch.set_num_threads(threads)  # which each thread has for itself
    try:
        data = load()
        desk = _Desk(data, measure)
        answers.put(((data.x, getattr(data, "lengths", None), data.name, data.n_clusters, data.digest), None))
    except BaseException as error:
        answers.put((None, error))
        return
    while (request := asked.get()) is not None:
        what, arguments = request
        try:
            answers.put((getattr(desk, what)(*arguments), None))
        except BaseException as error:
            answers.put((None, error))
