"""From stored records to tables: selection, exact bootstrap and verdict of every cell. Nothing here trains."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from benchmark.analysis.absent import INSTALL
from benchmark.analysis.kinds import Find, cell_records, kinds_of
from benchmark.analysis.statistics import STATISTICS, MeasuredRun, measured, question
from benchmark.catalogue.datasets import dataset_facts
from benchmark.catalogue.networks import layers
from benchmark.measure.judgement import enough
from benchmark.measure.verdict import INCOMPLETE, NOT_JUDGED, NOT_RUN, OUT_OF_MEMORY
from benchmark.papers.paper import Paper
from benchmark.papers.protocol import ColumnRule, MetricRule, Reading
from benchmark.papers.published import Published
from benchmark.papers.tables import TableRule, statistic_of
from benchmark.plan.cells import PlannedCell
from benchmark.plan.guests import OWN_PROTOCOL
from benchmark.record import RunRecord
from benchmark.registry import DATASETS, METHODS
from benchmark.store.rows import device_of
from benchmark.tables.values import BLANK, Cell, CellResult, Column, DataTable, Row, TableResult

IsStale = Callable[[RunRecord], bool]
"""Says whether a record was made by other code than today's."""


def assemble(
    paper: Paper,
    name: str,
    cells: Sequence[PlannedCell],
    find: Find,
    stale: IsStale,
    readings: Sequence[Reading],
    renewed: IsStale = lambda record: False,
) -> TableResult:
    """Return the table `name` of `paper` for the planned `cells` (one profile), from stored records.

    `renewed` says which records of other code count as today's; how many there are is stated below the table.
    """
    table = paper.tables[name]
    mine = [cell for cell in cells if cell.paper == paper.id and cell.table == name]
    profile = mine[0].profile if mine else ""
    found = {_key(cell): cell for cell in mine}
    column_ids = list(dict.fromkeys(cell.column for cell in mine))
    columns = [(c, m) for c in column_ids for m in table.metrics]
    rows = []
    for row_id, setting in dict.fromkeys((cell.row, cell.setting) for cell in mine):
        drawn = []
        for column_id, metric_id in columns:
            planned = {r: found[key] for r in readings if (key := (row_id, setting, column_id, r)) in found}
            drawn.append(_cell(paper, table, planned, readings, row_id, column_id, setting, metric_id, find, stale))
        guest = next((cell for cell in mine if cell.row == row_id and cell.guest), None)
        label = paper.method(row_id).label + (f" ({OWN_PROTOCOL})" if guest and guest.own_protocol else "")
        reference = guest is None and row_id not in table.rows
        rows.append(Row(row_id, label, setting, reference, tuple(drawn), guest is not None))
    return TableResult(
        paper=paper.id,
        table=name,
        title=f"{table.published}. {table.title}",
        profile=profile,
        readings=tuple(readings),
        columns=tuple(_column(paper, c, m, paper.protocol.metrics[m]) for c, m in columns),
        rows=tuple(sorted(rows, key=lambda row: row.reference)),
        facts=_facts(mine, find, renewed, readings),
        footnotes=(*table.footnotes, *_guest_notes(paper, mine)),
        higher_is_better=_directions(paper, table),
        published_apart=_published_apart(paper, table) if profile == "quick" else (),
        unit=table.unit,
        decimals=table.decimals,
    )


def _guest_notes(paper: Paper, cells: Sequence[PlannedCell]) -> list[str]:
    """Say of each guest whose protocol it follows, and which package is missing."""
    guests = {cell.row: cell.own_protocol for cell in cells if cell.guest}
    whose = {
        False: "under the protocol of this table, where that concerns it",
        True: "under its own protocol, not that of this table",
    }
    here = {row: paper.method(row).method in METHODS for row in guests}
    return [
        f"{paper.method(row).label}: a guest that the paper does not list here, {whose[own]}"
        + ("." if here[row] else f"; {INSTALL}.")
        for row, own in guests.items()
    ]


def data_table(paper: Paper, name: str) -> DataTable:
    """Return a table of data sets: what the paper's reading uses, counted from the registered data sets."""
    table = paper.tables[name]
    header = ("data set", "reading", "name here", "dimension", "samples", "classes", "preprocessing", "ledger")
    rows = []
    for column_id in table.columns:
        rule = paper.protocol.columns[column_id]
        seen: dict[str, tuple[str, ...]] = {}
        for reading, data in (("paper", rule.paper), ("code", rule.code)):
            facts = _source_facts(data.dataset)
            line = (data.dataset, *facts, ", ".join(data.preprocess) or "-", " ".join(data.ledger) or "-")
            if line in seen.values():
                seen = {"both": line}
            else:
                seen[reading] = line
        rows += [(rule.label, reading, *line) for reading, line in seen.items()]
    return DataTable(paper.id, name, f"{table.published}. {table.title}", header, tuple(rows), table.footnotes)


