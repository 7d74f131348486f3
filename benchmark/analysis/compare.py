"""Methods against each other on stored runs: which cells, which runs pair up, and what the comparison says."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any, TypeVar

import numpy as np

from benchmark.analysis.kinds import cell_records, kinds_of, shared_kind
from benchmark.analysis.statistics import measured
from benchmark.analysis.winners import tally, winners
from benchmark.errors import UsageError, UserError, did_you_mean
from benchmark.measure.comparison import (
    LEVEL,
    Comparison,
    average_ranks,
    compare_paired,
    compare_unpaired,
    critical_difference,
    holm,
)
from benchmark.papers.paper import load_paper
from benchmark.papers.protocol import PROFILES, READINGS, MetricRule, Reading
from benchmark.papers.tables import TableRule, settings
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.record import COUNTED, RunRecord
from benchmark.session import Session
from benchmark.store.rows import Kind, kind_of

MIN_DATASETS = 5
"""From so many data sets on, mean ranks and a critical difference are given."""

_SHARED = ("init:", "batches:")

_K = TypeVar("_K", bound=Hashable)


def compare_methods(session: Session, request: Request, metric_id: str, profile: str | None) -> dict[str, Any]:
    """Return what stored runs say about every pair of methods of `request`, on every data set they have in common.

    `request` names a setting of the table where it has several. The answer is plain values: `table`, `setting`,
    `profile`, `metric`, `pairs` (a line for each pair and data set), `winners` (a line for each data set), `wins` (how
    often each method is best), `ranks` (mean ranks with the critical difference, from five data sets up) and `notes`.
    """
    metric = _metric(request, metric_id)
    setting = setting_of(request.tables[0], next(iter(request.settings), None))
    unmeasured, lacking, found = "", "", {}
    for name in (profile,) if profile else tuple(reversed(PROFILES)):
        cells = _cells(replace(request, profile=name))
        held = {key: measured_runs(session, cell, metric, f"{key[0]} on {key[1]}") for key, cell in cells.items()}
        values = {key: runs for key, (runs, _) in held.items() if runs}
        without = [sentence for _, sentence in held.values() if sentence]
        if pairs := _pairs(values, request.methods, partial(alike, session, cells, metric)):
            found[name] = _answer(request, name, setting, metric, values, pairs, without)
            if {method for method, _ in values} == set(request.methods):
                return found[name]
        else:
            unmeasured = unmeasured or next(iter(without), "")
            lacking = _missing(request, name, cells, values) or lacking
    # No profile has runs of all the methods: the fullest that has runs of two.
    for answer in found.values():
        return answer
    where = f"the {profile} profile" if profile else "any profile"
    where += f" at {setting}" if setting else ""
    none = f"no cell of {where} has all these methods: see `python -m benchmark ls tables`."
    raise UserError(unmeasured or lacking or none)


def comparison_text(answer: dict[str, Any]) -> str:
    """Return the answer of `compare_methods` as text."""
    place = answer["table"] + (f" at {answer['setting']}" if answer["setting"] else "")
    lines = [f"{answer['metric']} of {place}, profile {answer['profile']}, reading {answer['reading']}", ""]
    header = ("A", "B", "data set", "runs", "A mean", "B mean", "A - B", "95 % interval", "P(A > B)", "p", "p (Holm)")
    rows = [header, *(_line(pair) for pair in answer["pairs"])]
    widths = [max(len(row[place]) for row in rows) for place in range(len(header))]
    lines += ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += ["", *_winner_lines(answer)]
    if answer["ranks"]:
        ranks = ", ".join(f"{name} {rank:.2f}" for name, rank in answer["ranks"]["means"].items())
        lines += ["", f"mean ranks: {ranks}; critical difference {answer['ranks']['critical_difference']:.2f}"]
    return "\n".join([*lines, "", *answer["notes"]])


def _winner_lines(answer: dict[str, Any]) -> list[str]:
    """Return who is best on each data set as lines of text."""
    header = ("data set", "best", "mean", "next", "mean", "lead, 95 % interval", "clear")
    rows = [header]
    for line in answer["winners"]:
        means = (f"{line['mean']:.2f}", f"{line['next_mean']:.2f}")
        best = line["winner"] or "tie"
        lead = "-" if line["interval"] is None else f"{line['lead']:+.2f} {interval_text(line['interval'])}"
        clear = "yes" if line["clear"] else "no"
        rows.append((line["dataset"], best, means[0], line["next"], means[1], lead, clear))
    widths = [max(len(row[place]) for row in rows) for place in range(len(header))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    won = ", ".join(f"{line['method']} {line['wins']} ({line['clear_wins']} clear)" for line in answer["wins"])
    return [*lines, "", f"best on so many of {len(answer['winners'])} data sets: {won}"]


def _line(pair: dict[str, Any]) -> tuple[str, ...]:
    runs = f"{pair['n_a']} pairs" if pair["paired"] else f"{pair['n_a']} and {pair['n_b']}"
    p = f"not shown: {pair['smallest_p']:.4g} at best" if pair["p"] is None else f"{pair['p']:.4f}"
    adjusted = "-" if pair["p_holm"] is None else f"{pair['p_holm']:.4f}"
    numbers = (f"{pair['mean_a']:.2f}", f"{pair['mean_b']:.2f}", f"{pair['difference']:+.2f}")
    tail = (interval_text(pair["interval"]), f"{pair['improvement']:.2f}", p, adjusted)
    return (pair["a"], pair["b"], pair["dataset"], runs, *numbers, *tail)


def interval_text(interval: tuple[float, float] | None, digits: str = "+.2f") -> str:
    """Return an interval in brackets, "-" where one run tells none."""
    return f"[{interval[0]:{digits}}, {interval[1]:{digits}}]" if interval else "-"


def metric_of(table: str, metric_id: str) -> MetricRule:
    """Return the rule of a metric of ``PAPER/TABLE``; UsageError where the table has no such metric, or none at all.

    Runs are compared by their own values: where a table has several statistics of ACC, "acc" means its mean.
    """
    rule = _rule(table)
    if rule.kind != "results":
        raise UsageError(f"{table} lists facts and has no numbers of runs to compare: draw it with `tables`.")
    metrics = load_paper(table.partition("/")[0]).protocol.metrics
    known = [name for name in rule.metrics if metric_id in (name, metrics[name].column)]
    if not known:
        raise UsageError(did_you_mean(f"metric of {table}", metric_id, rule.metrics))
    return metrics[min(known, key=lambda name: (name != metric_id, metrics[name].statistic != "mean"))]


def setting_of(table: str, setting: str | None) -> str:
    """Return the setting of ``PAPER/TABLE`` that is meant: the named one, or the only one ("" where nothing varies).

    UsageError where the table has several and none is named; the plan refuses one that it lacks.
    """
    if setting is not None:
        return setting
    first, *others = [point.label for point in settings(_rule(table))]
    if others:
        names = ", ".join(map(shlex.quote, (first, *others)))
        raise UsageError(f"{table} has several settings: name one with --setting: {names}.")
    return first


def _rule(table: str) -> TableRule:
    paper, slash, name = table.partition("/")
    if not slash:
        raise UsageError(f"write the table as PAPER/TABLE, not {table!r}: see `python -m benchmark ls tables`.")
    return load_paper(paper).table(name)


def _metric(request: Request, metric_id: str) -> MetricRule:
    metric = metric_of(request.tables[0], metric_id)
    if len(request.methods) < 2 or len(set(request.methods)) < len(request.methods):
        raise UsageError("name at least two different methods to compare.")
    return metric


@dataclass(frozen=True)
class Variant:
    """A method as it is compared: its reading, and what is set beside that."""

    method: str
    reading: Reading
    sets: tuple[str, ...] = ()


def variant(text: str, reading: Reading = "paper") -> Variant:
    """Return what ``METHOD``, ``METHOD:code`` or ``METHOD:code,FIELD=VALUE`` names; a plain method has `reading`.

    >>> variant("ddc-uco-t:code,kernel_solver=eigh32")
    Variant(method='ddc-uco-t', reading='code', sets=('kernel_solver=eigh32',))
    """
    method, colon, rest = text.partition(":")
    parts = rest.split(",") if colon else []
    readings: list[Reading] = [name for name in READINGS if name in parts]
    sets = tuple(part for part in parts if "=" in part)
    if len(readings) > 1 or len(readings) + len(sets) < len(parts):
        raise UsageError(f"{text!r}: after the colon stand paper or code, and FIELD=VALUE, with commas between them.")
    return Variant(method, readings[0] if readings else reading, sets)


def _variants(request: Request) -> dict[str, Variant]:
    reading = (request.readings or READINGS)[0]
    return {text: variant(text, reading) for text in request.methods}


def _cells(request: Request) -> dict[tuple[str, str], PlannedCell]:
    """Return by variant and data set the cells of a request; a method is named by its row or its registered name."""
    paper = load_paper(request.tables[0].partition("/")[0])
    offered = paper.protocol.profiles[request.profile].readings
    found: dict[tuple[str, str], PlannedCell] = {}
    for label, named in _variants(request).items():
        asked = replace(request, methods=(named.method,), readings=(named.reading,), sets=(*request.sets, *named.sets))
        for cell in plan_cells(asked) if named.reading in offered else ():
            if named.method in (cell.row, paper.method(cell.row).method):
                found.setdefault((label, cell.column), cell)
    return found


RunsByReplicate = dict[int, tuple[float, RunRecord]]
"""By replicate the value and the record of runs."""

Values = dict[tuple[str, str], RunsByReplicate]


def measured_runs(
    session: Session, cell: PlannedCell, metric: MetricRule, what: str, first: Kind | None = None
) -> tuple[RunsByReplicate, str]:
    """Return the runs of a cell that count and have a finite value, and a sentence about those without one, or "".

    `what` names the runs in that sentence. Those of the kind of machine `first` come before those the cell is made of.
    """
    found = cell_records(cell.specs, session.find, first).values()
    counted = [record for record in found if record.status in COUNTED and record.loss is not None]
    used, why = measured(counted, metric, session.find)
    runs = {run.record.spec.replicate: (run.value, run.record) for run in used if math.isfinite(run.value)}
    left = len(counted) - len(runs)
    why = why or "its value is not finite"
    return runs, f"{metric.label} of {left} of {len(counted)} runs of {what} is not measured: {why}." if left else ""


def alike(
    session: Session,
    cells: Mapping[_K, PlannedCell],
    metric: MetricRule,
    values: Mapping[_K, RunsByReplicate],
    a: _K,
    b: _K,
) -> tuple[RunsByReplicate, RunsByReplicate]:
    """Return the runs of two cells as made by one kind of machine, where one made all that they have in common.

    Runs of two kinds part by rounding, which is no difference of methods. Else they are those of `values`.
    """
    kind = shared_kind(cells[a].specs, cells[b].specs, session.find)
    # Where all runs of both are in `values`, made by that kind, they would only be read again.
    read = all(
        len(values[key]) == len(cells[key].specs) and all(kind_of(r) == kind for _, r in values[key].values())
        for key in (a, b)
    )
    if kind is None or read:
        return values[a], values[b]
    left, right = (measured_runs(session, cells[key], metric, "", kind)[0] for key in (a, b))
    return left, right


def _pairs(
    values: Values, methods: Sequence[str], as_pair: Callable[..., tuple[RunsByReplicate, RunsByReplicate]]
) -> list[dict[str, Any]]:
    pairs: list[dict[str, Any]] = []
    for dataset in dict.fromkeys(column for _, column in values):
        for a, b in combinations(methods, 2):
            if (a, dataset) in values and (b, dataset) in values:
                if _ids(values[a, dataset]) & _ids(values[b, dataset]):
                    raise UsageError(f"{a} and {b} are the same runs on {dataset}: there is nothing to compare.")
                left, right = as_pair(values, (a, dataset), (b, dataset))
                found, kinds = compare_measured(left, right), machines(left, right)
                about = {"a": a, "b": b, "dataset": dataset, "machines": kinds}
                pairs.append(about | vars(found) | {"smallest_p": found.smallest_p})
    shown = [pair for pair in pairs if pair["p"] is not None]
    for pair, adjusted in zip(shown, holm([pair["p"] for pair in shown]), strict=True):
        pair["p_holm"] = adjusted
    return [{"p_holm": None} | pair for pair in pairs]


def _ids(runs: RunsByReplicate) -> set[str]:
    return {record.run_id for _, record in runs.values()}


def compare_measured(a: RunsByReplicate, b: RunsByReplicate) -> Comparison:
    """Compare runs by replicate: paired where those that both have used the same random streams."""
    first, second, paired = matched(a, b)
    return (compare_paired if paired else compare_unpaired)(first, second)


def matched(a: RunsByReplicate, b: RunsByReplicate) -> tuple[list[float], list[float], bool]:
    """Return the values of two sides that are compared, and whether they are pairs of runs with the same streams."""
    both = sorted(a.keys() & b.keys())
    if both and all(_share(a[r][1], b[r][1]) for r in both):
        return [a[r][0] for r in both], [b[r][0] for r in both], True
    return [value for value, _ in a.values()], [value for value, _ in b.values()], False


def machines(*parts: RunsByReplicate) -> list[str]:
    """Return the kinds of machines that made some runs."""
    return list(map(str, kinds_of(record for runs in parts for _, record in runs.values())))


def _share(a: RunRecord, b: RunRecord) -> bool:
    """Whether two runs of a replicate drew from common streams: initial weights or batches."""
    streams = [{name for name in r.environment.get("streams", ()) if name.startswith(_SHARED)} for r in (a, b)]
    return a.spec.data.name == b.spec.data.name and bool(streams[0] & streams[1])


def _answer(
    request: Request,
    profile: str,
    setting: str,
    metric: MetricRule,
    values: Values,
    pairs: list[dict[str, Any]],
    without: Sequence[str],
) -> dict[str, Any]:
    notes = [
        *without,
        "Clear: the 95 % interval of the difference to every other method excludes 0.",
        "Intervals: Student's, of the mean difference over runs (Welch's where runs are not paired).",
    ]
    if any(pair["paired"] for pair in pairs):
        notes.append("Paired by replicate: both methods start from the same weights or see the same batches.")
    notes += [_mixed(pair) for pair in pairs if len(pair["machines"]) > 1]
    notes += [note for pair in pairs if len(pair["machines"]) == 1 for note in _moved(pair, values)]
    if any(pair["p"] is None for pair in pairs):
        notes.append(f"No test is shown where the number of runs lets no p be below {LEVEL}.")
    notes += _uneven(values)
    means = {key: float(np.mean([value for value, _ in runs.values()])) for key, runs in values.items()}
    best = winners(means, pairs, metric.higher_is_better)
    return {
        "table": request.tables[0],
        "setting": setting,
        "profile": profile,
        "reading": ", ".join(dict.fromkeys(named.reading for named in _variants(request).values())),
        "metric": metric.label,
        "pairs": pairs,
        "winners": best,
        "wins": tally(best, request.methods),
        "ranks": _ranks(values, request.methods, metric),
        "notes": notes,
    }


def _uneven(values: Values) -> list[str]:
    """Return a note for each data set on which the means of the best are over unequally many runs."""
    counts: dict[str, dict[str, int]] = {}
    for (method, dataset), runs in values.items():
        counts.setdefault(dataset, {})[method] = len(runs)
    return [
        f"Best and next on {dataset} are by means over all stored runs: "
        + ", ".join(f"{method} {count}" for method, count in held.items())
        + "; a lead of pairs is of the runs that both have."
        for dataset, held in counts.items()
        if len(set(held.values())) > 1
    ]


def _mixed(pair: dict[str, Any]) -> str:
    kinds = "; ".join(pair["machines"])
    return (
        f"{pair['a']} and {pair['b']} on {pair['dataset']} are of several kinds of machines, which differ too: {kinds}."
    )


def _moved(pair: dict[str, Any], values: Values) -> list[str]:
    """Return a note for each side of a pair that is compared by runs of another kind of machine than its cell is of."""
    sides = [side for side in (pair["a"], pair["b"]) if machines(values[side, pair["dataset"]]) != pair["machines"]]
    where = f"on {pair['dataset']} is compared by its runs of {pair['machines'][0]}, as the other has them too"
    return [f"{side} {where}; tables are of other runs (`explain`)." for side in sides]


def _ranks(values: Values, methods: Sequence[str], metric: MetricRule) -> dict[str, Any]:
    datasets = [d for d in dict.fromkeys(column for _, column in values) if all((m, d) in values for m in methods)]
    if len(datasets) < MIN_DATASETS:
        return {}
    sign = 1.0 if metric.higher_is_better else -1.0
    scores = [[sign * float(np.mean([v for v, _ in values[m, d].values()])) for m in methods] for d in datasets]
    means = dict(zip(methods, average_ranks(scores).tolist(), strict=True))
    gap = critical_difference(len(methods), len(datasets))
    return {"means": means, "critical_difference": gap, "data_sets": datasets}


def _missing(request: Request, profile: str, cells: dict[tuple[str, str], PlannedCell], values: Values) -> str:
    """Return which run is missing of a profile, and the command that makes it; "" where no cell lacks any."""
    lacking = [(label, cell) for (label, column), cell in cells.items() if (label, column) not in values]
    if not lacking:
        return ""
    label, cell = lacking[0]
    named = _variants(request)[label]
    words = ["run", "--table", f"{cell.paper}/{cell.table}", "--method", cell.row, "--dataset", cell.column]
    words += ["--setting", cell.setting] if cell.setting else []
    words += ["--profile", profile, "--reading", named.reading]
    words += [word for text in (*request.sets, *named.sets) for word in ("--set", text)]
    words += ["--runs", str(request.runs)] if request.runs else []
    words += ["--own-protocol"] if cell.own_protocol else []
    where = f"{cell.column} at {cell.setting}" if cell.setting else cell.column
    return (
        f"no run of {label} on {where} is stored in the {profile} profile: make it with "
        f"`python -m benchmark {shlex.join(words)}`."
    )
