"""Simulated GPUs that make the runs of an agenda: how long they are idle, with runs of mixed cost and with failures."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmark.execution.agenda import Agenda
from benchmark.execution.events import Finished, Job, Place
from benchmark.papers.protocol import PROFILES, READINGS
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.plan.runs import Plan, PlannedRun, plan_runs
from benchmark.record import Context
from benchmark.registry import load_plugins

HOUR = 3600.0


class MemoryClaims:
    """Claims of a process that is alone in the world."""

    def take(self, run: str) -> bool:
        """Grant every claim."""
        return True

    def give_back(self, run: str) -> None:
        """Forget it."""


@dataclass(frozen=True)
class Simulated:
    """What came of a simulation: seconds of simulated time, and how the GPUs spent them.

    `idle` is the share of GPU time without a run until the last wave: while there are runs enough to fill all GPUs.
    `idle_to_last` is that share until the last run was begun for the first time, when children wait for long parents.
    """

    seconds: float
    idle: float
    idle_to_last: float
    order: tuple[str, ...]
    failures: int
    given_up: int


def family(runs: Sequence[PlannedRun], children: int = 5, share: float = 0.3) -> list[Job]:
    """Return jobs for planned runs, of which a `share` start from a pre-training run that comes before them."""
    jobs: list[Job] = []
    period = round((children + 1) / share)
    for number, run in enumerate(runs):
        place = number % period
        parents = (runs[number - place].spec.run_id,) if 1 <= place <= children else ()
        jobs.append(Job(run.spec, Context(), parents=parents))
    return jobs


def costs(number: int, seed: int = 0) -> np.ndarray:
    """Return seconds of runs, from half a minute to ten hours, most of them short."""
    drawn = np.random.default_rng(seed).lognormal(np.log(600.0), 1.5, number)
    return np.clip(drawn, 30.0, 10 * HOUR)


def simulate(jobs: Sequence[Job], seconds: np.ndarray, gpus: int, failing: float, folder: Path) -> Simulated:
    """Make `jobs` that take `seconds` on `gpus`, where an attempt fails with the probability `failing`, midway."""
    chance = np.random.default_rng(1)
    agenda = Agenda(jobs, Place(folder), MemoryClaims(), alone=False, attempts=4)  # type: ignore[arg-type]
    cost = {job.run_id: float(s) for job, s in zip(jobs, seconds, strict=True)}
    record: Any = SimpleNamespace(status="ok", peak_mib=0.0)
    running: list[tuple[float, int, Job, bool]] = []
    now = idle = 0.0
    wave = last = (0.0, 0.0)
    order: list[str] = []
    begun: set[str] = set()
    failures = given_up = number = 0
    while agenda.open:
        while len(running) < gpus and (job := agenda.take()):
            number += 1
            run_id = job.run_id
            fails = bool(chance.random() < failing)
            duration = cost[run_id] * (chance.random() if fails else 1.0)
            heapq.heappush(running, (now + duration, number, job, fails))
            order.append(run_id)
            if run_id not in begun:
                begun.add(run_id)
                last = (now, idle)
                wave = last if len(jobs) - len(begun) >= gpus else wave
        given_up += sum(end.record is None for end in agenda.settled())
        if not running:
            continue
        end, _, job, fails = heapq.heappop(running)
        idle += (gpus - len(running) - 1) * (end - now)
        now = end
        if fails:
            failures += 1
            agenda.died(job, "in the simulation")
        else:
            agenda.ended(Finished(job, record))
    shares = [waited / (gpus * until) if until else 0.0 for until, waited in (wave, last)]
    return Simulated(now, *shares, tuple(order), failures, given_up)


def cells_for(runs: int) -> list[PlannedCell]:
    """Return cells of all papers and profiles with so many replicates that they need at least `runs` runs."""
    load_plugins()
    asked = [Request(profile, readings=READINGS) for profile in PROFILES]
    cells = {spec.run_id for request in asked for cell in plan_cells(request) for spec in cell.specs[:1]}
    replicates = -(-runs // len(cells))
    return [cell for r in asked for cell in plan_cells(Request(r.profile, readings=READINGS, runs=replicates))]


def planned(cells: list[PlannedCell]) -> Plan:
    """Return the plan of cells of which no run is stored, where all data can be had."""
    return plan_runs(cells, lambda spec: False, lambda name: "")
