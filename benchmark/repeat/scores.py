"""The scores of run folders computed again, from the assignments that lie beside them and the classes of the data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmark.data.prepared import prepared_data
from benchmark.errors import UserError
from benchmark.measure.metrics import evaluate_clustering
from benchmark.record import RunRecord
from benchmark.session import Session
from benchmark.spec import DataSpec

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Scored:
    """How many run folders were scored again, one sentence for each that is wrong, and why others were not."""

    runs: int
    wrong: tuple[str, ...]
    left: tuple[str, ...]


def scored_again(session: Session) -> Scored:
    """Compare the scores of all run folders with assignments with those that their assignments give."""
    runs, wrong, left = 0, list[str](), dict[str, None]()
    classes: dict[DataSpec, np.ndarray] = {}
    for run_id, kind in session.store.local():
        record = session.store.get(run_id, kind)
        try:
            labels = session.store.labels(run_id, kind)
            if record is None or labels is None:
                continue
            if record.spec.data not in classes:
                classes[record.spec.data] = np.asarray(prepared_data(record.spec, session.data_dir).y)
        except UserError as error:
            left[str(error)] = None
            continue
        runs += 1
        where = session.store.origin(run_id, kind)
        wrong += [f"{where}: {text}; delete it, and make the run again." for text in _wrong(record, labels, classes)]
    return Scored(runs, tuple(wrong), tuple(left))


def _wrong(record: RunRecord, labels: np.ndarray, classes: dict[DataSpec, np.ndarray]) -> Iterator[str]:
    y = classes[record.spec.data]
    if len(labels) != len(y) or len(y) != record.n_samples:
        yield f"it has assignments of {len(labels)} samples and states {record.n_samples}, but the data have {len(y)}"
        return
    for name, value in evaluate_clustering(y, labels).items():
        stated = record.metrics.get(name)
        if stated is not None and abs(stated - value) > TOLERANCE:
            yield f"{name} is {stated}, but its assignments give {value}"
