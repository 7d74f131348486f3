"""Pages of the report for single cells, methods and data sets."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from markupsafe import Markup
from pydantic_core import PydanticUndefined
from scipy.optimize import linear_sum_assignment

from benchmark.analysis.assemble import cell_records
from benchmark.analysis.explain import explain_cell
from benchmark.data.prepared import prepared_data
from benchmark.errors import UserError
from benchmark.papers.paper import load_paper, paper_ids
from benchmark.plan.cells import PlannedCell
from benchmark.plan.lineage import parent_of
from benchmark.record import RunRecord
from benchmark.registry import DATASETS, METHODS
from benchmark.report.curves import curve_svg
from benchmark.report.site import Site, link, slug
from benchmark.session import Session
from benchmark.store.rows import device_of


class Viewed(Protocol):
    """A profile and a reading."""

    @property
    def profile(self) -> str:
        """The profile."""
        ...

    @property
    def reading(self) -> str:
        """The reading."""
        ...


class CellPages:
    """Writes a page for every cell that has stored runs, and knows where it is."""

    def __init__(self, session: Session, site: Site) -> None:
        self._session, self._site = session, site
        self._known: dict[str, list[dict[str, Any]]] = {}
        self._pages: set[str] = set()
        self._of_run: dict[str, tuple[str, str]] = {}

    def page(self, paper: str, table: str, row: str, column: str, setting: str, view: Viewed) -> str:
        """Return the path of a cell's page, "" where it has none."""
        path = _path(paper, table, row, column, setting, view.profile, view.reading)
        return path if path in self._pages else ""

    def cell_of(self, run_id: str) -> tuple[str, str] | None:
        """Return path and name of the first cell that a run serves; None where it serves none that has a page."""
        return self._of_run.get(run_id)

    def numbers(self, method: str) -> list[dict[str, Any]]:
        """Return a line for every cell of a registered method that has a page."""
        return self._known.get(method, [])

    def write(self, cells: Sequence[PlannedCell], table: str) -> None:
        """Write the pages of the cells of one table."""
        for cell in cells:
            records = cell_records(cell.specs, self._session.find)
            if records:
                self._write(cell, table, records)

    def _write(self, cell: PlannedCell, table: str, records: dict[str, RunRecord]) -> None:
        paper = load_paper(cell.paper)
        metrics = paper.table(table).metrics
        facts = {metric: explain_cell(self._session, cell, metric) for metric in metrics}
        first = facts[metrics[0]]
        path = _path(cell.paper, table, cell.row, cell.column, cell.setting, cell.profile, cell.reading)
        numbers = [_numbers(paper.protocol.metrics[m].label, facts[m]) for m in metrics]
        entries = [paper.ledger[entry["id"]] for entry in first["ledger"]]
        matrix, why = _confusion(self._session, first["ours"].get("selected run"), records)
        shown = {key: value for key, value in first["cell"].items() if key != "metric"}
        self._pages.add(path)
        self._site.write(
            path,
            "cell.html.j2",
            f"{shown['method']} on {shown['data']}, {cell.paper} {table}",
            paper=cell.paper,
            table=table,
            cell=shown,
            numbers=numbers,
            runs=_runs(facts, records),
            curves=_curves(records),
            confusion=matrix,
            confusion_missing=why,
            protocol=first["protocol"],
            ledger=[
                {
                    "id": e.id,
                    "severity": e.severity,
                    "title": e.title,
                    "choice": e.choice,
                    "evidence": "; ".join(e.evidence),
                }
                for e in entries
            ],
            data=first["data"],
            environment=first["environment"],
            command=first["command"],
        )
        self._note(cell, table, path, numbers, records)

    def _note(
        self, cell: PlannedCell, table: str, path: str, numbers: list[dict[str, Any]], records: dict[str, RunRecord]
    ) -> None:
        method = load_paper(cell.paper).method(cell.row).method
        for run_id in records:
            self._of_run.setdefault(run_id, (path, f"{cell.paper} {table}"))
        where = {"cell": link(f"../{path}", f"{cell.paper} {table}"), "data set": cell.column, "setting": cell.setting}
        where |= {"profile": cell.profile, "reading": cell.reading}
        self._known.setdefault(method, []).extend(where | line for line in numbers)


def _path(paper: str, table: str, row: str, column: str, setting: str, profile: str, reading: str) -> str:
    return f"cells/{slug(paper, table, profile, reading, row, column, setting)}.html"


