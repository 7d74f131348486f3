"""Planning 100 000 runs, and handing them out to 1 to 1000 simulated GPUs that fail now and then."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest

from benchmark.plan.runs import Plan
from tests.support.simulation import cells_for, costs, family, planned, simulate

RUNS = 100_000
FAILING = 0.02


def resident_mib() -> float:
    """Return the peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned(cells_for(RUNS))


def test_plan_of_100_000_runs(benchmark: Any) -> None:
    cells, before = cells_for(RUNS), resident_mib()
    made = benchmark.pedantic(planned, (cells,), rounds=1)
    benchmark.extra_info |= {"mib": resident_mib() - before, "runs": len(made.runs)}
    assert len(made.runs) >= RUNS


@pytest.mark.parametrize("gpus", [1, 10, 100, 1000])
def test_100_000_runs_on_simulated_gpus(benchmark: Any, plan: Plan, tmp_path: Path, gpus: int) -> None:
    jobs = family(plan.runs[:RUNS])
    seconds = costs(len(jobs))
    found = benchmark.pedantic(simulate, (jobs, seconds, gpus, FAILING, tmp_path), rounds=1)
    benchmark.extra_info |= {
        "idle": found.idle,
        "idle_to_last": found.idle_to_last,
        "failures": found.failures,
        "days": found.seconds / 86400,
    }
    assert len(set(found.order)) == RUNS and len(found.order) == RUNS + found.failures
    assert found.idle < 0.05 and found.given_up == 0
