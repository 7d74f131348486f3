"""The paper profile of all papers on 1, 8 and 64 GPUs, simulated: how long it takes, and how long GPUs are idle.

``python -m tests.bench.paper_on_gpus`` prints the Markdown table of docs/cluster.md (a quarter of a minute). What a
step costs is a MODEL of one H100 (40 TFLOP/s in convolutions and 45 in matrix products of IEEE float32, 2.4 TB/s, 2 us
for a kernel and 6 us for an operation that Python launches; how many operations a step has was counted) times what the
steps that were measured on one took longer than it says. The order in which runs are handed out is that of the agenda.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from benchmark.execution.events import Job
from benchmark.papers.protocol import READINGS
from benchmark.plan.cells import plan_cells
from benchmark.plan.estimate import budget_steps
from benchmark.plan.request import Request
from benchmark.plan.runs import PlannedRun, plan_runs
from benchmark.record import Context
from benchmark.registry import DATASETS, load_plugins
from benchmark.spec import RunSpec
from tests.support.simulation import HOUR, simulate

STACK = 20
EVALUATIONS = 1.08
"""Evaluations take about 8 % of the work of 50 passes' training."""


@dataclass(frozen=True)
class Step:
    """Milliseconds of one step of one replicate: in a plain loop, captured alone, and in a stack of 20."""

    eager: float
    alone: float
    stacked: float

    def in_stack(self, replicates: int) -> float:
        """Return the milliseconds for each of so many replicates that are captured together.

        >>> round(Step(1.5, 0.76, 0.36).in_stack(20), 6), round(Step(1.5, 0.76, 0.36).in_stack(1), 6)
        (0.36, 0.76)
        """
        shared = (self.alone - self.stacked) * STACK / (STACK - 1)
        return self.alone - shared * (1 - 1 / replicates)

    def __add__(self, other: Step) -> Step:
        """Return the step that does the work of both."""
        return Step(self.eager + other.eager, self.alone + other.alone, self.stacked + other.stacked)

    def __mul__(self, factor: float) -> Step:
        """Return a step with so many times the work."""
        return Step(self.eager * factor, self.alone * factor, self.stacked * factor)


LONGER = Step(8.5, 2.4, 2.1)
"""How many times longer steps took on an H100 than the model says: DDC and DDC-UCO_N, 28x28, which part by a tenth.

Of a plain loop DDC-UCO_T, too. It was a virtual machine whose processor took 50 us to launch an operation.
"""

STEPS = {
    "ddc": Step(1.5, 0.76, 0.36),
    "ddc-ae": Step(1.8, 1.07, 0.65),
    "uco-n": Step(2.4, 1.09, 0.39),
    "uco-t": Step(4.8, 1.92, 0.59),
    "uco-t, tap before the pool": Step(6.4, 3.16, 1.62),
    "ae": Step(0.58, 0.33, 0.23),
}
"""Modelled steps on MNIST, 28x28; the last is the fully connected auto-encoder of DEC."""

LARGER = {
    ("ddc", 32): Step(0.0, 0.11, 0.15),
    ("uco-t", 32): Step(0.0, 0.16, 0.25),
    ("ddc", 64): Step(1.2, 1.94, 1.94),
    ("uco-t", 64): Step(2.2, 4.18, 3.91),
}
"""What images of 32x32 and 64x64 cost more; those of 128x128 are taken for four times those of 64x64."""


def step_of(spec: RunSpec) -> Step:
    """Return what a step of a run costs in the model; methods that it does not know cost what the nearest one costs."""
    network, method = str(spec.params.get("network", "")), spec.method
    if not network.startswith("cnn"):
        return STEPS["ae"] * (2 if method in ("acai", "dynae", "dc-star", "dec-star", "idec-star") else 1)
    taps = tuple(spec.params.get("taps", ()))
    tensor = "uco-t" in method or method.startswith("dtkc")
    found = STEPS["ddc"]
    if tensor:
        found = STEPS["uco-t, tap before the pool" if "block1_conv2" in taps else "uco-t"]
    elif "uco-n" in method:
        found = STEPS["uco-n"]
    if method == "ddc-ae" or method.startswith(("dcec", "dec-conv", "ae-")):
        found = found + STEPS["ddc-ae"] + STEPS["ddc"] * -1
    return found + _larger("uco-t" if tensor else "ddc", side(spec))


def side(spec: RunSpec) -> int:
    """Return the height of the images of a run."""
    resized = [step.partition(":")[2] for step in spec.data.preprocess if step.startswith("resize:")]
    return int(resized[0].partition("x")[0]) if resized else int(DATASETS[spec.data.name].shape[-2])


def _larger(kind: str, height: int) -> Step:
    if height <= 28:
        return Step(0.0, 0.0, 0.0)
    if height <= 32:
        return LARGER[kind, 32]
    return LARGER[kind, 64] * (1 if height <= 64 else 4)


