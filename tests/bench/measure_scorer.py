"""What it costs that labels are kept apart: seconds for each evaluation, here and in another process, and for each run.

    python -m tests.bench.measure_scorer digits usps

`here` is a run of the suite's methods (labels in a thread), `apart` one of a plug-in (labels in another process). An
evaluation is timed from the side that trains: from showing its assignments until it may go on.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmark.execution.execute import Apart, execute
from benchmark.execution.fits.channel import Incoming, Message, packed, send
from benchmark.execution.fits.scoring import Scorer, Shown
from benchmark.measure.metrics import evaluate_clustering
from benchmark.registry import DATASETS, METHODS, load_plugins
from benchmark.spec import DataSpec, Protocol, RunSpec

REPEATS = 50


def main(names: list[str]) -> None:
    """Print medians in milliseconds."""
    import multiprocessing

    load_plugins()
    torch.set_num_threads(1)
    for name in names:
        data = DATASETS[name].load().prepare(("flatten",))
        guess = np.random.default_rng(0).integers(0, data.n_clusters, len(data.y))
        shown = Shown("train", 1, 1, 0.5, {"loss": 0.5}, guess)
        print(name, len(data.y), "samples; scoring alone:", _median(lambda: evaluate_clustering(data.y, guess)), "ms")  # noqa: B023
        with Scorer(lambda: data) as scorer:  # noqa: B023
            print("  here, shown to the thread:", _median(lambda: scorer.show(shown)), "ms")  # noqa: B023
            ours, theirs = multiprocessing.Pipe()
            incoming = Incoming(ours)

            def passed() -> None:
                send(theirs, Message("show", {"phase": "train"}, packed(guess)))  # noqa: B023
                incoming.next()  # noqa: B023

            print("  apart, through the pipe:", _median(passed), "ms, and scored meanwhile on the other side")
        run = _k_means(name, data.n_clusters)
        with tempfile.TemporaryDirectory() as folder:
            execute(run, apart=Apart(Path(folder), "warm"))
            for where, apart in (("here", None), ("apart", Apart(Path(folder), "run"))):
                print(f"  a run of k-means, {where}:", _median(lambda: execute(run, apart=apart), 5), "ms")  # noqa: B023


def _k_means(name: str, n_clusters: int) -> RunSpec:
    params = METHODS["k-means"](n_clusters).checked_params().canonical()
    data = DataSpec(name=name, digest=DATASETS[name].digest, preprocess=("flatten",))
    return RunSpec(method="k-means", params={**params, "starts": 1}, data=data, protocol=Protocol(), replicate=0)


def _median(call: object, repeats: int = REPEATS) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()  # type: ignore[operator]
        times.append(time.perf_counter() - started)
    return round(1000 * statistics.median(times), 2)


if __name__ == "__main__":
    main(sys.argv[1:])
