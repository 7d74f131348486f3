"""Scores of run folders are computed again from their assignments, by a library's formula here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import normalized_mutual_info_score

from benchmark.plan.cells import plan_cells
from benchmark.plan.request import Request
from benchmark.record import RunRecord
from benchmark.registry import load_plugins
from benchmark.repeat.scores import scored_again
from benchmark.session import Session
from benchmark.store import Store

load_plugins()
pytestmark = pytest.mark.usefixtures("nothing_shipped")


def record(**changes: object) -> tuple[RunRecord, np.ndarray]:
    """A run whose assignments are the classes, but that all eights are called nines, of which there are more."""
    (cell,) = plan_cells(Request(tables=("tkuco2024/table2",), methods=("k-means",), runs=1))
    y = load_digits().target
    labels = np.where(y == 8, 9, y)
    metrics = {"acc": float(np.mean(labels == y)), "nmi": float(normalized_mutual_info_score(y, labels))}
    values = {"status": "ok", "loss": 1.0, "metrics": metrics, "n_samples": len(y)} | changes
    spec = cell.specs[0].model_copy(update={"data": cell.specs[0].data.model_copy(update={"samples": None})})
    return RunRecord(run_id=spec.run_id, spec=spec, **values), labels


def test_scores_that_the_assignments_give_are_right(tmp_path: Path) -> None:
    Store(tmp_path).save(*record())
    found = scored_again(Session(tmp_path))
    assert (found.runs, found.wrong, found.left) == (1, (), ())


@pytest.mark.parametrize("name", ["acc", "nmi"])
def test_scores_that_the_assignments_do_not_give_are_found(tmp_path: Path, call, name: str) -> None:
    right, labels = record()
    Store(tmp_path).save(right.model_copy(update={"metrics": right.metrics | {name: 0.95}}), labels)
    (said,) = scored_again(Session(tmp_path)).wrong
    assert f"{name} is 0.95, but its assignments give 0." in said and right.run_id in said
    code, out, error = call("results", "verify", "--results", tmp_path)
    assert code == 1 and said in error and "1 problems; 1 runs scored again from their assignments" in out


def test_assignments_of_other_samples_are_found(tmp_path: Path) -> None:
    right, labels = record(n_samples=1000)
    Store(tmp_path).save(right, labels[:1000])
    (said,) = scored_again(Session(tmp_path)).wrong
    assert "assignments of 1000 samples" in said and "the data have 1797" in said


def test_what_cannot_be_scored_is_told(tmp_path: Path) -> None:
    right, labels = record()
    data = right.spec.data.model_copy(update={"name": "usps", "digest": "0" * 64})
    spec = right.spec.model_copy(update={"data": data})
    Store(tmp_path).save(right.model_copy(update={"spec": spec, "run_id": spec.run_id}), labels)
    found = scored_again(Session(tmp_path, data_dir=tmp_path / "no-data"))
    assert found.runs == 0 and found.wrong == () and len(found.left) == 1
