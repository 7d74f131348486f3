"""How far the authors' gradient of squared distances (ledger K15) points from the true one, while DDC trains on USPS.

    python -m tests.bench.measure_distance_gradient --data-dir DIR

trains it at 32x32 in the code reading of tkuco2024, once with each gradient, from the same weights on the same batches,
and prints at some steps the cosine between the two gradients for the same weights and batch: with respect to the hidden
layer, by way of its kernel (separation and simplex), and of the whole loss with respect to the backbone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import datasets
from benchmark.plan import Request, plan_cells
from benchmark.registry import load_plugins
from benchmark.spec import Budget, Protocol
from benchmark.streams import Streams
from benchmark.training import Batch, RunContext
from methods import DDC

STEPS = (0, 20, 77)


def main() -> None:
    """Print one line for each arm and step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--replicate", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    load_plugins()
    print("| trained with | step | hidden layer, by its kernel | backbone, whole loss | loss |")
    print("|---|---|---|---|---|")
    for arm in ("exact", "authors"):
        for step, hidden, whole, loss in measured(arm, asked.replicate, asked.data_dir):
            print(f"| {arm} | {step} | {hidden:.2f} | {whole:.2f} | {loss:.3f} |", flush=True)


def measured(arm: str, replicate: int, data_dir: Path | None) -> Iterator[tuple[int, float, float, float]]:
    """Yield the step, two cosines and the loss of the batch that is due then."""
    request = Request(
        profile="paper", tables=("tkuco2024/table2",), methods=("ddc",), datasets=("usps",), readings=("code",), runs=1
    )
    spec = next(cell for cell in plan_cells(request) if cell.specs).specs[0]
    x = datasets.load_dataset("usps", data_dir=data_dir).prepare(spec.data.preprocess, None).x
    phase = spec.protocol.phases["train"]
    short = phase.model_copy(update={"budget": Budget(unit="steps", amount=STEPS[-1] + 1), "evaluate_every": 10_000})
    run = RunContext(Streams("usps", replicate), Protocol(phases={"train": short}))
    method = DDC(**{**spec.params, "distance_gradient": arm})
    for number, step in enumerate(method.fitting(x, run=run)):
        if number in STEPS:
            phase_now = step.stepper.phase
            batch = Batch(step.stepper.x.index_select(0, step.index), step.index)
            yield number, *compared(method, phase_now.model, batch)
        step.take()


def compared(method: DDC[Any], model: Any, batch: Batch) -> tuple[float, float, float]:
    """Return the cosines at the hidden layer and at the backbone, and the loss; the model stays as it is."""
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    pushes: dict[str, list[torch.Tensor]] = {"hidden": [], "backbone": []}
    loss = 0.0
    for rule in ("exact", "authors"):
        params = method.checked_params().model_copy(update={"distance_gradient": rule})
        output = model(batch.x)
        by_kernel = method.terms(model, replace(output, assignments=output.assignments.detach()), batch, params)
        kernel_loss = by_kernel["separation"] + by_kernel["simplex"]
        pushes["hidden"].append(torch.autograd.grad(kernel_loss, output.hidden, retain_graph=True)[0].flatten())
        total = torch.stack(list(method.terms(model, output, batch, params).values())).sum()
        found = torch.autograd.grad(total, list(model.backbone.parameters()))
        pushes["backbone"].append(torch.cat([g.flatten() for g in found]))
        loss = total.item()
    model.load_state_dict(kept)
    hidden, whole = (float(torch.cosine_similarity(*pair, dim=0)) for pair in pushes.values())
    return hidden, whole, loss


if __name__ == "__main__":
    main()
