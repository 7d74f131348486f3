"""A record made up, of a run that was never made, and a store without the rows that come with the suite."""

from __future__ import annotations

import math
from pathlib import Path

from benchmark.record import NUMERIC_MODE, Context, Evaluation, RunRecord
from benchmark.spec import DataSpec, Protocol, RunSpec
from benchmark.store import Store

IEEE = {
    "matmul": "ieee",
    "convolutions": "ieee",
    "recurrent": "ieee",
    "deterministic_algorithms": True,
    "cudnn_deterministic": True,
    "cudnn_benchmark": False,
    "cublas_workspace": ":4096:8",
    "nondeterministic": [],
}
"""How runs on a CUDA device compute unless they declare otherwise."""


def made_on(device: str) -> dict[str, object]:
    """Return what the environment of a record says that was made on a device: of a GPU its numeric mode, too."""
    return {"device": device} | ({} if device == "cpu" else {NUMERIC_MODE: IEEE})


def make_record(replicate: int = 0, **changes: object) -> RunRecord:
    """Return a record with awkward floats; its numbers depend on the replicate."""
    spec = RunSpec(
        method="tree",
        params={"n_clusters": 3, "width": 0.1},
        data=DataSpec(name="leaves", digest="ab" * 32, preprocess=("flat",)),
        protocol=Protocol(),
        replicate=replicate,
    )
    loss = 1 / 3 + replicate
    evaluation = Evaluation(
        phase="train",
        step=4,
        epoch=1,
        total=loss,
        terms={"l1": 1e-300, "l2": 1e300},
        metrics={"acc": 2 / 3, "nmi": 0.1, "purity": 0.7},
        clusters=3,
    )
    final = math.nextafter(loss, 2 * loss)
    last = {"step": 8, "epoch": 2, "total": final, "terms": {"l1": 0.1 + 0.2, "l2": 5e-324}}
    values: dict[str, object] = {
        "context": Context(paper="wood2020", setting="width=0.1", reading="code", profile="cpu"),
        "status": "ok",
        "loss": loss,
        "final_loss": final,
        "losses": {"l2": 1e300, "l1": 1e-300},
        "metrics": {"acc": 2 / 3, "nmi": 0.1, "nmi_geometric": 0.30000000000000004, "ari": -0.25, "purity": 0.7},
        "first_losses": (0.1, 1 / 7, 1e-17),
        "history": (evaluation, evaluation.model_copy(update=last)),
        "n_samples": 12,
        "epochs": 2,
        "steps": 8,
        "seconds": 1.1,
        "peak_mib": 33.3,
        "code_digest": "c0de" * 4,
        "environment": {"device": "cpu", "torch": "2.9.0", "threads": 1, "date": "2026-01-02T03:04:05+00:00"},
    }
    return RunRecord(run_id=spec.run_id, spec=spec, **(values | changes))


def opened(results: Path, **options: object) -> Store:
    """Return a store that sees no shipped records unless `options` say so."""
    return Store(results, **({"shipped": results / "nothing-shipped"} | options))
