"""Pages of the report for methods and data sets."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
from pydantic_core import PydanticUndefined

from benchmark.papers.paper import load_paper, paper_ids
from benchmark.plan.lineage import parent_of
from benchmark.record import RunRecord
from benchmark.registry import DATASETS, METHODS
from benchmark.report.cells import CellPages
from benchmark.report.site import Site
from benchmark.session import Session
from benchmark.store.rows import device_of, kind_of


def method_page(session: Session, site: Site, pages: CellPages, name: str) -> None:
    """Write the page of a registered method."""
    method = METHODS[name]
    records = [r for by_device in session.records.values() for r in by_device.values() if r.spec.method == name]
    text = inspect.cleandoc(method.__doc__ or "")
    source = inspect.getsource(inspect.getmodule(method) or method)
    parameters = [
        {"name": field, "default": "required" if info.default is PydanticUndefined else str(info.default)}
        for field, info in method.Params.model_fields.items()
    ]
    site.write(
        f"methods/{name}.html",
        "method.html.j2",
        f"{method.__name__} ({name})",
        about=[" ".join(part.split()) for part in text.split("\n\n") if ">>>" not in part],
        terms=sorted({term for record in records for term in record.losses}),
        equations=sorted(set(re.findall(r"\w+\d{4} (?:Eq\.|section) [\d.]+(?:-\d+)?", source))),
        parameters=parameters,
        numbers=pages.numbers(name),
        cost=_cost(session, records),
    )


def _cost(session: Session, records: list[RunRecord]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, int, int, str], list[RunRecord]] = {}
    for r in records:
        groups.setdefault((r.spec.data.name, r.n_samples, r.epochs, device_of(r)), []).append(r)
    return [
        {
            "data set": name,
            "samples": samples,
            "epochs": epochs,
            "device": device,
            "runs": len(found),
            "seconds (median)": float(np.median([r.seconds for r in found])),
            **_with_pretraining(session, found),
            "peak MiB (highest)": max(r.peak_mib for r in found),
        }
        for (name, samples, epochs, device), found in sorted(groups.items())
    ]


def _with_pretraining(session: Session, records: list[RunRecord]) -> dict[str, Any]:
    """Return the median of the seconds with those of the runs that they start from; nothing where there are none."""
    parents = [(record, parent_of(record.spec)) for record in records]
    held = [(record, session.store.get(parent.run_id, kind_of(record))) for record, parent in parents if parent]
    if not held:
        return {}
    whole = [record.seconds + parent.seconds for record, parent in held if parent]
    return {"with pre-training": float(np.median(whole)) if whole else "-"}


def dataset_page(site: Site, name: str) -> None:
    """Write the page of a registered data set."""
    source: Any = DATASETS[name]
    values = {
        "title": source.title,
        "samples": source.n_samples,
        "shape": "x".join(map(str, source.shape)),
        "classes": source.n_clusters,
        "samples of each class": ", ".join(map(str, getattr(source, "class_counts", ()))),
        "digest": source.digest,
        "licence": source.licence,
        "citation": source.citation,
        "stand-in for": source.stand_in_for or "–",
    }
    files = [
        {"file": f"{source.folder}/{file.name}", "published checksum": file.known_hash, "from": " or ".join(file.urls)}
        for file in getattr(source, "files", ())
    ]
    used = [
        {"paper": p, "column": column.label, "reading": reading, "preprocessing": ", ".join(data.preprocess) or "none"}
        for p in paper_ids()
        for column in load_paper(p).protocol.columns.values()
        for reading, data in (("paper", column.paper), ("code", column.code))
        if data.dataset == name
    ]
    site.write(f"datasets/{name}.html", "dataset.html.j2", name, values=values, files=files, used=used)
