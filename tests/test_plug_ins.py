"""Observers, derived metrics and artefacts of a plug-in: registered like our own, found by name, used by the suite."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.analysis.artefacts import EMBEDDING, artefact_command, read_artefact
from benchmark.analysis.derived import metric_value
from benchmark.analysis.stored_numbers import StoredNumbers
from benchmark.cli.listing import LISTS
from benchmark.errors import UsageError, UserError
from benchmark.execution.events import Job, Place
from benchmark.execution.executors import serial
from benchmark.figures import NoNumbers
from benchmark.measure.mismatch import NotMeasured
from benchmark.papers.protocol import MetricRule
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.registry import (
    ARTEFACTS,
    DERIVED,
    OBSERVERS,
    Artefact,
    DerivedMetric,
    Observer,
    load_plugins,
    register_artefact,
    register_derived,
    register_observer,
)
from benchmark.repeat.artefacts import Shown, make_artefacts
from benchmark.session import Session
from benchmark.store import Store
from benchmark.store.observed import observed, recorded
from tests.support.checkout import ROOT

load_plugins()
torch.set_num_threads(1)
pytestmark = pytest.mark.usefixtures("nothing_shipped", "own_registries")


@pytest.fixture
def own_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    for registry in (OBSERVERS, DERIVED, ARTEFACTS):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))


@pytest.fixture(scope="module")
def cell() -> PlannedCell:
    """One run of two epochs on 240 digits."""
    sets = ("amount=2", "data.samples=240", "evaluate_every=1")
    (found,) = plan_cells(Request(tables=("tkuco2024/table2",), methods=("ddc",), runs=1, sets=sets))
    return found


def largest_cluster(snapshot: Any, estimator: Any, data: Any) -> Mapping[str, float]:
    return {"largest": float(np.bincount(snapshot.assignments).max())}


def make(cell: PlannedCell, results: Path, *record: str) -> Any:
    list(serial([Job(spec, cell.context, record) for spec in cell.specs], Place(results, replace=True)))
    return Store(results).get(cell.specs[0].run_id)


def test_an_observer_of_a_plug_in_records_and_is_missed_where_it_did_not(cell, tmp_path):
    register_observer(Observer("largest", "samples in the largest cluster", ("largest",), largest_cluster))
    without = make(cell, tmp_path / "without")
    record = make(cell, tmp_path / "with", "largest")
    assert all(24 <= e.metrics["largest"] <= 240 for e in record.history)
    assert observed(record) == ("largest",) and recorded(record, "largest")
    assert not recorded(without, "largest")
    assert [e.total for e in record.history] == [e.total for e in without.history]


def test_an_observer_that_leaves_another_name_than_it_declares_is_refused():
    observer = Observer("largest", "", ("big",), largest_cluster)
    with pytest.raises(UserError, match="left 'largest', which begins with none"):
        observer(SimpleNamespace(assignments=np.array([0, 0, 1])), None, None)  # type: ignore[arg-type]


def test_a_derived_metric_of_a_plug_in_is_a_column_of_a_table(cell, tmp_path):
    register_derived(DerivedMetric("gain", "ACC from first to last", lambda r, m: r.history[-1].metrics["acc"] - 0.1))
    rule = MetricRule(column="gain", label="x", published="", scale=100.0)
    record = make(cell, tmp_path)
    assert metric_value(record, rule) == pytest.approx(100 * (record.history[-1].metrics["acc"] - 0.1))
    register_derived(DerivedMetric("nothing", "", lambda r, m: float("nan")))
    with pytest.raises(NotMeasured):
        metric_value(record, MetricRule(column="nothing", label="x", published="", scale=1.0))


def sizes(shown: Shown, options: Mapping[str, Any]) -> bytes:
    counts = np.bincount(shown.clusters, minlength=options["clusters"])
    return ",".join(map(str, counts.tolist())).encode()


def toy() -> Artefact:
    return Artefact(
        "sizes",
        "samples of each cluster",
        "sizes",
        lambda run_id, options, epoch: f"{run_id}-{options['clusters']}-{epoch}.txt",
        lambda data: [int(part) for part in data.split(b",")],
        sizes,
        "sizes",
    )


def test_an_artefact_of_a_plug_in_is_made_of_the_best_run_and_read_by_figures(cell, tmp_path):
    artefact, options = register_artefact(toy()), {"clusters": 10}
    make(cell, tmp_path)
    session = Session(tmp_path)
    run_id = cell.specs[0].run_id
    assert read_artefact(session, "tkuco2024", artefact, run_id, options) is None
    files = make_artefacts(session, cell, ARTEFACTS["sizes"], options)
    files += make_artefacts(session, cell, artefact, options, epochs=(0, 2))
    assert [file.name for file in files] == [f"{run_id}-10-{epoch}.txt" for epoch in (None, 0, 2)]
    assert {file.parent for file in files} == {tmp_path / "stored" / "tkuco2024" / "sizes"}
    for epoch in (None, 0, 2):
        assert sum(read_artefact(session, "tkuco2024", artefact, run_id, options, epoch)) == 240


def test_a_missing_artefact_names_the_command_that_makes_it(tmp_path):
    numbers = StoredNumbers(Session(tmp_path), "tkuco2024", "quick")
    with pytest.raises(
        NoNumbers, match="no sizes artefact is stored in the quick profile: `python -m benchmark sizes tkuco2024"
    ):
        numbers.artefacts(toy(), "table2", ("ddc",), "mnist", {"clusters": 10})
    command = artefact_command(EMBEDDING, "p/t m d", {"tap": "x", "samples": None}, (0, 5))
    assert command == "python -m benchmark embed p/t m d --tap x --epoch 0 --epoch 5"


def test_wrong_names_get_the_nearest_and_a_second_entry_of_one_name_is_refused():
    with pytest.raises(UsageError, match="did you mean 'drift'"):
        OBSERVERS["drfit"]
    with pytest.raises(UsageError, match="did you mean 'embedding'"):
        ARTEFACTS["embeding"]
    with pytest.raises(UsageError, match="two observers are named 'drift'"):
        register_observer(Observer("drift", "another", ("x",), largest_cluster))


@pytest.mark.parametrize("what", ["observers", "derived", "artefacts"])
def test_they_are_listed_with_one_line_each(what):
    lines = LISTS[what]()
    assert lines and all(line["name"] and line["about"] and "\n" not in line["about"] for line in lines)


def test_what_reads_records_knows_them_without_torch():
    code = (
        "import sys, benchmark.store.observed, benchmark.analysis.derived, benchmark.analysis.artefacts\n"
        "from benchmark.registry import ARTEFACTS, DERIVED, OBSERVERS\n"
        "print(*OBSERVERS, len(DERIVED), *ARTEFACTS, *({'torch', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=600)
    observers = ["drift", "features", "kernels", "randomness", "subsets", "validity"]
    assert done.stdout.split() == [*observers, "11", "embedding"], done.stderr