def network_table(paper: Paper, name: str) -> DataTable:
    """Return a table of the layers of a registered network, as they are declared."""
    table = paper.tables[name]
    header = ("layer", "type", "filter size", "filters", "batch norm")
    rows = tuple(
        (
            layer.name,
            layer.kind.lower(),
            f"{layer.size}x{layer.size}" if layer.size else "2x2",
            "-" if layer.filters is None else str(layer.filters),
            "yes" if layer.batch_norm else "no",
        )
        for layer in layers(table.network)
    )
    return DataTable(paper.id, name, f"{table.published}. {table.title}", header, rows, table.footnotes)


def facts_table(paper: Paper, name: str) -> DataTable:
    """Return a table of facts as the paper declares them, with their source below."""
    table = paper.tables[name]
    notes = (*table.footnotes, f"Source: {table.source.rstrip('.')}.")
    return DataTable(paper.id, name, f"{table.published}. {table.title}", table.header, table.facts, notes)


DECLARED = {"data": data_table, "network": network_table, "facts": facts_table}
"""The kinds of tables that need no runs, and what makes them."""


def cell_result(
    planned: PlannedCell, table: TableRule, metric: MetricRule, published: Published | None, find: Find, stale: IsStale
) -> CellResult:
    """Return the result of one planned cell for one metric."""
    if planned.reason:
        return CellResult(verdict=planned.reason)
    records = cell_records(planned.specs, find)
    counts = Counter(record.status for record in records.values())
    missing = len(planned.specs) - len(records)
    runs, why = measured(records.values(), metric, find)
    result = CellResult(
        n_ok=len(runs),
        n=len(planned.specs),
        counts={str(status): count for status, count in counts.items()} | ({"missing": missing} if missing else {}),
        stale=sum(stale(record) for record in records.values()),
        run_ids=tuple(records),
        devices=tuple(sorted({device_of(r) for r in records.values()})),
        machines=tuple(map(str, kinds_of(records.values()))),
        why=why,
    )
    if records and all(record.error.startswith(OUT_OF_MEMORY) for record in records.values()):
        return replace(result, verdict=OUT_OF_MEMORY)
    if not runs:
        return replace(result, verdict=NOT_RUN if missing == len(planned.specs) else INCOMPLETE)
    statistic = STATISTICS[statistic_of(table, metric)]
    value = statistic.value(runs)
    # One run says nothing of how the number would vary, and has no sd of its own.
    sd = statistic.sd(runs) if len(runs) > 1 else None
    shown = replace(result, value=None if math.isnan(value) else value, sd=sd)
    return _with_verdict(shown, planned, metric, runs, statistic_of(table, metric), published)


def _with_verdict(
    result: CellResult,
    planned: PlannedCell,
    metric: MetricRule,
    runs: Sequence[MeasuredRun],
    statistic: str,
    published: Published | None,
) -> CellResult:
    """Return a result with its verdict, given in the paper profile as it stands to what enough of all runs entered."""
    full = planned.profile == "paper"
    lacking = full and (planned.reduced or not enough(len(runs), len(planned.specs)))
    if result.counts.get("missing") or lacking:
        return replace(result, verdict=INCOMPLETE)
    if not full or planned.overrides or published is None or result.value is None:
        return result
    asked = None
    if metric.judged:
        asked = question(runs, STATISTICS[statistic], published, planned.deterministic)
    if asked is None:
        return replace(result, verdict=NOT_JUDGED)
    judgement = asked.answer()
    return replace(result, verdict=judgement.name, judgement=judgement)


def _cell(
    paper: Paper,
    table: TableRule,
    planned: Mapping[Reading, PlannedCell],
    readings: Sequence[Reading],
    row_id: str,
    column_id: str,
    setting: str,
    metric_id: str,
    find: Find,
    stale: IsStale,
) -> Cell:
    metric = paper.protocol.metrics[metric_id]
    published = paper.published_value(
        *(table, paper.method(row_id), paper.protocol.columns[column_id], setting, metric, statistic_of(table, metric))
    )
    results = {str(r): cell_result(cell, table, metric, published, find, stale) for r, cell in planned.items()}
    if column_id not in (paper.method(row_id).columns or (column_id,)):
        results = {str(r): CellResult(verdict=BLANK) for r in readings}
    return Cell(published, results)


