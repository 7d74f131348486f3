"""Pages of the report for single cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from markupsafe import Markup
from scipy.optimize import linear_sum_assignment

from benchmark.analysis.explain import explain_cell
from benchmark.analysis.kinds import cell_records
from benchmark.data.prepared import prepared_data
from benchmark.errors import UserError
from benchmark.papers.paper import load_paper
from benchmark.plan.cells import PlannedCell
from benchmark.record import RunRecord
from benchmark.report.curves import curve_svg
from benchmark.report.ranges import range_of
from benchmark.report.site import Site, link, rounded, slug
from benchmark.session import Session
from benchmark.store.rows import kind_of


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
        facts = {m: explain_cell(self._session, cell, m, numbers_only=m != metrics[0]) for m in metrics}
        first = facts[metrics[0]]
        path = _path(cell.paper, table, cell.row, cell.column, cell.setting, cell.profile, cell.reading)
        decimals = paper.table(table).decimals
        numbers = [_numbers(paper.protocol.metrics[m].label, facts[m], decimals) for m in metrics]
        entries = [paper.ledger[entry["id"]] for entry in first["ledger"]]
        matrix, why = _confusion(self._session, first["ours"].get("selected_run"), records)
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
            verdicts=[_verdict(paper.protocol.metrics[m].label, facts[m]["verdict"]) for m in metrics],
            calls=[facts[m]["verdict"]["recompute"] for m in metrics if "recompute" in facts[m]["verdict"]],
            runs=_runs(facts, records, decimals),
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


def _numbers(label: str, facts: dict[str, Any], decimals: int) -> dict[str, Any]:
    ours, published = facts["ours"], facts["published"]
    value = published["value"] if isinstance(published["value"], float) else None
    gap = ours["value"] - value if ours["value"] is not None and value is not None else None
    return {
        "metric": label,
        "ours": rounded(ours["value"], decimals),
        "sd": rounded(ours["sd"], decimals),
        "published (sd)": published.get("shown_as"),
        "difference": rounded(gap, decimals, signed=True),
        "verdict": ours["verdict"],
        "runs": ours["runs"],
        "mean over runs": rounded(ours.get("mean_over_runs"), decimals),
        "highest": rounded(ours.get("highest_over_runs"), decimals),
        "no value because": ours.get("no_value_because", ""),
    }


def _verdict(label: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the verdict on a metric and what it rests on, as a line of a table."""
    named = {
        "range": range_of(facts),
        "predicted difference": rounded(facts.get("difference"), 2, signed=True),
        "90 % interval": _interval(facts.get("interval90")),
        "95 % interval": _interval(facts.get("interval95")),
        "margin": facts.get("margin"),
        "runs of the paper": facts.get("published_runs"),
        "sd of the published number, as used": rounded(facts.get("published_sd"), 2),
        "it is": facts.get("published_sd_is") or facts.get("why", ""),
    }
    return {"metric": label, "verdict": facts["verdict"], **named}


def _interval(ends: list[float] | None) -> str:
    return "" if ends is None else f"{ends[0]:+.2f} to {ends[1]:+.2f}"


def _runs(facts: dict[str, dict[str, Any]], records: dict[str, RunRecord], decimals: int) -> list[dict[str, Any]]:
    """Return a line for each run: its seeds, status, loss and every metric."""
    lines = []
    hidden = ("stored_in", "error")
    for number, record in enumerate(records.values()):
        line: dict[str, Any] = {}
        for part in facts.values():
            label = part["cell"]["metric"].rpartition(" (")[0]
            named = {key: value for key, value in part["runs"][number].items() if key not in hidden}
            named[label] = rounded(named.pop("value"), decimals)
            line |= {_said(key): value for key, value in named.items()}
        line["seed of the batches"] = _seed(facts, record)
        lines.append(line | {"error": record.error} if any(r.error for r in records.values()) else line)
    return lines


def _said(key: str) -> str:
    """Return a key as people read it; run_id is a column that pages link."""
    return key if key == "run_id" else key.replace("_", " ")


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
    labels = session.store.labels(run_id, kind_of(record))
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
