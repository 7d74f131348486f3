"""Lineage: a run that starts from the weights of another is planned after it and equals one that needs none."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.execution.events import Finished, Job, Place
from benchmark.execution.executors import processes, serial
from benchmark.execution.jobs import with_parents
from benchmark.plan.cells import PlannedCell
from benchmark.plan.lineage import parent_of
from benchmark.plan.resolve import Resolved
from benchmark.plan.runs import plan_runs
from benchmark.record import Context
from benchmark.registry import DATASETS, METHODS, load_plugins
from benchmark.session import Session
from benchmark.spec import Budget, DataSpec, Protocol, RunSpec
from benchmark.store import Store
from benchmark.store.run_files import MODEL

load_plugins()
torch.set_num_threads(1)


def spec_of(name: str, replicate: int = 0, **params: Any) -> RunSpec:
    method = METHODS[name]
    checked = method.Params(n_clusters=10, pretraining="end-to-end", **params)
    changes = {"batch_size": 60, "budget": Budget(amount=3), "evaluate_every": 1}
    used = method.phases_used(checked)
    phases = {key: method.default_protocol.phases[key].model_copy(update=changes) for key in used}
    data = DataSpec(name="digits", digest=DATASETS["digits"].digest, samples=240, preprocess=("flatten",))
    return RunSpec(
        method=name, params=checked.canonical(), data=data, protocol=Protocol(phases=phases), replicate=replicate
    )


def cell_of(*specs: RunSpec) -> PlannedCell:
    names = ("paper", "table", specs[0].method, "column", "", "paper", "quick", False, 1)
    return PlannedCell(*names, resolved=Resolved(specs[0], ()), runs=len(specs))


def made(jobs: list[Job], place: Path, executor: Any = serial, **options: Any) -> dict[str, Finished]:
    events = executor(jobs, Place(place), **options)
    return {event.job.run_id: event for event in events if isinstance(event, Finished)}


def test_a_parent_has_the_childs_data_replicate_and_what_its_method_knows_of_parameters_and_phases():
    child = spec_of("idec", replicate=4, embedding=7, clustering_weight=0.5)
    parent = parent_of(child)
    assert parent == spec_of("ae-k-means", replicate=4, embedding=7)
    assert parent_of(parent) is None and parent_of(spec_of("dec", 4, embedding=7)) == parent


def test_phases_that_parameters_leave_unused_are_not_those_of_the_parent():
    method = METHODS["dec"]
    params = method.Params(n_clusters=10, pretraining="layer-wise")
    spec = spec_of("dec").model_copy(update={"params": params.canonical(), "protocol": method.default_protocol})
    assert list(parent_of(spec).protocol.phases) == ["layer", "pretrain"]


@pytest.mark.parametrize("name", ["dec", "idec"])
def test_a_run_from_shared_weights_equals_one_that_trains_its_own(name, tmp_path):
    child = spec_of(name)
    shared = made(with_parents([Job(child, Context())]), tmp_path / "shared")
    alone = made([Job(child, Context())], tmp_path / "alone")
    assert list(shared) == [parent_of(child).run_id, child.run_id]
    first, second = shared[child.run_id].record, alone[child.run_id].record
    own = tuple(row for row in second.history if row.phase == "cluster")
    assert first.history == own and len(own) == 4 and len(second.history) > len(own)
    same = ("loss", "final_loss", "losses", "first_losses", "metrics", "epochs", "steps", "status")
    assert all(getattr(first, key) == getattr(second, key) for key in same)
    labels = [Store(tmp_path / place).labels(child.run_id) for place in ("shared", "alone")]
    np.testing.assert_array_equal(*labels)


def test_children_in_other_processes_start_from_the_same_weights(tmp_path):
    jobs = with_parents([Job(spec_of(name), Context()) for name in ("dec", "idec")])
    assert [job.spec.method for job in jobs] == ["ae-k-means", "dec", "idec"]
    apart, together = made(jobs, tmp_path / "a", processes, workers=2), made(jobs, tmp_path / "b")
    assert {k: e.record.metrics for k, e in apart.items()} == {k: e.record.metrics for k, e in together.items()}


def test_the_plan_makes_parents_first_and_once_and_again_where_their_weights_are_gone(tmp_path):
    specs = [spec_of("dec", replicate) for replicate in (0, 1)]
    parents = [parent_of(spec) for spec in specs]
    cells = [cell_of(*specs), cell_of(*(spec_of("idec", r) for r in (0, 1)))]

    def planned() -> list[tuple[str, int, bool]]:
        session = Session(tmp_path, fresh=True)
        plan = plan_runs(cells, session.done, lambda name: "", weights=session.has_weights)
        assert all(run.parents == (parent_of(run.spec).run_id,) for run in plan.runs if run.spec.method != "ae-k-means")
        return [(run.spec.method, run.spec.replicate, run.replace) for run in plan.runs]

    pairs = [("ae-k-means", True), ("dec", False), ("idec", False)]
    assert planned() == [(method, replicate, again) for replicate in (0, 1) for method, again in pairs]
    made([Job(parents[0], Context())], tmp_path)
    assert ("ae-k-means", 0, True) not in planned() and ("ae-k-means", 1, True) in planned()
    (tmp_path / "runs" / parents[0].run_id / MODEL).unlink()
    assert ("ae-k-means", 0, True) in planned()


def test_only_runs_from_which_others_start_keep_their_weights(tmp_path):
    made(with_parents([Job(spec_of("dec"), Context())]), tmp_path)
    kept = {folder.name: (folder / MODEL).exists() for folder in (tmp_path / "runs").iterdir()}
    assert kept == {parent_of(spec_of("dec")).run_id: True, spec_of("dec").run_id: False}


def test_missing_weights_of_a_parent_are_one_sentence_and_leave_no_record(tmp_path):
    jobs = with_parents([Job(spec_of("dec"), Context())])
    made(jobs[:1], tmp_path)
    shutil.rmtree(tmp_path / "runs" / jobs[0].run_id)
    (end,) = made(jobs[1:], tmp_path).values()
    assert end.record is None and "starts from the weights of run" in end.error and "\n" not in end.error
    assert jobs[0].run_id in end.error and not (tmp_path / "runs" / jobs[1].run_id).exists()


@pytest.mark.parametrize("executor", [serial, partial(processes, workers=2)], ids=["serial", "processes"])
def test_runs_whose_pre_training_diverged_are_recorded_as_diverged_and_not_made_again(executor, tmp_path):
    def diverging(name: str) -> RunSpec:
        spec = spec_of(name)
        steep = spec.protocol.phases["pretrain"].optimiser.model_copy(update={"name": "sgd", "lr": 1e12})
        phase = spec.protocol.phases["pretrain"].model_copy(update={"optimiser": steep})
        return spec.model_copy(update={"protocol": Protocol(phases={**spec.protocol.phases, "pretrain": phase})})

    specs = [diverging("dec"), diverging("idec")]
    ends = made(with_parents([Job(spec, Context()) for spec in specs]), tmp_path, executor)
    assert {end.record.status for end in ends.values()} == {"diverged"} and len(ends) == 3
    parent = parent_of(specs[0]).run_id
    assert all(f"run {parent}, which it starts from, diverged" in ends[spec.run_id].record.error for spec in specs)
    session = Session(tmp_path, fresh=True)
    plan = plan_runs([cell_of(spec) for spec in specs], session.done, lambda name: "", weights=session.has_weights)
    assert not plan.runs and plan.stored == 2
    alone = made([Job(specs[0], Context())], tmp_path / "alone")[specs[0].run_id].record
    assert alone.status == "diverged" and alone.loss is None


def test_a_run_that_was_stored_without_weights_is_made_again_with_them(tmp_path):
    parent = parent_of(spec_of("dec"))
    made([Job(parent, Context())], tmp_path)
    (tmp_path / "runs" / parent.run_id / MODEL).unlink()
    made([Job(parent, Context(), replace=True)], tmp_path)
    assert set(Store(tmp_path).state(parent.run_id)) >= {"embed.weight", "expand.bias"}
