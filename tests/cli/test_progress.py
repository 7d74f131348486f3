"""How long a command says that it still takes: also of runs that go on from checkpoints."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.cli import progress
from benchmark.cli.progress import Clock
from benchmark.cli.running import with_kept
from benchmark.execution.checkpoints import checkpoint_folder, steps_kept
from benchmark.plan.estimate import budget_steps
from benchmark.plan.runs import Plan, PlannedRun
from benchmark.registry import METHODS, load_plugins
from benchmark.session import Session
from tests.execution.test_resume import attempt, spec
from tests.support.wavering import Wavering

load_plugins()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the time, to be set."""
    time = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: time[0])
    return time


def clock_of(*runs: str, seconds: float | None = None) -> Clock:
    planned: Any = [PlannedRun(spec().model_copy(update={"method": run}), SimpleNamespace(), seconds) for run in runs]
    clock = Clock(planned, 1)
    clock.open = dict(zip(runs, planned, strict=True))
    return clock


def record(seconds: float, status: str = "ok") -> Any:
    return SimpleNamespace(seconds=seconds, status=status)


def test_the_time_left_of_a_run_that_goes_on_is_by_the_pace_of_the_steps_made_here(now):
    clock = clock_of("a", seconds=600.0)
    clock.started_now("a")
    now[0] += 5
    clock.reached("a", 0.5)
    assert clock.seconds_left() == 600.0  # no pace yet: what the plan said of it
    now[0] += 30
    clock.reached("a", 0.6)
    assert clock.seconds_left() == pytest.approx(120.0)  # a tenth in 30 s, four are left


def test_the_time_left_of_a_run_from_its_start_and_in_its_next_phase(now):
    clock = clock_of("a")
    clock.started_now("a")
    assert clock.seconds_left() is None
    clock.reached("a", 0.0)
    now[0] += 10
    clock.reached("a", 0.25)
    assert clock.seconds_left() == pytest.approx(30.0)
    now[0] += 30
    clock.reached("a", 1.0)
    clock.reached("a", 0.1)
    now[0] += 8
    clock.reached("a", 0.2)
    assert clock.seconds_left() == pytest.approx(64.0)


def test_a_run_that_is_begun_anew_starts_its_pace_anew(now):
    clock = clock_of("a")
    clock.started_now("a")
    clock.reached("a", 0.8)
    clock.started_now("a")
    clock.reached("a", 0.0)
    now[0] += 10
    clock.reached("a", 0.1)
    assert clock.seconds_left() == pytest.approx(90.0)


def test_others_are_estimated_from_the_whole_time_of_a_run_that_went_on(now):
    clock = clock_of("a", "b")
    clock.open["b"] = clock.open["a"]
    clock.started_now("a")
    now[0] += 3
    clock.finished("a", record(240.0))
    assert clock.seconds_left() == 240.0


def test_a_run_that_failed_says_nothing_of_the_time_of_others(now):
    clock = clock_of("a", "b", seconds=50.0)
    clock.open["b"] = clock.open["a"]
    clock.started_now("a")
    clock.finished("a", record(1.0, "failed"))
    assert clock.seconds_left() == 50.0


def test_a_plan_takes_less_by_what_checkpoints_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(METHODS._entries, "wavering", Wavering)
    run = spec()
    assert attempt(run, tmp_path, 3) is None  # stopped after three steps
    assert steps_kept(tmp_path, run.run_id) == 3
    total = budget_steps(run, run.data.samples)
    others = [PlannedRun(spec().model_copy(update={"replicate": 7}), SimpleNamespace(), s) for s in (600.0, None)]
    plan = Plan((PlannedRun(run, SimpleNamespace(), 600.0), PlannedRun(run, SimpleNamespace()), *others))
    left = [600.0 * (1 - 3 / total), None, 600.0, None]
    assert total > 3
    assert [r.seconds for r in with_kept(plan, Session(tmp_path)).runs] == left
    assert with_kept(plan, Session(tmp_path / "another")) is plan


def test_steps_are_counted_over_phases_and_no_file_is_counted_twice(tmp_path: Path):
    folder = checkpoint_folder(tmp_path, "a")
    folder.mkdir(parents=True)
    assert steps_kept(tmp_path, "a") == steps_kept(tmp_path, "b") == 0
    for name in ("00-000000040-end", "01-000000003-within", "01-000000007-within"):
        (folder / f"{name}.0123456789abcdef.safetensors").write_bytes(b"")
    (folder / "notes.txt").write_text("")
    assert steps_kept(tmp_path, "a") == 47
