"""Whether stacked pre-training trains with Caffe's loss, half the sum of squares, and what that takes (ledger I4).

    python -m tests.bench.measure_stacked_pretraining --data-dir DIR

trains the first layers of d-500-500-2000-10 one by one, as the paper reading of idec2017 does, for a short while: with
the mean of squares, and with half the sum with none, each and all of what DEC's own code has besides (momentum that
rises over 1000 steps, twice the rate for biases, no noise on the data nor behind the last layer). For each layer it
prints the share of the variance of its input that it reconstructs, in inference mode. A layer that says one thing of
all samples explains 0, and one whose loss was not finite diverged.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

import datasets
from benchmark.plan import Request, plan_cells
from benchmark.registry import load_plugins
from benchmark.spec import Budget, Phase, Protocol
from benchmark.streams import Streams
from benchmark.training import Diverged, RunContext, Snapshot
from methods import AEKMeans

CODE: dict[str, dict[str, Any]] = {
    "burn-in": {"momentum_burnin": 1000},
    "biases": {"bias_rate": 2.0},
    "places": {"noise_places": "hidden"},
}
ARMS = {
    "mean": ("mean", ()),
    "half the sum": ("half-sum", ()),
    **{f"half the sum, {name}": ("half-sum", (name,)) for name in CODE},
    "half the sum, all three": ("half-sum", tuple(CODE)),
    "mean, all three": ("mean", tuple(CODE)),
}


def main() -> None:
    """Print one line for each data set, arm and replicate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    parser.add_argument("--replicates", type=int, default=1)
    parser.add_argument("--data", nargs="+", default=["digits", "usps"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    load_plugins()
    print(f"| data | pre-training | replicate |{''.join(f' layer {n} |' for n in range(1, asked.layers + 1))}")
    print("|---|---|---|" + asked.layers * "---|")
    for name in asked.data:
        column = {"digits": "quick", "usps": "paper"}[name]
        request = Request(column, tables=("idec2017/table2",), methods=("ae-k-means",), datasets=(name,))
        spec = next(cell for cell in plan_cells(request) if cell.specs).specs[0]
        loaded = datasets.load_dataset(name, data_dir=asked.data_dir)
        x = loaded.prepare(spec.data.preprocess, asked.samples if asked.samples < len(loaded.y) else None).x
        for arm in asked.arms:
            for replicate in range(asked.replicates):
                shares = " | ".join(explained(x, arm, replicate, asked.steps, asked.layers))
                print(f"| {name} | {arm} | {replicate} | {shares} |", flush=True)


def explained(x: np.ndarray, arm: str, replicate: int, steps: int, layers: int) -> Iterator[str]:
    """Yield for each layer the share of the variance of its input that it explains, or that training diverged."""
    error, code = ARMS[arm]
    values = {key: value for name in code for key, value in CODE[name].items()}
    places = {key: values.pop(key) for key in ("noise_places",) if key in values}
    method = AEKMeans(10, pretraining_error=error, random_state=replicate, **places)
    layer = method.default_protocol.phases["layer"]
    optimiser = layer.optimiser.model_copy(update=values)
    budget = {"budget": Budget(unit="steps", amount=steps), "evaluate_every": steps}
    phases = {"layer": layer.model_copy(update={"optimiser": optimiser, **budget}), "pretrain": Phase(batch_size=256)}
    found: dict[str, Snapshot] = {}

    def see(snapshot: Snapshot) -> None:
        found[snapshot.phase] = snapshot

    run = RunContext(Streams("pre-training", replicate), Protocol(phases=phases), observers=(see,))
    with suppress(Diverged):
        for step in method.fitting(x, run=run):
            done = found.get(f"layer-{layers}")
            if done is not None and done.step == steps:
                break
            step.take()
    for number in range(1, layers + 1):
        snapshot = found.get(f"layer-{number}")
        if snapshot is None or snapshot.step < steps:
            yield "diverged" if snapshot is not None else "-"
        else:
            yield f"{share(snapshot, number, x, error):.2f}"


def share(snapshot: Snapshot, number: int, x: np.ndarray, error: str) -> float:
    """Return 1 - error / variance of what the layer `number` reconstructs."""
    assert snapshot.model is not None
    model: Any = snapshot.model()
    with torch.no_grad():
        values = torch.from_numpy(np.ascontiguousarray(x))
        for encoder, _ in model.layers()[: number - 1]:
            values = torch.relu(encoder(values))
    variance = float(values.var(dim=0, unbiased=False).mean())
    width = values.shape[1] if error != "mean" else 1
    squares = snapshot.terms["reconstruction"] / (width / 2 if error == "half-sum" else 1)
    return 1 - squares / variance if variance > 0 else float("nan")


if __name__ == "__main__":
    main()
