"""The claims of a paper, read and validated: which rows, columns, metrics and settings of its tables they compare."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from benchmark.errors import UsageError, did_you_mean
from benchmark.papers.claims import ClaimRule, Higher, OfTables, Pair, claim_rule
from benchmark.papers.families import read_toml
from benchmark.papers.paper import Paper, load_paper, paper_ids
from benchmark.papers.tables import settings
from benchmark.registry import check_name

FILE = "claims.toml"


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a row of a table of the paper, at a setting where the table varies some."""

    table: str
    row: str
    setting: str


@dataclass(frozen=True)
class Unit:
    """One of the things that a claim counts: on a column, for a metric of each side, the pairs that must hold.

    They are in groups, of which one must hold as a whole.
    """

    column: str
    metric: str
    second: str
    groups: tuple[tuple[Pair, ...], ...]


def load_claims(paper: str) -> Mapping[str, ClaimRule]:
    """Read and validate the claims of a paper by id, or raise UsageError with one sentence; a paper may have none."""
    return dict(_loaded(paper))


@cache
def _loaded(paper: str) -> dict[str, ClaimRule]:
    loaded = load_paper(paper)
    folder = importlib.resources.files("paper_tables").joinpath(paper)
    return checked_claims(loaded, read_toml(folder, FILE)) if folder.joinpath(FILE).is_file() else {}


def claimed() -> Iterator[tuple[str, Mapping[str, ClaimRule]]]:
    """Yield every paper with claims, and these."""
    for paper in paper_ids():
        if claims := load_claims(paper):
            yield paper, claims


def checked_claims(paper: Paper, values: Mapping[str, Any]) -> dict[str, ClaimRule]:
    """Return the claims of a claims.toml, or raise UsageError with one sentence about the first wrong one."""
    found = {}
    for name, part in values.items():
        what = f"{paper.id}/{FILE} [{name}]"
        check_name(f"{paper.id} claim", name)
        found[name] = claim_rule(part, what)
        _check_known(f"{what}: ledger", "ledger entry", found[name].ledger, paper.ledger)
        if isinstance(rule := found[name], OfTables):
            _check_tables(paper, rule, what)
    return found


def units_of(paper: Paper, claim: OfTables) -> tuple[Unit, ...]:
    """Return the things that a claim counts, column by column for each metric."""
    found = []
    for metric in claim.metrics:
        for column in columns_of(paper, claim):
            if {column, f"{column} {metric}"}.isdisjoint(claim.without):
                parts = ((pair,) for pair in claim.pairs) if claim.count == "pairs" else (claim.pairs,)
                second = claim.second_metric(metric)
                found += [Unit(column, metric, second, _groups(claim, pairs)) for pairs in parts]
    return tuple(found)


def _groups(claim: OfTables, pairs: tuple[Pair, ...]) -> tuple[tuple[Pair, ...], ...]:
    if not (isinstance(claim, Higher) and claim.any_of_a):
        return (pairs,)
    return tuple(tuple(pair for pair in pairs if pair[0] == first) for first in dict.fromkeys(a for a, _ in pairs))


def columns_of(paper: Paper, claim: OfTables) -> tuple[str, ...]:
    """Return the columns that a claim names, or those with published numbers that all its sides have."""
    if claim.on:
        return claim.on
    texts = _texts(claim)
    named = [_parts(text)[0] for text in texts]
    tables = [name for name in dict.fromkeys((*claim.tables, *named)) if name in paper.tables]
    every = dict.fromkeys(column for name in tables for column in paper.tables[name].columns)
    shown = [column for column in every if paper.protocol.columns[column].published]
    return tuple(column for column in shown if all(_home(paper, claim, text, column) for text in texts))


def side_of(paper: Paper, claim: OfTables, text: str, column: str, what: str = "") -> Side:
    """Return the side that a text names on a column; UsageError where there is none."""
    table, row, setting = _parts(text)
    names = (table,) if table else claim.tables
    home = _home(paper, claim, text, column)
    if home is None:
        _check_known(what, f"table of {paper.id}", names, paper.tables)
        rows = [row for name in names for row in (*paper.tables[name].rows, *paper.tables[name].reference)]
        _check_known(what, "row", (row,), rows)
        raise UsageError(f"{what}: {' and '.join(names)} has no cell of {row} on {column}.")
    labels = {point.label for point in settings(paper.tables[home])}
    if setting not in labels:
        raise UsageError(f"{what}: {did_you_mean(f'setting of {home}', setting, labels)}")
    return Side(home, row, setting)


def _check_tables(paper: Paper, claim: OfTables, what: str) -> None:
    """Raise UsageError for a table, column, row, setting or metric that the paper does not have."""
    _check_known(f"{what}: table", f"table of {paper.id}", claim.tables, paper.tables)
    named = {_parts(text)[0] for text in _texts(claim)} - {""}
    _check_known(f"{what}: sides", f"table of {paper.id}", named, paper.tables)
    columns = columns_of(paper, claim)
    known = {column for name in (*claim.tables, *named) for column in paper.tables[name].columns}
    _check_known(f"{what}: on", "column", columns, known)
    if not columns:
        raise UsageError(f"{what}: on: no column has published numbers of all sides; name the columns.")
    left = {part for column in columns for part in (column, *(f"{column} {metric}" for metric in claim.metrics))}
    _check_known(f"{what}: without", "column, or column and metric,", claim.without, left)
    for column in columns:
        for pair in claim.pairs:
            for text, metrics in zip(pair, (claim.metrics, claim.metrics_of_b or claim.metrics), strict=True):
                if isinstance(text, str):
                    table = side_of(paper, claim, text, column, f"{what}: sides").table
                    _check_known(f"{what}: metrics", f"metric of {table}", metrics, paper.tables[table].metrics)
    if isinstance(claim.holds, int) and claim.holds > (of := len(units_of(paper, claim))):
        raise UsageError(f"{what}: holds: {claim.holds} of {of} cannot hold.")


def _check_known(what: str, kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in (every := set(known)):
            raise UsageError(f"{what}: {did_you_mean(kind, name, every)}")


def _home(paper: Paper, claim: OfTables, text: str, column: str) -> str | None:
    """Return the first table that has the row of a side on a column."""
    table, row, _ = _parts(text)
    own = paper.method(row).columns or (column,)
    for name in (table,) if table else claim.tables:
        rule = paper.tables.get(name)
        if rule and row in (*rule.rows, *rule.reference) and column in rule.columns and column in own:
            return name
    return None


def _texts(claim: OfTables) -> list[str]:
    return list(dict.fromkeys(side for pair in claim.pairs for side in pair if isinstance(side, str)))


def _parts(text: str) -> tuple[str, str, str]:
    """Return table, row and setting of TABLE:ROW@SETTING."""
    front, _, setting = text.partition("@")
    table, _, row = front.rpartition(":")
    return table, row, setting
