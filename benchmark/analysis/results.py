"""Stored results as tidy data frames: a row for each run, each evaluation of a history, or each cell of a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import UsageError, did_you_mean
from benchmark.papers.protocol import PROFILES, READINGS
from benchmark.plan.request import Request
from benchmark.record import RunRecord
from benchmark.session import Session
from benchmark.store.rows import device_of, device_order, kind_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Choice:
    """Which results are meant; empty filters mean all.

    `methods` and `datasets` are registered names; a run counts for the paper, reading and profile that it was first
    made for.
    """

    papers: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    readings: tuple[str, ...] = ()

    def has(self, record: RunRecord) -> bool:
        """Whether a record is meant."""
        spec, context = record.spec, record.context
        pairs = (
            (self.papers, context.paper),
            (self.methods, spec.method),
            (self.datasets, spec.data.name),
            (self.profiles, context.profile),
            (self.readings, context.reading),
        )
        return all(value in names for names, value in pairs if names)


def load_results(
    results: str | Path = "results",
    of: str = "runs",
    *,
    papers: Sequence[str] = (),
    methods: Sequence[str] = (),
    datasets: Sequence[str] = (),
    profiles: Sequence[str] = (),
    readings: Sequence[str] = (),
    shipped: bool = True,
) -> pd.DataFrame:
    """Return stored results as one tidy data frame.

    `of` is ``runs`` (a row for each run and device), ``histories`` (a row for each evaluation of each run) or ``cells``
    (a row for each cell of each table, profile and reading with stored runs: the columns of `tables --format csv`).
    Metrics of runs and histories are fractions, values of cells are in the unit of their table. With `shipped` the rows
    that come with the suite count too. Columns of losses are named ``loss_TERM``, of parameters ``param_NAME``.

    Raises
    ------
    UsageError
        For what cannot be loaded; a filter that fits nothing gives no rows.

    Examples
    --------
    >>> runs = load_results(of="runs", profiles=["quick"], methods=["k-means"])
    >>> sorted(runs.columns[:4])
    ['dataset', 'method', 'paper', 'run_id']
    """
    import pandas as pd

    if of not in RESULTS:
        raise UsageError(did_you_mean("kind of results", of, RESULTS))
    place = Path(results)
    session = Session(place, shipped=None if shipped else place / "stored")
    choice = Choice(*map(tuple, (papers, methods, datasets, profiles, readings)))
    frame = pd.DataFrame(list(RESULTS[of](session, choice)))
    # A parameter of several methods may be a number in one and a word in another: such a column holds JSON.
    for name in [name for name, kind in frame.dtypes.items() if kind.kind == "O"]:
        held = frame[name].dropna()
        if held.map(lambda value: isinstance(value, str)).nunique() > 1:
            frame[name] = held.map(lambda value: value if isinstance(value, str) else json.dumps(value))
    return frame


def chosen_records(session: Session, choice: Choice) -> list[RunRecord]:
    """Return the records that are meant, by run id and kind of machine."""
    held = session.records
    kinds = (
        (run_id, kind)
        for run_id in sorted(held)
        for kind in sorted(held[run_id], key=lambda kind: (device_order(kind.device), kind.machine))
    )
    return [record for run_id, kind in kinds if choice.has(record := held[run_id][kind])]


def with_parents(session: Session, records: Sequence[RunRecord]) -> list[RunRecord]:
    """Return records with those of the runs that they start from, as far as these are stored, each once."""
    found = {(record.run_id, kind_of(record)): record for record in records}
    for parent in filter(None, map(session.parent, records)):
        found.setdefault((parent.run_id, kind_of(parent)), parent)
    return list(found.values())


def _identity(record: RunRecord) -> dict[str, Any]:
    spec, context = record.spec, record.context
    return {
        "run_id": record.run_id,
        "paper": context.paper,
        "method": spec.method,
        "dataset": spec.data.name,
        "setting": context.setting,
        "reading": context.reading,
        "profile": context.profile,
        "replicate": spec.replicate,
        "device": device_of(record),
    }


def _runs(session: Session, choice: Choice) -> Iterator[dict[str, Any]]:
    for record in chosen_records(session, choice):
        environment = record.environment
        yield {
            **_identity(record),
            "status": record.status,
            "loss": record.loss,
            "final_loss": record.final_loss,
            **record.metrics,
            **{f"loss_{name}": value for name, value in sorted(record.losses.items())},
            **{
                name: getattr(record, name) for name in ("n_samples", "epochs", "steps", "seconds", "peak_mib", "error")
            },
            "stale": session.stale(record),
            **{name: environment.get(name) for name in ("torch", "version", "git_commit", "date")},
            **{f"param_{name}": _plain(value) for name, value in sorted(record.spec.params.items())},
        }


def _histories(session: Session, choice: Choice) -> Iterator[dict[str, Any]]:
    for record in chosen_records(session, choice):
        for evaluation in record.history:
            place = {name: getattr(evaluation, name) for name in ("phase", "step", "epoch", "total", "clusters")}
            terms = {f"loss_{name}": value for name, value in sorted(evaluation.terms.items())}
            yield {**_identity(record), **place, **evaluation.metrics, **terms}


def _cells(session: Session, choice: Choice) -> Iterator[dict[str, Any]]:
    from benchmark.analysis.tables import stored_tables
    from benchmark.tables.csv_table import long_form
    from benchmark.tables.values import TableResult

    readings = tuple(name for name in READINGS if name in choice.readings)
    for profile in (name for name in PROFILES if not choice.profiles or name in choice.profiles):
        asked = Request(profile, choice.papers, (), choice.methods, choice.datasets, readings)
        for table in stored_tables(session, asked, profile=profile):
            lines = long_form(table) if isinstance(table, TableResult) else ()
            yield from (_with_numbers(line) for line in lines if line["run_ids"])


def _with_numbers(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line with its published numbers, which CSV has as the paper prints them, as numbers."""
    printed = {name: line[name] for name in ("published", "published_sd")}
    return {**line, **{name: None if value is None else float(value) for name, value in printed.items()}}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | bool) else json.dumps(value)


RESULTS: Mapping[str, Callable[[Session, Choice], Iterator[dict[str, Any]]]] = {
    "runs": _runs,
    "histories": _histories,
    "cells": _cells,
}
"""What results can be loaded and exported as."""
