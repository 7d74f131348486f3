"""Where a cell comes from: its runs, streams, protocol with ledger entries, data and environment."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmark.analysis.assemble import cell_result
from benchmark.analysis.kinds import USED, cell_records, kinds_of, other_records
from benchmark.analysis.statistics import STATISTICS, MeasuredRun, measured
from benchmark.analysis.verdicts import unjudged, verdict_facts
from benchmark.catalogue.datasets import dataset_facts
from benchmark.errors import UsageError, did_you_mean
from benchmark.measure.selection import selection_regret
from benchmark.papers.paper import Paper, load_paper
from benchmark.papers.protocol import PROFILES, MetricRule
from benchmark.papers.published import Published
from benchmark.papers.tables import statistic_of
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.lineage import parent_of
from benchmark.plan.request import Request
from benchmark.record import RunRecord
from benchmark.session import Session
from benchmark.store.rows import kind_of
from benchmark.streams import Streams
from benchmark.tables.values import CellResult


def find_cell(session: Session, request: Request, profile: str | None) -> PlannedCell:
    """Return the one cell that a request with a table, a method and a data set asks for.

    Where the profile, the reading or the setting is left open, it is the cell with the largest share of stored runs.
    """
    (table,), (method,), (dataset,) = request.tables, request.methods, request.datasets
    if "/" not in table:
        raise UsageError(f"write the table as PAPER/TABLE, not {table!r}: see `python -m benchmark ls tables`.")
    paper, _, name = table.partition("/")
    rule, profiles = load_paper(paper).table(name), load_paper(paper).protocol.profiles
    if rule.kind != "results":
        raise UsageError(f"{table} lists facts, and no run stands behind it: draw it with the command `tables`.")
    if profile is not None and profile not in profiles:
        raise UsageError(did_you_mean("profile", profile, profiles))
    found: list[PlannedCell] = []
    for candidate in (profile,) if profile else tuple(reversed(PROFILES)):
        offered = profiles[candidate].readings
        readings = tuple(r for r in request.readings or offered if r in offered)
        if readings:
            found += plan_cells(replace(request, profile=candidate, readings=readings))
    if not found:
        raise UsageError(f"{table} has no such cell for {method} on {dataset}: see `tables --table {table}`.")
    return max(found, key=lambda cell: sum(bool(session.find(spec)) for spec in cell.specs) / max(1, cell.runs))


def explain_cell(session: Session, cell: PlannedCell, metric_id: str, *, numbers_only: bool = False) -> dict[str, Any]:
    """Return all that is known of a cell, as plain values ready for JSON.

    With `numbers_only` what is of all metrics is left out: of each run there is only the value.
    """
    paper = load_paper(cell.paper)
    table = paper.table(cell.table)
    if metric_id not in table.metrics:
        raise UsageError(did_you_mean(f"metric of {cell.paper}/{cell.table}", metric_id, table.metrics))
    metric = paper.protocol.metrics[metric_id]
    row, column = paper.method(cell.row), paper.protocol.columns[cell.column]
    statistic = statistic_of(table, metric)
    published = paper.published_value(table, row, column, cell.setting, metric, statistic)
    result = cell_result(cell, table, metric, published, session.find, session.stale)
    records = cell_records(cell.specs, session.find)
    runs, _ = measured(records.values(), metric, session.find)
    numbers = {
        "cell": {
            "table": f"{cell.paper}/{cell.table}",
            "title": table.title,
            "method": row.label,
            "data": column.label,
            "metric": f"{metric.label} ({metric.column})",
            "setting": cell.setting,
            "reading": cell.reading,
            "profile": cell.profile,
            "statistic": statistic,
        },
        "published": _published(published, table.decimals),
        "ours": _ours(result, runs, metric, unjudged(cell, published)),
        "verdict": verdict_facts(result, cell, published, runs, STATISTICS[statistic]),
    }
    if numbers_only:
        found = {run.record.run_id: run.value for run in runs}
        return numbers | {"runs": [{"value": found.get(run_id)} for run_id in records]}
    return numbers | {
        "runs": [_run(session, record, metric) for record in records.values()],
        "machines": _machines(session, cell, records),
        "streams": _streams(records),
        "data": _data(cell),
        "protocol": _protocol(cell, paper),
        "ledger": _ledger(cell, paper, metric),
        "environment": _environments(records),
        "command": _command(cell, paper),
    }


def shortened(facts: dict[str, Any]) -> dict[str, Any]:
    """Return of the facts of `explain_cell` what a cell is, both numbers, the verdict and the command."""
    verdict = {
        key: value for key, value in facts["verdict"].items() if key in ("verdict", "difference", "interval95", "why")
    }
    kept = {name: facts[name] for name in ("cell", "published", "ours", "command")}
    return kept | ({"verdict": verdict} if verdict else {})


def as_text(facts: dict[str, Any]) -> str:
    """Return the facts of `explain_cell` as text for a terminal."""
    lines: list[str] = []
    for name, part in facts.items():
        lines.append(name.upper())
        if isinstance(part, dict):
            lines += [f"  {_said(key)}: {_short(value)}" for key, value in part.items()]
        elif isinstance(part, list) and part and isinstance(part[0], dict):
            lines += _grid(part)
        else:
            lines.append(f"  {_short(part)}" if part else "  none")
        lines.append("")
    return "\n".join(lines)


def _published(published: Published | None, decimals: int) -> dict[str, Any]:
    if published is None:
        return {"value": "the paper gives none for this cell"}
    shown = published.text(decimals)
    return {"value": published.value, "sd": published.sd, "shown_as": shown, "note": published.note}


def _ours(result: CellResult, runs: list[MeasuredRun], metric: MetricRule, unjudged: str) -> dict[str, Any]:
    facts: dict[str, Any] = {"value": result.value, "sd": result.sd, "runs": f"{result.n_ok}/{result.n}"}
    facts["counts"], facts["stale"] = result.counts, result.stale
    facts["verdict"] = result.verdict or unjudged
    facts |= {"no_value_because": result.why} if result.why else {}
    if runs:
        losses, values = [run.loss for run in runs], [run.value for run in runs]
        facts["selected_run"] = min(runs, key=lambda run: (run.loss, run.record.spec.replicate)).record.run_id
        sign = 1 if metric.higher_is_better else -1
        facts["selection_regret"] = selection_regret(losses, [sign * value for value in values])
        facts["mean_over_runs"] = sum(values) / len(values)
        facts["highest_over_runs"] = max(values)
        facts |= {} if metric.higher_is_better else {"lowest_over_runs": min(values)}
    return facts


def _run(session: Session, record: RunRecord, metric: MetricRule) -> dict[str, Any]:
    runs, _ = measured([record], metric, session.find)
    return {
        "run_id": record.run_id,
        "replicate": record.spec.replicate,
        "status": record.status,
        "loss": record.loss,
        "value": runs[0].value if runs else None,
        "seconds": round(record.seconds, 1),
        **_pretraining(session, record),
        "device": record.environment.get("device"),
        "code": record.code_digest + _age(session, record),
        "stored_in": str(session.store.origin(record.run_id, kind_of(record))),
        "error": record.error,
    }


def _machines(session: Session, cell: PlannedCell, records: dict[str, RunRecord]) -> dict[str, Any]:
    """Return of which kinds of machines the cell is, by which rule, and what is stored of others and how it differs."""
    used = kinds_of(records.values())
    held = [record for spec in cell.specs for record in session.held(spec)]
    facts: dict[str, Any] = {"used": "; ".join(map(str, used)), "rule": USED} if used else {}
    facts |= {"mixed": "no kind of machine has all runs"} if len(used) > 1 else {}
    return facts | {f"not used, {n}": line for n, line in enumerate(other_records(records, held), start=1)}


def _pretraining(session: Session, record: RunRecord) -> dict[str, Any]:
    """Return the run that a record starts from, and the seconds with it; nothing where it starts from none."""
    parent = parent_of(record.spec)
    if parent is None:
        return {}
    held = session.parent(record)
    return {
        "seconds_with_pretraining": round(record.seconds + held.seconds, 1) if held else None,
        "starts_from": parent.run_id,
    }


def _age(session: Session, record: RunRecord) -> str:
    return " stale" if session.stale(record) else " renewed" if session.renewed(record) else ""


def _streams(records: dict[str, RunRecord]) -> list[dict[str, Any]]:
    """Return the seed of every stream that the stored runs used, a line for each stream."""
    names = sorted({name for record in records.values() for name in record.environment.get("streams", ())})
    return [
        {
            "stream": name,
            **{
                f"r={record.spec.replicate}": Streams(record.spec.data.name, record.spec.replicate).seed(name)
                for record in records.values()
            },
        }
        for name in names
    ]


def _data(cell: PlannedCell) -> dict[str, Any]:
    if cell.resolved is None:
        return {"state": cell.reason}
    spec = cell.resolved.spec.data
    source = dataset_facts(spec.name)
    return {
        "name": spec.name,
        "title": source.title,
        "digest": spec.digest,
        "samples": f"{spec.samples or source.n_samples} of {source.n_samples}",
        "shape": "x".join(map(str, source.shape)),
        "classes": source.n_clusters,
        "preprocessing": ", ".join(spec.preprocess) or "none",
        "stand_in_for": source.stand_in_for or "-",
        "licence": source.licence,
    }


def _protocol(cell: PlannedCell, paper: Paper) -> list[dict[str, Any]]:
    if cell.resolved is None:
        return []
    return [
        {
            "field": item.path,
            "value": _short(item.value),
            "from": item.origin,
            "ledger": " ".join(f"{e}[{paper.ledger[e].severity}]" for e in item.ledger if e in paper.ledger),
        }
        for item in cell.resolved.fields
    ]


def _ledger(cell: PlannedCell, paper: Paper, metric: MetricRule) -> list[dict[str, Any]]:
    if cell.resolved is None:
        return []
    ids = dict.fromkeys(e for item in cell.resolved.fields for e in item.ledger)
    entries = [paper.ledger[e] for e in (*ids, *metric.ledger) if e in paper.ledger]
    return [{"id": e.id, "severity": e.severity, "title": e.title, "our_choice": e.choice} for e in entries]


def _environments(records: dict[str, RunRecord]) -> list[dict[str, Any]]:
    """Return each environment once, with the replicates made in it."""
    seen: dict[str, tuple[dict[str, Any], list[int]]] = {}
    for record in records.values():
        shown = {k: v for k, v in record.environment.items() if k not in ("streams", "date")}
        seen.setdefault(json.dumps(shown, sort_keys=True), (shown, []))[1].append(record.spec.replicate)
    return [{"replicates": " ".join(map(str, made)), **shown} for shown, made in seen.values()]


def _command(cell: PlannedCell, paper: Paper) -> str:
    """Return the command that makes the runs of the cell again, ready for a shell; "" for a cell without runs."""
    if not cell.specs:
        return ""
    words = ["python", "-m", "benchmark", "run", "--table", f"{cell.paper}/{cell.table}", "--method", cell.row]
    words += ["--dataset", cell.column, "--profile", cell.profile, "--reading", cell.reading]
    words += ["--setting", cell.setting] if cell.setting else []
    words += [word for text in cell.overrides.split(";") if text for word in ("--set", text)]
    words += ["--own-protocol"] if cell.own_protocol else []
    if cell.runs != paper.table(cell.table).runs.get(cell.profile, paper.protocol.profiles[cell.profile].runs):
        words += ["--runs", str(cell.runs)]
    return shlex.join([*words, "--fresh"])


def _grid(rows: Sequence[dict[str, Any]]) -> list[str]:
    header = list(rows[0])
    table = [list(map(_said, header)), *([_short(row[key]) for key in header] for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(header))]
    return ["  " + "  ".join(t.ljust(w) for t, w in zip(line, widths, strict=True)).rstrip() for line in table]


def _said(key: str) -> str:
    return key.replace("_", " ")


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list) and value and all(isinstance(number, float) for number in value):
        return json.dumps([float(f"{number:.6g}") for number in value])
    if isinstance(value, dict | list):
        return json.dumps(value)
    return "-" if value in (None, "") else str(value)
