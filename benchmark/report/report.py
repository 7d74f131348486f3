"""The report: a static folder that shows every table, figure, cell, method and data set from stored numbers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from benchmark import __version__
from benchmark.analysis.assemble import assemble
from benchmark.analysis.figures import draw_figure, figure_folders, load_figures
from benchmark.analysis.tables import stored_tables
from benchmark.figures.kit import svg_bytes
from benchmark.measure.verdict import JUDGED, NOT_RUN, UNJUDGED
from benchmark.papers.paper import Paper, ledger_ids, load_ledger, load_paper, paper_ids
from benchmark.papers.protocol import PROFILES, Reading
from benchmark.papers.tables import TableRule
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.registry import DATASETS, METHODS
from benchmark.report.cells import CellPages
from benchmark.report.honesty import honesty_page
from benchmark.report.plugins import dataset_page, method_page
from benchmark.report.site import Site, inline_svg, link, slug
from benchmark.session import Session
from benchmark.tables import notes
from benchmark.tables.layout import (
    DAGGER,
    Position,
    Style,
    column_blocks,
    highlights,
    is_incomplete,
    lay_out,
    result_of,
)
from benchmark.tables.values import BLANK, Cell, CellResult, Row, TableResult

NO_VERDICT = "no verdict"

STATES = (*JUDGED, NO_VERDICT, *UNJUDGED)
"""What can be said of a cell: the verdicts, and why there is none."""


@dataclass(frozen=True)
class Built:
    """What a report came to: its start page, the number of pages, and the seconds it took."""

    index: Path
    pages: int
    seconds: float


@dataclass(frozen=True)
class View:
    """One table in one profile and reading: the planned cells and what they came to."""

    profile: str
    reading: Reading
    cells: tuple[PlannedCell, ...]
    result: TableResult


def build_report(session: Session, out: Path, progress: Callable[[str], None] = lambda text: None) -> Built:
    """Write the report of everything stored below `out`."""
    started = time.monotonic()
    papers = paper_ids()
    folders = tuple(dict.fromkeys((*papers, *figure_folders())))
    site = Site(out, {"papers": folders, "version": __version__})
    site.write_assets()
    pages = CellPages(session, site)
    counts: list[dict[str, Any]] = []
    for name in folders:
        progress(name)
        views = {t: list(_views(session, load_paper(name), t)) for t in _result_tables(name)} if name in papers else {}
        for table, found in views.items():
            for view in found:
                pages.write(view.cells, table)
        counts += _counts(name, views)
        _paper_page(session, site, pages, name, views)
    for method in METHODS:
        method_page(session, site, pages, method)
    for dataset in DATASETS:
        dataset_page(site, dataset)
    ledgers = [(name, list(load_ledger(name).values())) for name in ledger_ids()]
    site.write("ledger.html", "ledger.html.j2", "Ledger of disagreements", ledgers=ledgers)
    honesty_page(site)
    _start_page(session, site, pages, counts)
    return Built(out / "index.html", site.pages, time.monotonic() - started)


def _result_tables(name: str) -> list[str]:
    return [table for table, rule in load_paper(name).tables.items() if rule.kind == "results"]


def _views(session: Session, paper: Paper, table: str) -> Iterator[View]:
    """Yield every profile and reading of a table that has stored runs; without any, the quick one, empty."""
    found = False
    for profile in reversed(PROFILES):
        for reading in paper.protocol.profiles[profile].readings:
            asked = Request(profile, (paper.id,), (f"{paper.id}/{table}",), readings=(reading,))
            cells = plan_cells(asked)
            own = [cell for cell in cells if not cell.reference]
            if any(session.find(spec) for cell in own for spec in cell.specs):
                found = True
                yield _view(session, paper, table, profile, reading, cells)
    if not found:
        asked = Request("paper", (paper.id,), (f"{paper.id}/{table}",), readings=("paper",))
        yield _view(session, paper, table, "paper", "paper", plan_cells(asked))


def _view(session: Session, paper: Paper, table: str, profile: str, reading: Reading, cells: list[PlannedCell]) -> View:
    result = assemble(paper, table, cells, session.find, session.stale, (reading,), session.renewed)
    return View(profile, reading, tuple(cells), result)


def _counts(name: str, views: dict[str, list[View]]) -> list[dict[str, Any]]:
    """Count the cells of a paper by profile and reading: what has a number, and every verdict and reason."""
    lines = []
    found = [view for part in views.values() for view in part]
    for profile, reading in dict.fromkeys((view.profile, view.reading) for view in found):
        counter: Counter[str] = Counter()
        for view in found:
            if (view.profile, view.reading) == (profile, reading):
                counter.update(_state(cell.results[reading]) for row in view.result.rows for cell in row.cells)
        states = {state: counter[state] for state in STATES}
        lines.append({"paper": name, "profile": profile, "reading": reading, **states})
    return lines


def _state(result: CellResult) -> str:
    if result.verdict:
        return result.verdict
    return NO_VERDICT if result.value is not None else NOT_RUN


def _paper_page(session: Session, site: Site, pages: CellPages, name: str, views: dict[str, list[View]]) -> None:
    paper = load_paper(name) if name in paper_ids() else None
    tables = []
    drawn = {t.table: t for t in stored_tables(session, Request(papers=(name,)), profile="quick")} if paper else {}
    for table, rule in paper.tables.items() if paper else ():
        if table in views:
            tables.append(_table(rule, table, views[table], pages))
        else:
            facts = drawn[table]
            assert not isinstance(facts, TableResult)
            lines = [dict(zip(facts.header, row, strict=True)) for row in facts.rows]
            tables.append(_heading(rule, table) | {"lines": lines, "views": [], "footnotes": facts.footnotes})
    site.write(
        f"papers/{name}.html",
        "paper.html.j2",
        name,
        heading=paper.protocol.title if paper else "Figures of our own",
        citation=paper.protocol.citation if paper else "",
        tables=tables,
        figures=[_figure(session, name, figure_id) for figure_id in _figures_of(name)],
    )


def _figures_of(name: str) -> list[str]:
    return list(load_figures(name)) if name in figure_folders() else []


def _figure(session: Session, folder: str, figure_id: str) -> dict[str, Any]:
    drawn = draw_figure(session, folder, load_figures(folder)[figure_id], None, "paper")
    described = drawn.rule.alt if drawn.drawing is not None else f"Not drawn: {drawn.missing}"
    data = svg_bytes(drawn.picture, drawn.rule.title)
    svg = inline_svg(data, slug(folder, figure_id), f"{drawn.rule.title}. {described}")
    return {"id": figure_id, "svg": svg, "caption": drawn.caption}


def _heading(rule: TableRule, table: str) -> dict[str, Any]:
    title = f"{rule.published}. {rule.title}"
    return {"id": table, "published": rule.published, "title": title, "footnotes": rule.footnotes, "lines": []}


def _table(rule: TableRule, table: str, views: list[View], pages: CellPages) -> dict[str, Any]:
    return _heading(rule, table) | {
        "profiles": list(dict.fromkeys(view.profile for view in views)),
        "readings": list(dict.fromkeys(view.reading for view in views)),
        "views": [_shown_view(view, pages) for view in views],
    }


def _shown_view(view: View, pages: CellPages) -> dict[str, Any]:
    result, reading = view.result, view.reading
    styles = highlights(result)
    apart = result.published_apart
    marks = notes.published_marks(result)
    blocks = lay_out(result, marks, result.decimals)
    # The legend is made of fixed sentences: nothing in it is to be escaped but the two samples.
    legend = notes.table_legend(blocks, '<b class="best">bold</b>', '<span class="near">underlined</span>')
    return {
        "profile": view.profile,
        "reading": reading,
        "reduced": notes.REDUCED if notes.is_reduced(result) else "",
        "circumstances": notes.circumstances(result),
        "settings": any(row.setting for row in result.rows),
        "columns": [f"{notes.dataset_label(column)} {column.metric_label}" for column in result.columns],
        "blocks": column_blocks(result.columns, len(result.readings)),
        "rows": [_shown_row(view, number, row, styles, marks, pages) for number, row in enumerate(result.rows)],
        "legend": Markup(legend),
        "notes": [_note(note) for note in notes.footnotes(result, blocks, marks)],
        "apart": [dict(zip(apart[0], row, strict=True)) for row in apart[1:]],
    }


def _note(note: notes.Footnote) -> str:
    mark = note.mark if note.mark in ("", DAGGER) else f"[{note.mark}]"
    return f"{mark} {note.text}".strip()


def _shown_row(
    view: View, number: int, row: Row, styles: dict[Position, Style], marks: dict[str, str], pages: CellPages
) -> dict[str, Any]:
    cells = []
    for place, (column, cell) in enumerate(zip(view.result.columns, row.cells, strict=True)):
        style = styles.get((number, place, view.reading), "plain")
        page = pages.page(view.result.paper, view.result.table, row.method, column.dataset, row.setting, view)
        cells.append(_shown_cell(cell, view.reading, view.result.decimals, style, marks, page))
    method = load_paper(view.result.paper).method(row.method).method
    return {
        "label": row.label,
        "setting": row.setting,
        "method": method if method in METHODS else "",
        "reference": row.reference,
        "cells": cells,
    }


def _shown_cell(
    cell: Cell, reading: str, decimals: int, style: Style, marks: dict[str, str], page: str
) -> dict[str, Any]:
    result = result_of(cell, reading)
    partial = is_incomplete(result)
    text = _number(result.value, result.sd, decimals)
    if result.value is None:
        nothing = "no value" if result.n_ok else NOT_RUN
        text = result.why or ("" if result.verdict == BLANK else result.verdict or nothing)
    published = cell.published.text(decimals) if cell.published else ""
    mark = marks.get(cell.published.note, "") if cell.published else ""
    difference = ""
    if result.value is not None and cell.published and not partial:
        difference = f"{result.value - cell.published.value:+.{decimals}f}"
    beside = {**result.counts, "stale": result.stale}
    extra = ", ".join(f"{n} {s}" for s, n in beside.items() if n and s not in ("ok",))
    extra = f" ({extra})" if extra else ""
    return {
        "text": text,
        "sort": "" if result.value is None else repr(float(result.value)),
        "style": "partial" if partial and result.value is not None else style,
        "page": page,
        "stale": DAGGER if result.stale and result.value is not None else "",
        "published": published + (f" [{mark}]" if mark else ""),
        "difference": difference,
        "verdict": result.verdict if result.value is not None else "",
        "runs": f"{result.n_ok}/{result.n} runs{extra}{DAGGER if result.stale else ''}" if result.run_ids else "",
    }


def _number(value: float | None, sd: float | None, decimals: int) -> str:
    if value is None:
        return ""
    return f"{value:z.{decimals}f}" + ("" if sd is None else f" ({sd:.{decimals}f})")


def _start_page(session: Session, site: Site, pages: CellPages, counts: list[dict[str, Any]]) -> None:
    records = [record for by_device in session.records.values() for record in by_device.values()]
    newest = sorted(records, key=lambda r: str(r.environment.get("date", "")), reverse=True)[:12]
    latest = [
        {
            "made": str(r.environment.get("date", ""))[:16].replace("T", " "),
            "cell": link(*cell) if (cell := pages.cell_of(r.run_id)) else None,
            "method": r.spec.method,
            "data set": r.spec.data.name,
            "replicate": r.spec.replicate,
            "profile": r.context.profile,
            "status": r.status,
            "loss": r.loss,
            "ACC [%]": 100 * r.metrics["acc"] if "acc" in r.metrics else None,
            "run": r.run_id,
        }
        for r in newest
    ]
    methods = [(name, _first_line(method)) for name, method in METHODS.items()]
    datasets = [(name, source.title) for name, source in DATASETS.items()]
    values = {"counts": counts, "latest": latest, "methods": methods, "datasets": datasets}
    site.write("index.html", "index.html.j2", f"What {len(records)} stored runs say", **values)


def _first_line(thing: Any) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0] if thing.__doc__ else ""
