"""Two workers against one: runs per hour, beside what two processes of matrix products reach, and memory per worker.

``python -m tests.bench.bench_workers [--method ddc] [--dataset mnist-full] [--samples N] [--steps S] [--runs R]``

A machine has other work, and its clock moves; so after each measurement of workers follows, in the same minute, one of
matrix products by as many processes. Steps are counted while all workers are at work: from the first report of the last
one that began to the end of the first run after which one has nothing to do. What counts as memory is what a worker has
for itself: pages of files (libraries, mapped data) are in memory once, and count for none.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from benchmark.execution.events import Finished, Job, Place, Progress
from benchmark.execution.executors import processes
from benchmark.record import Context
from benchmark.registry import DATASETS, METHODS, load_plugins
from benchmark.spec import Budget, DataSpec, RunSpec


@dataclass(frozen=True)
class Measured:
    """Runs per hour of a crew at work; the largest private memory of a worker: at work, and while loading.

    `starting_seconds` are those of processors that all processes took until the last worker was at its first run.
    """

    runs_per_hour: float
    private_mib: float
    loading_mib: float
    starting_seconds: float


def specs(method: str, dataset: str, samples: int | None, steps: int, runs: int) -> list[RunSpec]:
    """Return replicates of a method with its default protocol, shortened."""
    data = DataSpec(name=dataset, digest=DATASETS[dataset].digest, samples=samples)
    estimator = METHODS[method](DATASETS[dataset].n_clusters)
    phases = {
        name: phase.model_copy(update={"budget": Budget(unit="steps", amount=steps), "evaluate_every": steps})
        for name, phase in estimator.default_protocol.phases.items()
    }
    protocol = estimator.default_protocol.model_copy(update={"phases": phases})
    params = estimator.checked_params().canonical()
    return [RunSpec(method=method, params=params, data=data, protocol=protocol, replicate=r) for r in range(runs)]


def private_mib(pid: int) -> float:
    """Return the memory of a process that belongs to no file, in MiB (Linux).

    Pages of files (libraries, mapped data) do not count: they are in memory once, however many processes map them.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 2**10


def processor_seconds() -> float:
    """Return the processor seconds of all processes that come from this one, and live (Linux)."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            found[int(entry.name)] = int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    total, parents = 0.0, {os.getpid()}
    while parents := {pid for pid, (parent, _) in found.items() if parent in parents}:
        total += sum(found[pid][1] for pid in parents)
    return total


def measure(runs: list[RunSpec], workers: int, data_dir: Path | None) -> Measured:
    """Make `runs` with so many workers."""
    at_work, loading, starting, steps, whole, left = 0.0, 0.0, 0.0, {}, 1, len(runs)
    began = ended = time.perf_counter()
    before = after = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), data_dir, checkpoints=None)
        for event in processes([Job(spec, Context()) for spec in runs], place, workers):
            used = max((private_mib(child.pid or 0) for child in multiprocessing.active_children()), default=0.0)
            loading, at_work = max(loading, used if not before else 0.0), max(at_work, used if before else 0.0)
            if isinstance(event, Progress):
                steps[event.run_id], whole = event.step, event.total
                if not before and len(steps) == workers:
                    began, before, starting = time.perf_counter(), sum(steps.values()), processor_seconds()
            if isinstance(event, Finished):
                assert event.record is not None, event.error
                left -= 1
                if left == workers - 1:
                    ended, after = time.perf_counter(), sum(steps.values())
    return Measured(3600 * (after - before) / whole / (ended - began), at_work, loading, starting)


def _multiply(seconds: float, done: multiprocessing.SimpleQueue[float]) -> None:
    torch.set_num_threads(1)
    matrix, count = torch.rand(512, 512), 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        matrix @ matrix
        count += 1
    done.put(count / (time.perf_counter() - began))


def products_per_second(workers: int, seconds: float) -> float:
    """Return matrix products per second of so many processes, one thread each."""
    context = multiprocessing.get_context("spawn")
    done = context.SimpleQueue()
    crew = [context.Process(target=_multiply, args=(seconds, done)) for _ in range(workers)]
    for member in crew:
        member.start()
    total = sum(done.get() for _ in crew)
    for member in crew:
        member.join()
    return total


def main() -> None:
    """Print both ratios and the memory as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="ddc")
    parser.add_argument("--dataset", default="mnist-full")
    parser.add_argument("--samples", type=int)
    parser.add_argument("--steps", type=int, default=1000, help="of a run")
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20.0, help="of matrix products")
    parser.add_argument("--memory", action="store_true", help="measure two workers only")
    parser.add_argument("--data-dir", type=Path)
    given = parser.parse_args()
    load_plugins()
    runs = specs(given.method, given.dataset, given.samples, given.steps, given.runs)
    if given.memory:
        print(json.dumps(asdict(measure(runs, 2, given.data_dir)), indent=1))
        return
    one, product = measure(runs, 1, given.data_dir), products_per_second(1, given.seconds)
    two, products = measure(runs, 2, given.data_dir), products_per_second(2, given.seconds)
    found = {
        "method": given.method,
        "dataset": given.dataset,
        "runs": given.runs,
        "runs per hour, 1 worker": one.runs_per_hour,
        "runs per hour, 2 workers": two.runs_per_hour,
        "ratio of runs (target >= 1.7)": two.runs_per_hour / one.runs_per_hour,
        "ratio of matrix products": products / product,
        "processor seconds until it is at work, 1 worker": one.starting_seconds,
        "processor seconds until both are at work, 2 workers": two.starting_seconds,
        "private MiB per worker, 1 worker": one.private_mib,
        "private MiB per worker, 2 workers (target <= 600)": two.private_mib,
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
