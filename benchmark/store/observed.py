"""The observers that the suite has, and what they left in the history of a record. Nothing here imports torch."""

from __future__ import annotations

from benchmark.measure.mismatch import GRAM, WEIGHT
from benchmark.record import COUNTED, RunRecord
from benchmark.registry import OBSERVERS, Observer, register_observer

__all__ = ["OBSERVERS", "observed", "recorded"]

register_observer(
    Observer(
        "drift",
        "inner products of the gradients of all loss terms: feature drift and mismatch of any of them",
        (GRAM, WEIGHT),
        "benchmark.execution.observers:record_drift",
    )
)
register_observer(
    Observer(
        "validity",
        "Calinski-Harabasz and Davies-Bouldin indices of the clusters in the embedding, without labels",
        ("ch", "db"),
        "benchmark.execution.observers:record_validity",
    )
)
register_observer(
    Observer(
        "randomness",
        "feature randomness: the cosine of the gradients towards the true classes and towards the clusters",
        ("randomness",),
        "benchmark.execution.observers:record_randomness",
        labels=True,
    )
)
register_observer(
    Observer(
        "features",
        "feature randomness and drift (dynae2022): cosines of gradients of pseudo, auxiliary, whole and true losses",
        ("fr", "fd", "features:"),
        "benchmark.execution.feature_observers:record_features",
        labels=True,
    )
)
register_observer(
    Observer(
        "subsets",
        "size and scores of the parts of the data that a method tells apart",
        ("share:", "acc:", "nmi:"),
        "benchmark.execution.feature_observers:record_subsets",
        labels=True,
    )
)
register_observer(
    Observer(
        "kernels",
        "kernel matrices of the blocks: their distance from that of the classes, and the contrast of classes in them",
        ("kernel_",),
        "benchmark.execution.kernel_observer:record_kernels",
        labels=True,
    )
)


def recorded(record: RunRecord, observer: str) -> bool:
    """Say whether a record has nothing to gain from `observer`: its history holds what that leaves, or it failed."""
    return observer in observed(record) or not record.history or record.status not in COUNTED


def observed(record: RunRecord) -> tuple[str, ...]:
    """Return the observers that left something in the history of a record, in the order of their names."""
    names = {name for evaluation in record.history for name in evaluation.metrics}
    return tuple(name for name, observer in OBSERVERS.items() if observer.saw(names))
