"""Peak memory of refinement on as many and as large samples as MNIST has, in a process of its own.

``python -m tests.bench.refinement_memory [--method idec] [--data-dir ~/data]``

With a folder of data it is that of a whole run on `mnist-full`, as the suite makes it; without one, that of a fit of
random samples that lie in memory. Pre-training and refinement have a few steps each, with one renewal of the targets.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from benchmark.execution.execute import execute
from benchmark.registry import DATASETS, METHODS, load_plugins
from benchmark.spec import Budget, DataSpec, Protocol, RunSpec

STEPS = 20


def peak_mib() -> float:
    """Return the largest resident memory of this process so far (Linux; getrusage also knows of the parent's)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10


def short(method: str) -> Protocol:
    """Return the method's protocol with a few steps in each phase."""
    changes = {"budget": Budget(unit="steps", amount=STEPS), "evaluate_every": STEPS}
    phases = METHODS[method].default_protocol.phases
    return Protocol(phases={name: phase.model_copy(update=changes) for name, phase in phases.items()})


def fit(method: str, data_dir: Path | None) -> None:
    """Make the run or the fit, and print the peak before and after."""
    before = peak_mib()
    if data_dir is not None:
        params = METHODS[method](10).checked_params().canonical()
        data = DataSpec(name="mnist-full", digest=DATASETS["mnist-full"].digest, preprocess=("flatten",))
        run = execute(
            RunSpec(method=method, params=params, data=data, protocol=short(method), replicate=0), data_dir=data_dir
        )
        assert run.record.status in ("ok", "collapsed"), run.record.error
    else:
        x = np.random.default_rng(0).random((70_000, 784), dtype=np.float32)
        METHODS[method](10, protocol=short(method)).fit(x)
    print(f"{method}: peak {peak_mib():.0f} MiB (target <= 1536), of which {before:.0f} before the data")


def main() -> None:
    """Measure in a child, or be that child."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="idec")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        load_plugins()
        fit(given.method, given.data_dir)
        return
    subprocess.run([sys.executable, "-m", "tests.bench.refinement_memory", "--child", *sys.argv[1:]], check=True)


if __name__ == "__main__":
    main()
