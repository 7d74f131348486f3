"""Pages of the report for papers: their tables in every profile and reading, and their figures."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from benchmark.analysis.figures import draw_figure, figure_folders, load_figures
from benchmark.analysis.tables import stored_tables
from benchmark.figures.kit import svg_bytes
from benchmark.measure.verdict import NOT_RUN
from benchmark.papers.paper import load_paper, paper_ids
from benchmark.papers.tables import TableRule
from benchmark.plan.request import Request
from benchmark.registry import METHODS
from benchmark.report.cells import CellPages
from benchmark.report.ranges import range_svg
from benchmark.report.site import Site, inline_svg, slug
from benchmark.report.views import View, number
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
from benchmark.tables.values import BLANK, Cell, Row, TableResult


def paper_page(session: Session, site: Site, pages: CellPages, name: str, views: dict[str, list[View]]) -> None:
    """Write the page of a paper, or of a folder with figures of our own; `views` are those of its tables by id."""
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
    _tell_apart(tables)
    site.write(
        f"papers/{name}.html",
        "paper.html.j2",
        name,
        heading=paper.protocol.title if paper else "Figures of our own",
        citation=paper.protocol.citation if paper else "",
        tables=tables,
        figures=[_figure(session, name, figure_id) for figure_id in figures_of(name)],
    )


def figures_of(name: str) -> list[str]:
    """Return the ids of the figures that a folder declares."""
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


def _tell_apart(tables: list[dict[str, Any]]) -> None:
    """Give those tables their whole title as a name that were printed as a part of one above."""
    seen: set[str] = set()
    for table in tables:
        if table["published"] in seen:
            table["published"] = table["title"]
        seen.add(table["published"])


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
    text = number(result.value, result.sd, decimals)
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
        "range": range_svg(result.judgement) if result.value is not None else "",
        "runs": f"{result.n_ok}/{result.n} runs{extra}{DAGGER if result.stale else ''}" if result.run_ids else "",
    }
