"""Embeddings for figures: the best run made again, a layer's outputs, and a stored file that figures read."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.analysis.stored_numbers import StoredNumbers
from benchmark.errors import UsageError, UserError
from benchmark.execution.events import Job, Place
from benchmark.execution.execute import RunResult, execute
from benchmark.execution.executors import serial
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.registry import load_plugins
from benchmark.repeat.embedding import PROJECTIONS, embed_best, layer_outputs
from benchmark.session import Session
from benchmark.spec import RunSpec, canonical_json
from benchmark.store import Store

load_plugins()
torch.set_num_threads(1)
pytestmark = pytest.mark.usefixtures("nothing_shipped")


@pytest.fixture(scope="module")
def cell() -> PlannedCell:
    """Two runs of uco2021's quick profile, on 240 digits."""
    (found,) = plan_cells(Request(tables=("uco2021/table3",), methods=("ddc",)))
    return found


@pytest.fixture(scope="module")
def results(cell, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    list(serial([Job(spec, cell.context) for spec in cell.specs], Place(folder)))
    return folder


def test_the_best_run_is_embedded_and_a_figure_finds_it(cell, results):
    (file,) = embed_best(Session(results), cell, "block1_pool", "pca")
    losses = {spec.run_id: Store(results).get(spec.run_id).loss for spec in cell.specs}
    assert file.name == f"{min(losses, key=losses.get)}-block1_pool-pca.csv"
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 240
    numbers = StoredNumbers(Session(results), "uco2021", "quick")
    (found,) = numbers.embeddings("table3", ("ddc",), "digits", "block1_pool", "pca")
    assert found.points.shape == (240, 2)
    assert set(found.classes) == set(range(10))
    assert found.run_id in file.name and found.note == "best of 2/2 runs"


def test_the_same_command_writes_the_same_bytes(cell, results):
    (first,) = embed_best(Session(results), cell, "block1_pool", "tsne")
    before = first.read_bytes()
    (second,) = embed_best(Session(results), cell, "block1_pool", "tsne")
    assert second.read_bytes() == before


def test_a_run_that_fails_today_is_said_with_its_reason_and_not_called_another_number(cell, results, monkeypatch):
    def without_its_package(self, *arguments, **options):
        raise UserError("a package is not installed.")

    monkeypatch.setattr("methods.ddc.DDC.phases", without_its_package)
    with pytest.raises(UserError, match=r"cannot be made again here: UserError: a package is not installed\."):
        embed_best(Session(results), cell, "block1_pool", "pca")


def test_the_run_is_made_again_with_one_thread_as_all_runs_are(cell, results, monkeypatch):
    threads = []

    def noting(spec: RunSpec, **options: Any) -> RunResult:
        threads.append(torch.get_num_threads())
        return execute(spec, **options)

    monkeypatch.setattr("benchmark.repeat.artefacts.execute", noting)
    torch.set_num_threads(2)
    try:
        embed_best(Session(results), cell, "block1_pool", "pca")
        assert threads == [1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_a_run_that_no_longer_gives_its_loss_is_refused(cell, results, tmp_path):
    for spec in cell.specs:
        record = Store(results).get(spec.run_id)
        Store(tmp_path).save(record.model_copy(update={"loss": record.loss + 0.1}))
    with pytest.raises(UserError, match=r"but .* is stored: renew it"):
        embed_best(Session(tmp_path), cell, "block1_pool", "pca")


def test_wrong_names_and_missing_runs_are_one_sentence(cell, results, tmp_path):
    with pytest.raises(UsageError, match="did you mean 'tsne'"):
        embed_best(Session(results), cell, "block1_pool", "tsnee")
    with pytest.raises(UsageError, match="did you mean 'block1_pool'"):
        embed_best(Session(results), cell, "block1_pol", "pca")
    with pytest.raises(UserError, match="run it first"):
        embed_best(Session(tmp_path), cell, "block1_pool", "pca")


class Twice:
    """An estimator whose network doubles its input, then adds one."""

    model_ = nn.Sequential()

    def __init__(self) -> None:
        first, second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2)
        for layer in (first, second):
            nn.init.eye_(layer.weight)
        first.weight.data *= 2
        nn.init.ones_(second.bias)
        self.model_ = nn.Sequential()
        self.model_.add_module("first", first)
        self.model_.add_module("second", second)

    def assign(self, model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return model(x)


def test_the_outputs_are_those_of_the_named_layer():
    x = np.arange(6.0).reshape(3, 2)
    twice = Twice()
    np.testing.assert_array_equal(layer_outputs(twice, x, "first", twice.model_), 2 * x)
    np.testing.assert_array_equal(layer_outputs(twice, x, "second", twice.model_), 2 * x + 1)


def test_epochs_are_stored_as_the_run_showed_them_and_a_figure_reads_them(cell, results):
    """The quick run has 5 epochs: epoch 9 is never reached, so its file holds the end of the run and says so."""
    files = embed_best(Session(results), cell, "embedding", "pca", epochs=(0, 3, 9), samples=50)
    assert [file.name.rpartition("-")[2] for file in files] == ["epoch0.csv", "epoch3.csv", "epoch9.csv"]
    numbers = StoredNumbers(Session(results), "uco2021", "quick")
    found = numbers.embeddings("table3", ("ddc",), "digits", "embedding", "pca", (0, 3, 9))
    assert [shown.epoch for shown in found] == [0, 3, 5]
    assert all(shown.points.shape == (50, 2) for shown in found)
    np.testing.assert_array_equal(found[0].classes, found[1].classes)
    assert not np.allclose(found[0].points, found[1].points)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs of each run that is trained from here on."""
    amounts: list[int] = []

    def watched(spec: RunSpec, **arguments: Any) -> RunResult:
        amounts.append(spec.protocol.phases["train"].budget.amount)
        return execute(spec, **arguments)

    monkeypatch.setattr("benchmark.repeat.artefacts.execute", watched)
    return amounts


def test_a_run_is_trained_no_further_than_the_last_epoch_shown(cell, results, trained):
    whole = embed_best(Session(results), cell, "embedding", "pca", epochs=(0, 3, 9), samples=50)
    before = [file.read_bytes() for file in whole[:2]]
    files = embed_best(Session(results), cell, "embedding", "pca", epochs=(0, 3), samples=50)
    assert files == whole[:2] and [file.read_bytes() for file in files] == before
    embed_best(Session(results), cell, "embedding", "pca", epochs=(0,), samples=50)
    assert trained == [5, 3, 1]


def test_a_run_that_begins_otherwise_is_trained_to_its_end_and_refused_where_that_differs_too(
    cell, results, tmp_path, trained
):
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    for spec in cell.specs:
        record = Store(results).get(spec.run_id)
        history = tuple(e.model_copy(update={"total": e.total + 0.1}) for e in record.history)
        other = record.model_copy(update={"history": history})
        Store(begun).save(other)
        Store(ended).save(other.model_copy(update={"loss": record.loss + 0.1}))
    (file,) = embed_best(Session(begun), cell, "embedding", "pca", epochs=(3,), samples=50)
    (same,) = embed_best(Session(results), cell, "embedding", "pca", epochs=(3,), samples=50)
    assert trained == [3, 5, 3] and file.read_bytes() == same.read_bytes()
    with pytest.raises(UserError, match="renew it"):
        embed_best(Session(ended), cell, "embedding", "pca", epochs=(3,), samples=50)


def test_epochs_are_those_of_the_phase_that_came_last_though_stored_rows_sort_their_phases(tmp_path):
    sets = ("data.samples=100", "phases.pretrain.budget.amount=1", "phases.pretrain.evaluate_every=1")
    sets += ("phases.cluster.budget.amount=2",)
    (cell,) = plan_cells(Request(tables=("idec2017/table2",), methods=("dec",), sets=sets, runs=1))
    record = execute(cell.specs[0]).record
    stored = RunSpec.model_validate_json(canonical_json(record.spec))
    assert list(stored.protocol.phases) == ["cluster", "pretrain"]
    Store(tmp_path).save(record.model_copy(update={"spec": stored}))
    (file,) = embed_best(Session(tmp_path), cell, "embedding", "pca", epochs=(1,), samples=40)
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 40 and {row["epoch"] for row in rows} == {"1"}


def test_projections_keep_two_groups_apart():
    x = np.random.default_rng(0).standard_normal((60, 8)) + 20 * np.repeat([0, 1], 30)[:, None]
    for name in ("pca", "tsne"):
        points = PROJECTIONS[name](x)
        first, second = points[:30], points[30:]
        assert np.linalg.norm(first.mean(0) - second.mean(0)) > max(first.std(), second.std())