def _numbers(label: str, facts: dict[str, Any]) -> dict[str, Any]:
    ours, published = facts["ours"], facts["published"]
    value = published["value"] if isinstance(published["value"], float) else None
    return {
        "metric": label,
        "ours": ours["value"],
        "sd": ours["sd"],
        "published (sd)": published.get("shown as"),
        "difference": ours["value"] - value if ours["value"] is not None and value is not None else None,
        "verdict": ours["verdict"],
        "runs": ours["runs"],
        "mean over runs": ours.get("mean over runs"),
        "highest": ours.get("highest over runs"),
        "no value because": ours.get("no value because", ""),
    }


def _runs(facts: dict[str, dict[str, Any]], records: dict[str, RunRecord]) -> list[dict[str, Any]]:
    """Return a line for each run: its seeds, status, loss and every metric."""
    lines = []
    hidden = ("stored in", "error")
    for number, record in enumerate(records.values()):
        line = {key: value for key, value in next(iter(facts.values()))["runs"][number].items() if key not in hidden}
        for part in facts.values():
            line |= {key: value for key, value in part["runs"][number].items() if key not in hidden}
        line["seed of the batches"] = _seed(facts, record)
        lines.append(line | {"error": record.error} if any(r.error for r in records.values()) else line)
    return lines


def _seed(facts: dict[str, dict[str, Any]], record: RunRecord) -> str:
    streams = next(iter(facts.values()))["streams"]
    named = [line for line in streams if line["stream"].startswith("batches:")] or streams[:1]
    return str(named[0].get(f"r={record.spec.replicate}", "")) if named else ""


def _curves(records: dict[str, RunRecord]) -> list[str]:
    """Return ACC against the loss of the kept weights, and the histories of loss and ACC, of all runs as charts."""
    charts = []
    ended = [record for record in records.values() if record.loss is not None and "acc" in record.metrics]
    if len(ended) > 1:
        losses, accs = [[float(r.loss or 0)] for r in ended], [[100 * r.metrics["acc"]] for r in ended]
        each = [f"replicate {r.spec.replicate}: loss {r.loss:.4g}, ACC {100 * r.metrics['acc']:.1f}" for r in ended]
        charts.append(curve_svg("ACC [%] against the loss of each run", losses, accs, each, x_label="loss"))
    return [Markup(chart) for chart in (*charts, *_histories(records)) if chart]


def _histories(records: dict[str, RunRecord]) -> list[str]:
    traced = [record for record in records.values() if len(record.history) > 1]
    if not traced:
        return []
    names = [f"replicate {record.spec.replicate}" for record in traced]
    epochs = [[float(e.epoch) for e in record.history if e.step > 0] for record in traced]
    totals = [[e.total for e in record.history if e.step > 0] for record in traced]
    accs = [[100 * e.metrics.get("acc", float("nan")) for e in record.history if e.step > 0] for record in traced]
    return [curve_svg("total loss", epochs, totals, names), curve_svg("ACC [%]", epochs, accs, names)]


def _confusion(session: Session, run_id: str | None, records: dict[str, RunRecord]) -> tuple[list[dict[str, Any]], str]:
    """Return the confusion matrix of the selected run, or why there is none."""
    if run_id is None:
        return [], "No run was selected."
    record = records[run_id]
    labels = session.store.labels(run_id, device_of(record))
    if labels is None:
        return (
            [],
            f"The assignments of run {run_id} are on the machine that made it; the tracked rows hold numbers only.",
        )
    if why := session.ready(record.spec.data.name):
        return [], f"The classes are not here: {why}"
    try:
        y = np.asarray(prepared_data(record.spec, session.data_dir).y)
    except UserError as error:
        return [], str(error)
    return confusion_lines(y, labels), ""


def confusion_lines(y: np.ndarray, labels: np.ndarray) -> list[dict[str, Any]]:
    """Return for each class its number of samples in each cluster, clusters in the order of the classes they match."""
    kinds, rows = np.unique(y, return_inverse=True)
    clusters, columns = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(kinds), len(clusters)), dtype=np.int64)
    np.add.at(counts, (rows, columns), 1)
    _, chosen = linear_sum_assignment(-counts)
    order = [*chosen.tolist(), *(c for c in range(len(clusters)) if c not in chosen)]
    return [
        {"class": str(kind), **{f"cluster {clusters[c]}": int(counts[i, c]) for c in order}}
        for i, kind in enumerate(kinds)
    ]


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
    held = [(record, session.store.get(parent.run_id, device_of(record))) for record, parent in parents if parent]
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
