"""A program that kills stacks of runs at random moments, goes on with them, and compares each run with one made alone.

``killed_stacks.py FOLDER KILLS SEED`` prints as JSON how many kills struck where, how often a run went on from a
checkpoint, and the runs that did not end with the bits of one that was made alone and undisturbed.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmark.execution import jobs as making
from benchmark.execution.events import Finished, Frequency, Job, Place
from benchmark.execution.executors import serial
from benchmark.store import Store
from tests.support.killed_runs import attempt, jobs, make, numbers


def replicates(job: Job, number: int) -> list[Job]:
    """Return replicates of a run."""
    return [Job(job.spec.model_copy(update={"replicate": r}), job.context) for r in range(number)]


def make_together(stack: Sequence[Job], results: Path) -> None:
    """Make what is left of a stack, with a checkpoint after every step of every run."""
    place = Place(results, checkpoints=Frequency(0.0))
    ends = [event for event in serial(stack, place, stack=len(stack)) if isinstance(event, Finished)]
    assert all(end.record is not None and end.record.status in ("ok", "collapsed") for end in ends), ends


def main(folder: Path, kills: int, seed: int) -> None:
    """Kill stacks until there were so many kills, and print what came of it."""
    making.is_foreign = lambda spec: False  # fits in the process that is killed, which writes their checkpoints
    chance, (wavering, _, ddc) = random.Random(seed), jobs()
    stacks, truth, times = [replicates(wavering, 3), replicates(ddc, 2)], {}, []
    for stack in stacks:
        started = time.monotonic()
        for job in stack:
            make(job, folder / "undisturbed")
            truth[job.run_id] = numbers(job, folder / "undisturbed")
        times.append(time.monotonic() - started)
    struck: Counter[str] = Counter()
    wrong, resumed, made = [], 0, 0
    while struck.total() < kills:
        number, results = made % len(stacks), folder / f"results-{made}"
        stack = stacks[number]
        work = partial(make_together, stack, results)
        while struck.total() < kills and (where := attempt(work, results, chance, times[number], operations=120)):
            struck[where] += 1
        make_together(stack, results)
        for job in stack:
            record = Store(results, use_stored=False).get(job.run_id)
            resumed += bool(record and record.environment.get("resumed"))
            wrong += [f"{job.spec.method} {job.spec.replicate}"] * (numbers(job, results) != truth[job.run_id])
        made += 1
        shutil.rmtree(results)
    print(json.dumps({"kills": struck, "made": made, "resumed": resumed, "wrong": wrong}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
