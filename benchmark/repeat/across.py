"""Renewing across a change of code: the code of an earlier revision and today's make the same runs, on one machine.

What a plain renewal compares with is a stored row, which only the kind of machine that made it gives to the bit. Here
both sides are made now, so any machine will do. It suits a change of code that is meant to change no number.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmark.errors import UserError
from benchmark.record import RunRecord
from benchmark.registry import DATASETS
from benchmark.repeat.beginning import excerpt
from benchmark.repeat.renew import Renewed, one_of_each_cell, run_name
from benchmark.repeat.revisions import HOME, Asker, Revision, Task
from benchmark.spec import RunSpec
from benchmark.store.observed import observed
from benchmark.store.renewals import Renewal, Renewals, cell_id

Answers = Mapping[str, Mapping[str, Any]]


def renew_across(
    stale: Sequence[RunRecord],
    revision: Revision,
    renewals: Renewals,
    asker: Asker,
    say: Callable[[str], None] = lambda text: None,
) -> Renewed:
    """Make an excerpt of one of the `stale` runs of each cell by the code of `revision` and by today's, and compare.

    Cells whose rows are not of the revision's code, and not renewed to it, stay stale. `renewals` are those stored.
    """
    chosen = list(one_of_each_cell(stale).values())
    digests = _asked_digests(chosen, revision, asker)
    left, candidates, tasks = [], [], {}
    for record in chosen:
        answer = digests[_kind(record.spec)]
        if "error" in answer:
            left.append(_stays(record, f"the code of {revision.commit} cannot make it ({answer['error']})."))
        elif not renewals.connects(record.spec, record.code_digest, str(answer["digest"])):
            left.append(_stays(record, f"it was not made by the code of {revision.commit} ({answer['digest']})."))
        else:
            try:
                task = _task(record)
            except UserError as error:
                left.append(_stays(record, f"today's code does not take it: {error}"))
                continue
            tasks[task.key] = task
            candidates.append((record, task))
    if tasks:
        say(f"{len(tasks)} excerpts of {len(candidates)} cells are made by the code of {revision.commit} and today's.")
    counted = _counted(2 * len(tasks), say)
    then, now = asker.ask([revision.folder, HOME], list(tasks.values()), counted) if tasks else ({}, {})
    entries = {}
    for record, task in candidates:
        before, after = then[task.key], now[task.key]
        if reason := difference(before, after):
            left.append(_stays(record, reason))
        else:
            entry = _entry(record, task, revision, before, after)
            entries[entry.cell, entry.old] = entry
    return Renewed(tuple(entries.values()), tuple(left))


def _counted(total: int, say: Callable[[str], None]) -> Callable[[], None]:
    """Return what is called after each run, and says now and then how many there were."""
    numbers = itertools.count(1)

    def answered() -> None:
        if (number := next(numbers)) % 20 == 0:
            say(f"{number} of {total} made.")

    return answered


def _kind(spec: RunSpec) -> str:
    """Return what decides which code a run reaches."""
    return "/".join((spec.method, spec.data.name, str(spec.params.get("network", ""))))


def _asked_digests(records: Sequence[RunRecord], revision: Revision, asker: Asker) -> Answers:
    kinds = {_kind(record.spec): record.spec.canonical() for record in records}
    tasks = [Task(kind, spec, run=False) for kind, spec in kinds.items()]
    return asker.ask([revision.folder], tasks)[0] if tasks else {}


def _task(record: RunRecord) -> Task:
    """Return the excerpt of a run with its observers, by a key that is equal for equal ones.

    Raises UserError where today's method does not take the parameters of the run, or has other phases.
    """
    try:
        spec, names = excerpt(record.spec, DATASETS[record.spec.data.name].n_samples), observed(record)
    except KeyError as error:
        raise UserError(f"it lacks {error}.") from None
    return Task("+".join((spec.run_id, *names)), spec.canonical(), names)


def difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return why two answers do not show that the code gives the same numbers, "" where they do.

    Numbers are compared by their shortest text that reads back the same, which tells every bit, and not-a-number too.
    """
    for answer, whose in ((then, "the earlier code"), (now, "today's code")):
        if "error" in answer:
            return f"{whose} cannot make its excerpt ({answer['error']})."
    before, after = then["numbers"], now["numbers"]
    for name in before:
        if json.dumps(before[name], sort_keys=True) != json.dumps(after[name], sort_keys=True):
            return f"today's code gives other numbers: {_first_difference(name, before[name], after[name])}."
    if before["status"] == "failed":
        return f"its excerpt fails in both ({then['reason']}), which shows nothing."
    if before["history"] and len(before["history"]) < 2:
        return f"its excerpt leaves too little to compare (status {before['status']})."
    return ""


def _first_difference(name: str, before: Any, after: Any) -> str:
    """Return where two values first differ, such as `history, 2, total: 1.5 and 1.25`."""
    if isinstance(before, dict) and isinstance(after, dict):
        pairs = {key: (before.get(key), after.get(key)) for key in {**before, **after}}
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = {str(number): pair for number, pair in enumerate(zip(before, after, strict=True))}
    else:
        pairs = {}
    for key, (a, b) in pairs.items():
        if json.dumps(a, sort_keys=True) != json.dumps(b, sort_keys=True):
            return _first_difference(f"{name}, {key}", a, b)
    shown = [str(value) if not isinstance(value, list) else f"{len(value)} values" for value in (before, after)]
    return f"{name}: {shown[0]} and {shown[1]}"


def _entry(
    record: RunRecord, task: Task, revision: Revision, then: Mapping[str, Any], now: Mapping[str, Any]
) -> Renewal:
    budgets = {name: phase["budget"] for name, phase in task.spec["protocol"]["phases"].items()}
    phases = [f"{budget['amount']} {budget['unit']} of {name}" for name, budget in budgets.items()]
    what = ", ".join([*phases, f"{now['numbers']['n_samples']} samples"])
    return Renewal(
        cell=cell_id(record.spec),
        method=record.spec.method,
        dataset=record.spec.data.name,
        old=str(then["digest"]),
        new=str(now["digest"]),
        run_id=record.run_id,
        compared=f"across {revision.commit}, both codes on one machine: {what}",
        machine=", ".join(now["machine"]),
    )


def _stays(record: RunRecord, reason: str) -> str:
    return f"{run_name(record)} (code {record.code_digest}): {reason}"