def _key(cell: PlannedCell) -> tuple[str, str, str, Reading]:
    return cell.row, cell.setting, cell.column, cell.reading


def _column(paper: Paper, column_id: str, metric_id: str, metric: MetricRule) -> Column:
    rule = paper.protocol.columns[column_id]
    return Column(column_id, metric_id, rule.label, metric.label, rule.stand_in, rule.note)


def _facts(cells: Sequence[PlannedCell], find: Find, renewed: IsStale, readings: Sequence[Reading]) -> tuple[str, ...]:
    """State what was spent: runs, budgets and samples, from the specifications themselves."""
    runs = sorted({cell.runs for cell in cells if cell.resolved})
    specs = [cell.resolved.spec for cell in cells if cell.resolved]
    budgets = {
        f"{phase.budget.amount} {phase.budget.unit} ({name})"
        for spec in specs
        for name, phase in spec.protocol.phases.items()
    }
    samples = sorted({spec.data.samples for spec in specs if spec.data.samples is not None})
    facts = [f"runs {'/'.join(map(str, runs))}"] if runs else []
    facts += [", ".join(sorted(budgets))] if budgets else []
    facts += [f"uniform subsets of {'/'.join(map(str, samples))} samples of larger sets" if samples else "all samples"]
    overrides = sorted({cell.overrides for cell in cells if cell.overrides})
    shown = [spec for cell in cells if cell.reading in readings for spec in cell.specs]
    older = {r.run_id for spec in shown for r in find(spec) if renewed(r)}
    renewals = [f"{len(older)} runs made by earlier code and renewed (`results renew`)"] if older else []
    return (*facts, *(f"changed by --set: {text}" for text in overrides), *renewals, *_mixed(cells, find, readings))


def _mixed(cells: Sequence[PlannedCell], find: Find, readings: Sequence[Reading]) -> Iterator[str]:
    """Yield how many cells no single kind of machine has all runs of, so that they hold runs of several."""
    shown = (cell for cell in cells if cell.reading in readings)
    mixed = [kinds for cell in shown if len(kinds := kinds_of(cell_records(cell.specs, find).values())) > 1]
    if mixed:
        names = sorted({str(kind) for kinds in mixed for kind in kinds})
        yield f"{len(mixed)} cells hold runs of several kinds of machines ({'; '.join(names)})"


def _source_facts(name: str) -> tuple[str, str, str]:
    if name not in DATASETS:
        return ("no loader yet", "-", "-")
    source = dataset_facts(name)
    return "x".join(map(str, source.shape)), str(source.n_samples), str(source.n_clusters)


def _directions(paper: Paper, table: TableRule) -> dict[str, bool]:
    """Return which direction of each metric is better; a spread over runs has none."""
    metrics = {name: paper.protocol.metrics[name] for name in table.metrics}
    ranked = {name: metric for name, metric in metrics.items() if STATISTICS[statistic_of(table, metric)].ranked}
    return {name: metric.higher_is_better for name, metric in ranked.items()}


def _published_apart(paper: Paper, table: TableRule) -> tuple[tuple[str, ...], ...]:
    """Return the published values as text: a header and a row for each method and setting."""
    columns: list[tuple[ColumnRule, MetricRule]] = [
        (paper.protocol.columns[c], paper.protocol.metrics[m])
        for c in table.columns
        if paper.protocol.columns[c].published
        for m in table.metrics
        if paper.protocol.metrics[m].published
    ]
    if not columns:
        return ()
    lines = [("method", *(f"{c.label} {m.label}" for c, m in columns))]
    labels = [""] if not table.grid else _published_settings(paper, table)
    for row_id in table.rows:
        row = paper.method(row_id)
        for setting in labels:
            values = [paper.published_value(table, row, c, setting, m, statistic_of(table, m)) for c, m in columns]
            label = f"{row.label} {setting}".strip()
            lines.append((label, *(_shown(value, table.decimals) for value in values)))
    return tuple(lines)


def _published_settings(paper: Paper, table: TableRule) -> list[str]:
    return list(dict.fromkeys(row["setting"] for row in paper.published if row["table"] == table.published))


def _shown(value: Published | None, decimals: int) -> str:
    return "-" if value is None else value.text(decimals)
