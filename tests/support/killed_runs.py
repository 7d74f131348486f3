"""A program that kills itself: runs in child processes that die by SIGKILL at random moments and are gone on from.

``killed_runs.py FOLDER KILLS SEED`` prints as JSON how many kills struck where, and the runs that did not end with the
bits of an undisturbed one. Children are forked, so that no attempt waits for an import. Half of the moments are
moments in time, the other half file operations (opening, renaming, removing, syncing) of checkpoints and records.

With a fourth word, ``apart``, each fit is in a process of its own, beside the driver which stores its run: at moments
in time the driver is killed, or the fit, or both.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import forkserver
from pathlib import Path

from benchmark.execution import jobs as making
from benchmark.execution.events import Finished, Frequency, Job, Place
from benchmark.execution.executors import serial
from benchmark.record import Context
from benchmark.registry import DATASETS, METHODS, load_plugins
from benchmark.spec import Budget, DataSpec, RunSpec
from benchmark.store import Store
from tests.support.processes import alive, children
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


def make(job: Job, results: Path, apart: bool = False) -> None:
    """Make one run, with a checkpoint after every step; `apart` in a process of its own, as whatever has a limit."""
    place = Place(results, checkpoints=Frequency(0.0), seconds=600.0 if apart else None)
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


def forked(work: Callable[[], None]) -> int:
    """Do something in a child, and return its process id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            # The server of processes was started by the parent: it is not the child's to wait for, but serves it too.
            forkserver._forkserver.ensure_running = lambda: None  # type: ignore[attr-defined]
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def attempt(
    make_all: Callable[[], None], results: Path, chance: random.Random, longest: float, operations: int = 60
) -> str:
    """Make runs in a child that is killed; return where, "" where it came to its end before."""
    struck = results.parent / "struck"
    struck.unlink(missing_ok=True)
    operation = chance.randint(1, operations) if chance.random() < 0.5 else 0

    def work() -> None:
        if operation:
            die_at_operation(results, operation)
        make_all()

    child = forked(work)
    if not operation:
        time.sleep(chance.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return struck.read_text() if operation else "a moment in time"
    assert os.WEXITSTATUS(status) == 0, "the child failed"
    return ""


def fits() -> list[int]:
    """Return the process ids of the fits that live: children of the server of processes."""
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    return [pid for pid in children(server) if alive(pid)]


def attempt_apart(make_all: Callable[[], None], results: Path, chance: random.Random, longest: float) -> str:
    """Make a run in a driver and a fit, of which one or both are killed; return which, "" where they had ended."""
    driver = forked(make_all)
    time.sleep(chance.uniform(0, longest))
    whom = chance.choice(("driver", "fit", "both"))
    struck = fits() if whom != "driver" else []
    if whom != "fit":
        os.kill(driver, signal.SIGKILL)
    for pid in struck:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(driver, 0)
    died = os.WIFSIGNALED(status)
    assert died or os.WEXITSTATUS(status) == 0, "the driver failed"
    return " and ".join(["driver"] * died + ["fit"] * bool(struck))


def left() -> int:
    """Return how many fits live on though the drivers are gone, after a while."""
    deadline = time.monotonic() + 300
    while fits() and time.monotonic() < deadline:
        time.sleep(0.1)
    return len(fits())


def main(folder: Path, kills: int, seed: int, apart: bool) -> None:
    """Kill runs until there were so many kills, and print what came of it."""
    if not apart:
        making.is_foreign = lambda spec: False  # fits in the process that is killed, which writes their checkpoints
    chance, planned = random.Random(seed), jobs()
    truth, times = {}, {}
    if apart:
        make(planned[0], folder / "warm", apart)  # which starts the server of processes
    for job in planned:
        started = time.monotonic()
        make(job, folder / "undisturbed", apart)
        times[job.spec.run_id] = time.monotonic() - started
        truth[job.spec.run_id] = numbers(job, folder / "undisturbed")
    struck: Counter[str] = Counter()
    wrong, resumed, made, strike = [], 0, 0, attempt_apart if apart else attempt
    while struck.total() < kills:
        job = planned[made % len(planned)]
        results = folder / f"results-{made}"
        work, longest = partial(make, job, results, apart), times[job.spec.run_id]
        while struck.total() < kills and (where := strike(work, results, chance, longest)):
            struck[where] += 1
        make(job, results, apart)
        record = Store(results, use_stored=False).get(job.spec.run_id)
        resumed += bool(record and record.environment.get("resumed"))
        wrong += [job.spec.method] * (numbers(job, results) != truth[job.spec.run_id])
        made += 1
        shutil.rmtree(results)
    found = {"kills": struck, "made": made, "resumed": resumed, "wrong": wrong, "left": left() if apart else 0}
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:] == ["apart"])
