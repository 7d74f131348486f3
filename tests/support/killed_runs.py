"""A program that kills itself: runs in child processes that die by SIGKILL at random moments and are gone on from.

``killed_runs.py FOLDER KILLS SEED`` prints as JSON how many kills struck where, and the runs that did not end with the
bits of an undisturbed one. Children are forked, so that no attempt waits for an import. Half of the moments are
moments in time, the other half file operations (opening, renaming, removing, syncing) of checkpoints and records.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from benchmark.execution import jobs as making
from benchmark.execution.events import Finished, Frequency, Job, Place
from benchmark.execution.executors import serial
from benchmark.record import Context
from benchmark.registry import DATASETS, METHODS, load_plugins
from benchmark.spec import Budget, DataSpec, RunSpec
from benchmark.store import Store
from tests.support.wavering import PROTOCOL

OPERATIONS = ("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "os.utime")


def jobs() -> list[Job]:
    """Return runs of a second at most: one method with every kind of state, and one real one."""
    load_plugins()
    data = DataSpec(name="digits", digest=DATASETS["digits"].digest, samples=70)
    wavering = [
        RunSpec(method="wavering", params={"n_clusters": 5}, data=data, protocol=PROTOCOL, replicate=r)
        for r in range(2)
    ]
    changes = {"batch_size": 20, "budget": Budget(amount=2), "evaluate_every": 1}
    real = METHODS["ddc"]
    phases = {name: phase.model_copy(update=changes) for name, phase in real.default_protocol.phases.items()}
    params, protocol = real(10).checked_params().canonical(), PROTOCOL.model_copy(update={"phases": phases})
    ddc = RunSpec(method="ddc", params=params, data=data, protocol=protocol, replicate=0)
    return [Job(spec, Context()) for spec in (*wavering, ddc)]


def make(job: Job, results: Path) -> None:
    """Make one run, with a checkpoint after every step."""
    place = Place(results, checkpoints=Frequency(0.0))
    (end,) = [event for event in serial([job], place) if isinstance(event, Finished)]
    assert end.record is not None and end.record.status in ("ok", "collapsed"), end


def numbers(job: Job, results: Path) -> str:
    """Return all that the stored run decided, to be compared bit by bit."""
    store, run_id = Store(results, use_stored=False), job.spec.run_id
    record, labels = store.get(run_id), store.labels(run_id)
    assert record is not None and labels is not None and store.verify() == [], store.verify()
    kept = {"status", "loss", "final_loss", "losses", "first_losses", "metrics", "history", "epochs", "steps"}
    return record.model_dump_json(include=kept) + labels.tobytes().hex()


def die_at_operation(results: Path, number: int) -> None:
    """Kill this process just before its `number`-th operation on files below `results`."""
    done, sync = 0, os.fsync

    def count(what: str) -> None:
        nonlocal done
        done += 1
        if done == number:
            (results.parent / "struck").write_text(what)
            os.kill(os.getpid(), signal.SIGKILL)

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if event in OPERATIONS and str(results) in str(arguments[0]):
            path = Path(str(arguments[0]))
            count(f"{event} in {path.relative_to(results).parts[:1]}")

    def synced(handle: int) -> None:
        count("fsync")
        sync(handle)

    sys.addaudithook(hear)
    os.fsync = synced  # type: ignore[assignment]


def attempt(job: Job, results: Path, chance: random.Random, longest: float) -> str:
    """Work at a run in a child that is killed; return where, "" where it came to its end before."""
    struck = results.parent / "struck"
    struck.unlink(missing_ok=True)
    operation = chance.randint(1, 60) if chance.random() < 0.5 else 0
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if operation:
                die_at_operation(results, operation)
            make(job, results)
            code = 0
        finally:
            os._exit(code)
    if not operation:
        time.sleep(chance.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return struck.read_text() if operation else "a moment in time"
    assert os.WEXITSTATUS(status) == 0, "the child failed"
    return ""


def main(folder: Path, kills: int, seed: int) -> None:
    """Kill runs until there were so many kills, and print what came of it."""
    making.is_foreign = lambda spec: False  # fits in the process that is killed, which writes their checkpoints
    chance, planned = random.Random(seed), jobs()
    truth, times = {}, {}
    for job in planned:
        started = time.monotonic()
        make(job, folder / "undisturbed")
        times[job.spec.run_id] = time.monotonic() - started
        truth[job.spec.run_id] = numbers(job, folder / "undisturbed")
    struck: Counter[str] = Counter()
    wrong, resumed, made = [], 0, 0
    while struck.total() < kills:
        job = planned[made % len(planned)]
        results = folder / f"results-{made}"
        while (where := attempt(job, results, chance, times[job.spec.run_id])) and struck.total() < kills:
            struck[where] += 1
        make(job, results)
        record = Store(results, use_stored=False).get(job.spec.run_id)
        resumed += bool(record and record.environment.get("resumed"))
        wrong += [job.spec.method] * (numbers(job, results) != truth[job.spec.run_id])
        made += 1
        shutil.rmtree(results)
    print(json.dumps({"kills": struck, "made": made, "resumed": resumed, "wrong": wrong}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
