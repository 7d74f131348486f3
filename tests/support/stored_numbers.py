"""What tests compare, bit by bit, of the runs in two results folders."""

from __future__ import annotations

from pathlib import Path

from benchmark.store import Store


def numbers(results: Path) -> dict[str, tuple[object, ...]]:
    """Return all that each stored run decided, to be compared bit by bit."""
    store, found = Store(results, use_stored=False), {}
    for run_id in store.ids():
        record, labels = store.get(run_id), store.labels(run_id)
        assert record is not None and labels is not None
        history = record.model_dump_json(include={"history", "loss", "final_loss", "losses", "metrics"})
        found[run_id] = (record.status, record.first_losses, history, labels.tobytes())
    return found
