"""The page that compares two stores: what moved between two versions of the code, or two machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from benchmark.analysis.moved import MOVED, ONE_RUN, SAME, WITHIN, MovedCell, metric_of, moved_cells
from benchmark.errors import UserError
from benchmark.papers.paper import load_paper
from benchmark.report.cells import CellPages
from benchmark.report.ranges import span_svg
from benchmark.report.site import Site, link, rounded
from benchmark.report.views import View
from benchmark.session import Session

FILE = "against.html"

WORDS = (MOVED, WITHIN, ONE_RUN, SAME)

MOST_RUNS = 500
"""So many runs that differ are listed, those that part the most first."""


def against_page(
    session: Session, other: Session, site: Site, pages: CellPages, views: Sequence[View]
) -> dict[str, int]:
    """Write the page that compares `session` with `other`; return how many numbers have which word.

    UserError where the other store holds nothing.
    """
    if not other.records:
        raise UserError(f"{other.results} holds no run to compare with: name a results folder with --against.")
    found = [
        (view, moved) for view in views for moved in moved_cells(session, other, [c for c in view.cells if c.specs])
    ]
    found.sort(key=lambda pair: (WORDS.index(pair[1].word), -abs(pair[1].difference)))
    counts = Counter(moved.word for _, moved in found)
    site.write(
        FILE,
        "against.html.j2",
        "What moved",
        here=str(session.results),
        there=str(other.results),
        counts=[(word, counts[word]) for word in WORDS],
        only=_only(session, other),
        lines=[_line(pages, view, moved) for view, moved in found],
        runs=_runs([moved for _, moved in found]),
        most=MOST_RUNS,
    )
    return {word: counts[word] for word in WORDS}


def _only(session: Session, other: Session) -> dict[str, int]:
    mine, theirs = session.records.keys(), other.records.keys()
    return {"in both": len(mine & theirs), "only here": len(mine - theirs), "only there": len(theirs - mine)}


def _line(pages: CellPages, view: View, moved: MovedCell) -> dict[str, Any]:
    cell, paper = moved.cell, load_paper(moved.cell.paper)
    decimals = paper.table(cell.table).decimals + 1
    name = f"{cell.paper} {cell.table}"
    page = pages.page(cell.paper, cell.table, cell.row, cell.column, cell.setting, view)
    return {
        "what": Markup('<span class="chip {}">{}</span>').format(moved.word.replace(" ", "-"), moved.word),
        "cell": link(page, name) if page else name,
        "method": paper.method(cell.row).label,
        "data set": paper.protocol.columns[cell.column].label,
        "setting": cell.setting,
        "profile": cell.profile,
        "reading": cell.reading,
        "metric": metric_of(moved).label,
        "mean here": rounded(moved.here, decimals),
        "mean there": rounded(moved.there, decimals),
        "here - there": rounded(moved.difference, decimals, signed=True),
        "95 % interval": _interval(moved, decimals),
        "range": _range(moved),
        "runs in both": moved.both,
        "of them differ": len(moved.runs),
        "only here": moved.only_here,
        "only there": moved.only_there,
        "code": "equal" if set(moved.code[0]) == set(moved.code[1]) else "another",
        "machine here": "; ".join(moved.machines[0]),
        "machine there": "; ".join(moved.machines[1]),
    }


def _interval(moved: MovedCell, decimals: int) -> str:
    return "" if moved.interval is None else f"{moved.interval[0]:+.{decimals}f} to {moved.interval[1]:+.{decimals}f}"


def _range(moved: MovedCell) -> Markup:
    rule = load_paper(moved.cell.paper).table(moved.cell.table)
    if moved.interval is None or rule.unit != "%":
        return Markup("")
    low, high = moved.interval
    said = f"here minus there {moved.difference:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}"
    return span_svg(moved.word.replace(" ", "-"), moved.difference, moved.interval, moved.interval, said)


def _runs(found: Sequence[MovedCell]) -> list[dict[str, Any]]:
    """Return a line for each run that differs, once for each metric, those that part the most first."""
    lines: dict[tuple[str, str], tuple[float, dict[str, Any]]] = {}
    for moved in found:
        label, decimals = metric_of(moved).label, load_paper(moved.cell.paper).table(moved.cell.table).decimals + 1
        for run in moved.runs:
            gap = abs(run.value[0] - run.value[1]) if None not in run.value else float("inf")  # type: ignore[operator]
            line = {
                "run": run.run_id,
                "cell": f"{moved.cell.paper} {moved.cell.table}",
                "method": moved.cell.row,
                "data set": moved.cell.column,
                "replicate": run.replicate,
                "status": run.status[0] if run.status[0] == run.status[1] else " / ".join(run.status),
                "loss here": run.loss[0],
                "loss there": run.loss[1],
                "metric": label,
                "here": rounded(run.value[0], decimals),
                "there": rounded(run.value[1], decimals),
            }
            lines.setdefault((run.run_id, label), (gap, line))
    ordered = sorted(lines.values(), key=lambda pair: -pair[0])
    return [line for _, line in ordered[:MOST_RUNS]]
