"""Pages of the report for methods: what they are, how they learn, what they cost, how to run and to cite them."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from pydantic_core import PydanticUndefined

from benchmark.catalogue.references import references
from benchmark.errors import UserError
from benchmark.papers.paper import load_paper
from benchmark.plan.lineage import parent_of
from benchmark.record import RunRecord
from benchmark.registry import DATASETS, METHODS
from benchmark.report.cells import CellPages
from benchmark.report.curves import curve_svg
from benchmark.report.site import Site, rounded
from benchmark.report.views import FULL, Standing
from benchmark.session import Session
from benchmark.store.rows import device_of

CHARTS = 12
"""A page shows at most so many small charts of each kind."""

SMALL = 270


def method_page(session: Session, site: Site, pages: CellPages, name: str, found: Sequence[Standing]) -> None:
    """Write the page of a registered method; `found` are the numbers of all papers."""
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
        curves=learning_curves(records),
        prices=_prices(session, name, found),
        numbers=pages.numbers(name),
        cost=_cost(session, records),
        calls=_calls(name, found),
        use=f"from methods import {method.__name__}\n\nlabels = {method.__name__}(n_clusters=10).fit_predict(x)",
        cited=_cited((name,)),
    )


def _cited(names: Iterable[str]) -> str:
    try:
        return "\n".join(references(names))
    except UserError:
        return ""


def _calls(name: str, found: Sequence[Standing]) -> list[str]:
    """Return commands that run a method: in each paper that has it, in the quick profile."""
    rows = dict.fromkeys((one.paper, one.table, one.row) for one in found if one.method == name and not one.reference)
    first: dict[str, tuple[str, str]] = {}
    for paper, table, row in rows:
        first.setdefault(paper, (table, row))
    calls = [
        shlex.join(["python", "-m", "benchmark", "run", "--table", f"{paper}/{table}", "--method", row])
        for paper, (table, row) in first.items()
    ]
    return calls or [shlex.join(["python", "-m", "benchmark", "run", "--method", name])]


def learning_curves(records: Sequence[RunRecord]) -> list[Markup]:
    """Return small charts of ACC over the epochs, a line for each run: of each data set and profile one, full first.

    Of several settings or readings on a data set it is that with the most runs.
    """
    groups: dict[tuple[str, str], dict[tuple[str, str, str], list[RunRecord]]] = {}
    for record in records:
        context = record.context
        if sum("acc" in e.metrics and e.step > 0 for e in record.history) > 1:
            place = groups.setdefault((record.spec.data.name, context.profile), {})
            place.setdefault((context.paper, context.reading, context.setting), []).append(record)
    charts = []
    for (dataset, profile), settings in sorted(groups.items(), key=lambda item: (item[0][1] != FULL, item[0])):
        (paper, reading, setting), runs = max(settings.items(), key=lambda item: len(item[1]))
        where = f"{dataset}, profile {profile}"
        told = f"{where}, {paper}, reading {reading}{f', {setting}' if setting else ''}"
        charts.append(_small_curve(f"{where} ({len(runs)})", told, runs))
    return charts[:CHARTS]


def _small_curve(title: str, told: str, runs: Sequence[RunRecord]) -> Markup:
    traced = [[e for e in run.history if e.step > 0 and e.phase == run.history[-1].phase] for run in runs]
    chart = curve_svg(
        title,
        [[float(e.epoch) for e in trace] for trace in traced],
        [[100 * e.metrics.get("acc", float("nan")) for e in trace] for trace in traced],
        [f"replicate {run.spec.replicate}" for run in runs],
        width=SMALL,
        bounds=(0.0, 100.0),
        named=False,
        said=told,
    )
    return Markup(chart)


def _prices(session: Session, name: str, found: Sequence[Standing]) -> list[Markup]:
    """Return charts of value against seconds on data sets where a method has all its runs: it among the others."""
    tables: dict[tuple[str, str, str, str, str], list[Standing]] = {}
    for one in found:
        if one.complete and one.page and not one.setting and one.unit == "%":
            first = load_paper(one.paper).table(one.table).metrics[0]
            if one.metric == first:
                tables.setdefault((one.paper, one.table, one.column, one.profile, one.reading), []).append(one)
    mine = {key: part for key, part in tables.items() if any(one.method == name for one in part) and len(part) > 1}
    charts = []
    for (paper, table, _, profile, reading), part in sorted(mine.items(), key=lambda item: item[0][3] != FULL):
        ordered = sorted(part, key=lambda one: one.method != name)
        seconds = [seconds_of(session, one) for one in ordered]
        values = [float(one.result.value or 0.0) for one in ordered]
        names = [f"{one.label}: {one.ours} %, {taken:.3g} s" for one, taken in zip(ordered, seconds, strict=True)]
        head = f"{paper} {table}, {part[0].dataset_label}, {profile}"
        chart = curve_svg(
            head,
            [[taken] for taken in seconds],
            [[value] for value in values],
            names,
            x_label="s",
            width=SMALL,
            bounds=(0.0, 100.0),
            first_stands_out=True,
            said=f"{head} profile, reading {reading}: {'; '.join(names)}",
        )
        charts.append(Markup(chart))
    return charts[:CHARTS]


def seconds_of(session: Session, one: Standing) -> float:
    """Return the median of the seconds of the runs behind a number, each with those of the run that it starts from."""
    taken = []
    for run_id in one.result.run_ids:
        record = next(iter(session.records[run_id].values()))
        parent = session.parent(record)
        taken.append(record.seconds + (parent.seconds if parent else 0.0))
    return float(np.median(taken))


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
            "seconds (median)": rounded(float(np.median([r.seconds for r in found])), 1),
            **_with_pretraining(session, found),
            "peak MiB (highest)": rounded(max(r.peak_mib for r in found), 0),
        }
        for (name, samples, epochs, device), found in sorted(groups.items())
    ]


def _with_pretraining(session: Session, records: list[RunRecord]) -> Mapping[str, Any]:
    """Return the median of the seconds with those of the runs that they start from; nothing where there are none."""
    started = [record for record in records if record.spec.method in METHODS and parent_of(record.spec)]
    if not started:
        return {}
    whole = [record.seconds + parent.seconds for record in started if (parent := session.parent(record))]
    return {"with pre-training": rounded(float(np.median(whole)), 1) if whole else "-"}


def cited_dataset(name: str) -> str:
    """Return what to cite for a data set as BibTeX, "" where it says nothing."""
    return _cited((name,)) if name in DATASETS else ""
