"""What plans and lists ask of a data set, other than where its files are."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from benchmark.catalogue.answers import remembered
from benchmark.registry import DATASETS


@dataclass(frozen=True)
class DatasetFacts:
    """The declared facts of a data set; see `benchmark.registry.DataSource`."""

    name: str
    title: str
    digest: str
    n_samples: int
    shape: tuple[int, ...]
    n_clusters: int
    licence: str
    citation: str
    embedded: bool
    stand_in_for: str | None


def dataset_facts(name: str) -> DatasetFacts:
    """Return what the data set `name` declares; UsageError with the nearest names where there is none."""
    told = remembered(("data set", name), lambda: _declared(name))
    return DatasetFacts(**{**told, "shape": tuple(told["shape"])})


def _declared(name: str) -> dict[str, Any]:
    source = DATASETS[name]
    values = {field.name: getattr(source, field.name) for field in fields(DatasetFacts)}
    return {**values, "shape": list(source.shape)}