@dataclass(frozen=True)
class Stack:
    """Replicates of one specification that train side by side, as one task; `runs` are theirs in order."""

    runs: tuple[PlannedRun, ...]

    @property
    def run_id(self) -> str:
        """The name of the task: the id of its first run."""
        return self.runs[0].spec.run_id

    def seconds(self, eager: bool = False) -> float:
        """Return how long the stack takes in the model; `eager` is each run alone, in a loop that Python launches."""
        spec, cost = self.runs[0].spec, step_of(self.runs[0].spec)
        steps = budget_steps(spec, spec.data.samples or DATASETS[spec.data.name].n_samples)
        real = Step(cost.eager * LONGER.eager, cost.alone * LONGER.alone, cost.stacked * LONGER.stacked)
        each = real.eager if eager else real.in_stack(len(self.runs))
        return EVALUATIONS * steps * len(self.runs) * each / 1000


def paper_runs() -> list[PlannedRun]:
    """Return the runs of the paper profile, both readings, that train a network; the others are made on CPUs."""
    load_plugins()
    plan = plan_runs(plan_cells(Request("paper", readings=READINGS)), lambda spec: False, lambda name: "")
    return [run for run in plan.runs if budget_steps(run.spec, DATASETS[run.spec.data.name].n_samples)]


def stacked(runs: Sequence[PlannedRun], size: int) -> list[Stack]:
    """Return the stacks of at most `size` runs, in the order of the plan: a stack has the place of its first run."""
    place = {run.spec.run_id: number for number, run in enumerate(runs)}
    kind = {run.spec.run_id: str(sorted(run.spec.shared_parts.items())) for run in runs}
    ordered = sorted(runs, key=lambda run: (kind[run.spec.run_id], run.spec.replicate))
    found = [
        Stack(tuple(members[first : first + size]))
        for _, group in groupby(ordered, key=lambda run: kind[run.spec.run_id])
        for members in [list(group)]
        for first in range(0, len(members), size)
    ]
    return sorted(found, key=lambda stack: min(place[run.spec.run_id] for run in stack.runs))


def jobs_of(stacks: Sequence[Stack]) -> list[Job]:
    """Return one job for each stack, which waits for all stacks that hold a parent of its runs."""
    home = {run.spec.run_id: stack.run_id for stack in stacks for run in stack.runs}
    return [Job(stack.runs[0].spec, Context(), parents=tuple(dict.fromkeys(_homes(stack, home)))) for stack in stacks]


def _homes(stack: Stack, home: dict[str, str]) -> Iterator[str]:
    yield from (home[parent] for run in stack.runs for parent in run.parents if parent in home)


@dataclass(frozen=True)
class Row:
    """One line of the table: hours of work on all GPUs together, hours until the end, and the share of idle time."""

    how: str
    gpus: int
    work: float
    makespan: float
    idle: float

    def __str__(self) -> str:
        """Return the line in Markdown."""
        return f"| {self.how} | {self.gpus} | {_hours(self.work)} | {_hours(self.makespan)} | {100 * self.idle:.1f} % |"


def _hours(hours: float) -> str:
    """Return hours with two digits that say something.

    >>> _hours(880.4), _hours(13.76), _hours(1.716)
    ('880', '13.8', '1.7')
    """
    return f"{hours:.0f}" if hours >= 100 else f"{hours:.1f}"


WAYS = (
    ("eager, one run at a time", 1, True),
    ("captured, one run at a time", 1, False),
    ("stacks of 5", 5, False),
    (f"stacks of {STACK}", STACK, False),
)
"""How runs are made: in words, how many side by side, and whether in a plain loop."""
GPUS = (1, 8, 64)


def simulated(runs: Sequence[PlannedRun], how: str, size: int, eager: bool, gpus: Sequence[int] = GPUS) -> list[Row]:
    """Simulate one way to make the runs on each number of GPUs."""
    stacks = stacked(runs, size)
    jobs, seconds = jobs_of(stacks), np.array([stack.seconds(eager) for stack in stacks])
    rows = []
    for number in gpus:
        with tempfile.TemporaryDirectory() as folder:
            found = simulate(jobs, seconds, number, 0.0, Path(folder))
        idle = max(0.0, 1 - float(seconds.sum()) / (number * found.seconds))
        rows.append(Row(how, number, float(seconds.sum()) / HOUR, found.seconds / HOUR, idle))
    return rows


def table(runs: Sequence[PlannedRun]) -> str:
    """Return the whole table in Markdown."""
    lines = ["| how | GPUs | GPU hours | hours to the end | idle |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *(str(row) for way in WAYS for row in simulated(runs, *way))])


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "").parse_args()
    runs = paper_runs()
    steps = sum(budget_steps(run.spec, DATASETS[run.spec.data.name].n_samples) for run in runs)
    print(f"{len(runs)} runs, {steps / 1e6:.0f} million steps\n\n{table(runs)}")
    for size in (1, 5, STACK):
        longest = max(stacked(runs, size), key=Stack.seconds)
        spec = longest.runs[0].spec
        print(f"longest stack of {size}: {longest.seconds() / HOUR:.2f} h, {spec.method} on {spec.data.name}")


if __name__ == "__main__":
    main()
