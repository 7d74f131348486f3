"""The tables of a request, from stored records; nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmark.analysis.absent import absent_cells, absent_methods
from benchmark.analysis.assemble import DECLARED, assemble
from benchmark.papers.paper import Paper
from benchmark.papers.protocol import PROFILES, READINGS, Reading
from benchmark.papers.tables import TableRule
from benchmark.plan.cells import PlannedCell, plan_cells, selected_tables
from benchmark.plan.request import Request
from benchmark.session import Session
from benchmark.tables.values import DataTable, TableResult


def stored_tables(session: Session, request: Request, *, profile: str | None = None) -> list[TableResult | DataTable]:
    """Return the tables of a request from stored records.

    Without a `profile`, every profile with stored records for a table is drawn, or quick where none has. Readings
    are those asked for, else those with stored records.
    """
    drawn: list[TableResult | DataTable] = []
    absent = absent_methods(session, request)
    for paper, name, rule in selected_tables(request):
        if rule.kind in DECLARED:
            drawn.append(DECLARED[rule.kind](paper, name))
            continue
        drawn += _results_tables(session, paper, name, rule, request, (profile,) if profile else PROFILES, absent)
    return drawn


def _results_tables(
    session: Session,
    paper: Paper,
    name: str,
    rule: TableRule,
    request: Request,
    profiles: Sequence[str],
    absent: Sequence[str],
) -> list[TableResult | DataTable]:
    found: list[TableResult | DataTable] = []
    for profile in profiles:
        offered = paper.protocol.profiles[profile].readings
        readings = tuple(r for r in request.readings or READINGS if r in offered)
        cells = _cells(session, _only(request, paper, name, profile, readings or offered[:1]), absent)
        if not cells:
            continue
        stored = [cell for cell in cells if any(session.find(spec) for spec in cell.specs)]
        # A reference row may be the same run in both readings, and says nothing about which of them was run.
        telling = [cell for cell in stored if not cell.reference] or stored[:1]
        shown = request.readings or tuple(r for r in READINGS if any(cell.reading == r for cell in telling))
        if stored or len(profiles) == 1:
            found.append(
                assemble(paper, name, cells, session.find, session.stale, shown or ("paper",), session.renewed)
            )
    if not found:
        cells = _cells(session, _only(request, paper, name, "quick", ("paper",)), absent)
        if cells:
            found.append(assemble(paper, name, cells, session.find, session.stale, ("paper",), session.renewed))
    return found


def _cells(session: Session, request: Request, absent: Sequence[str]) -> list[PlannedCell]:
    """Return the planned cells of a request, and those of guests that are stored and not installed."""
    if not absent:
        return plan_cells(request)
    present = tuple(name for name in request.methods if name not in absent)
    cells = plan_cells(replace(request, methods=present)) if present else []
    return [*cells, *absent_cells(session, absent, plan_cells(replace(request, methods=())))]


def _only(request: Request, paper: Paper, table: str, profile: str, readings: tuple[Reading, ...]) -> Request:
    """Return the request restricted to one table, profile and set of readings."""
    return Request(
        profile=profile,
        papers=(paper.id,),
        tables=(f"{paper.id}/{table}",),
        methods=request.methods,
        datasets=request.datasets,
        readings=readings,
        sets=request.sets,
        runs=request.runs,
        record=request.record,
        settings=request.settings,
        own_protocol=request.own_protocol,
    )
