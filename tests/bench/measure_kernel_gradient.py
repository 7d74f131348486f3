"""Measure the gradient of the tensor kernel's two solvers along a real training (ledger K13), for the audit's figure.

    python tests/bench/measure_kernel_gradient.py usps mnist --data-dir DATA

trains DDC-UCO_T once on each data set (paper reading, cpu profile, replicate 0, exact solver). At every evaluation one
batch of 120 samples goes through the network as it is then; for each tap, the gradient of its companion with respect
to the tap is computed in float32 with both solvers and compared with that of the exact solver in float64: relative
error ||g - g*|| / ||g*|| and cosine. Each data set is measured under the conventions of both readings: `paper` taps
after the pool, transposes and compares projectors with the narrow width; `code` taps before it, does not transpose and
uses traces with the wide one. Rows are written to
paper_tables/audit/kernel-gradient.csv after each data set.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmark.data.prepared import prepared_data  # noqa: E402
from benchmark.plan.cells import plan_cells  # noqa: E402
from benchmark.plan.request import Request  # noqa: E402
from benchmark.registry import METHODS, load_plugins  # noqa: E402
from benchmark.spec import RunSpec  # noqa: E402
from benchmark.streams import Streams  # noqa: E402
from benchmark.training import RunContext, Snapshot  # noqa: E402
from methods.parts.divergence import cauchy_schwarz  # noqa: E402
from methods.parts.kernels import gaussian_kernel, tensor_distances  # noqa: E402

TABLE, METHOD, PROFILE = "tkuco2024/table2", "ddc-uco-t", "cpu"
FILE = ROOT / "paper_tables" / "audit" / "kernel-gradient.csv"
COLUMNS = ("dataset", "reading", "tap", "epoch", "step", "solver", "relative_error", "cosine", "rank", "rows")
RANK_TOLERANCE = 1e-6
"""Eigenvalues of a Gram matrix below this share of its largest do not count for the rank."""


def spec_of(dataset: str, reading: str) -> RunSpec:
    """Return the first run of DDC-UCO_T on a data set under a reading."""
    asked = Request(PROFILE, tables=(TABLE,), methods=(METHOD,), datasets=(dataset,), readings=(reading,), runs=1)  # type: ignore[arg-type]
    (cell,) = plan_cells(asked)
    return cell.specs[0]


def gradient(tap: Tensor, assignments: Tensor, params: Any, solver: str) -> Tensor:
    """Return the gradient of a companion with respect to its tap, in the dtype of the tap, flattened."""
    leaf = tap.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    distances = tensor_distances(
        leaf, transpose=params.transpose, form=params.projector_form, solver=solver, ridge=params.ridge
    )
    kernel = gaussian_kernel(distances, params.width, params.width_rule)
    loss = cauchy_schwarz(assignments.to(tap.dtype), kernel, factor=params.divergence_factor, epsilon=params.epsilon)
    return torch.autograd.grad(loss, leaf)[0].double().flatten()


def mean_rank(tap: Tensor) -> tuple[float, int]:
    """Return the mean numerical rank of the matricisations along the first spatial mode, and their rows."""
    matrices = tap.double().movedim(2, 1).flatten(2)
    values = torch.linalg.eigvalsh(matrices @ matrices.mT)
    rank = (values > RANK_TOLERANCE * values[:, -1:]).sum(dim=1).double().mean()
    return float(rank), matrices.shape[1]


def compared(snapshot: Snapshot, x: Tensor, params: Any) -> Iterator[dict[str, Any]]:
    """Yield a row for each tap and solver: the network of a snapshot, the batch `x`, one reading's parameters."""
    assert snapshot.model is not None
    model = snapshot.model().train()
    with torch.no_grad():
        output = model(x, params.taps)
    for name, tap in zip(params.taps, output.taps, strict=True):
        truth = gradient(tap.double(), output.assignments, params, "exact")
        rank, rows = mean_rank(tap)
        for solver in ("eigh32", "exact"):
            found = gradient(tap, output.assignments, params, solver)
            yield {
                "tap": name,
                "epoch": snapshot.epoch,
                "step": snapshot.step,
                "solver": solver,
                "relative_error": float((found - truth).norm() / truth.norm()),
                "cosine": float(found @ truth / (found.norm() * truth.norm())),
                "rank": rank,
                "rows": rows,
            }


def measured(dataset: str, data_dir: Path | None) -> list[dict[str, Any]]:
    """Train once on a data set and return the rows of all its evaluations."""
    specs = {reading: spec_of(dataset, reading) for reading in ("paper", "code")}
    trained = specs["paper"]
    methods = {reading: METHODS[METHOD](**spec.params) for reading, spec in specs.items()}
    data = prepared_data(trained, data_dir)
    order = torch.randperm(len(data.x), generator=Streams(dataset, 0).torch("audit"))
    x = torch.from_numpy(data.x)[order[: trained.protocol.phases["train"].batch_size]]
    x = x.contiguous(memory_format=torch.channels_last)
    rows: list[dict[str, Any]] = []

    def observe(snapshot: Snapshot) -> None:
        for reading, method in methods.items():
            for row in compared(snapshot, x, method.checked_params()):
                rows.append({"dataset": dataset, "reading": reading, **row})
        print(dataset, "epoch", snapshot.epoch, "rows", len(rows), flush=True)

    methods["paper"].fit(data.x, run=RunContext(Streams(dataset, 0), trained.protocol, observers=(observe,)))
    return rows


def main() -> None:
    """Measure the data sets named, and keep the rows of the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--data-dir", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    load_plugins()
    for dataset in asked.datasets:
        rows = measured(dataset, asked.data_dir)
        held = []
        if FILE.is_file():
            with FILE.open(newline="", encoding="utf-8") as file:
                held = [row for row in csv.DictReader(file) if row["dataset"] != dataset]
        with FILE.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(sorted([*held, *rows], key=lambda row: str(row["dataset"])))


if __name__ == "__main__":
    main()
