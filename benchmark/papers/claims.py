"""What may stand in claims.toml: what a paper says in words, as rules that numbers can answer.

``[one-above-other]``, ``says = "..."`` in words of our own, ``where`` the paper says it, and a rule. Its sides are rows
of tables, written ROW, TABLE:ROW or ROW@SETTING.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from benchmark.errors import UsageError, did_you_mean
from benchmark.papers.families import read_toml
from benchmark.papers.paper import Paper, load_paper
from benchmark.papers.tables import settings
from benchmark.registry import check_name
from benchmark.spec import Frozen, validated

FILE = "claims.toml"

Names = str | Annotated[tuple[str, ...], Field(min_length=1)]
Share = Literal["all", "most", "some"]


class ClaimRule(Frozen):
    """What claims of all rules have.

    `says` is the claim in one short sentence of ours, `where` the place in the paper, `ledger` the entries about it,
    `note` what a reader must know beside the answer. It is about several things, of which `holds` says how many must
    hold: "all", "most" (more than half), "some" (one), or a number.
    """

    rule: str
    says: str = Field(min_length=1)
    where: str = Field(min_length=1)
    ledger: tuple[str, ...] = ()
    note: str = ""
    holds: Share | Annotated[int, Field(ge=1)] = "all"

    @model_validator(mode="after")
    def _one_sentence(self) -> Self:
        if self.says.endswith("."):
            raise ValueError("says ends without a full stop")
        return self

    def needed(self, of: int) -> int:
        """Return how many of so many things must hold."""
        if isinstance(self.holds, int):
            return min(self.holds, of)
        return {"all": of, "most": of // 2 + 1, "some": 1}[self.holds]


class OfTables(ClaimRule):
    """A claim about the numbers of `table` (several where their columns differ), on the columns `on`.

    Without `on`, those with published numbers that all sides have. Each pair of a column and one of the `metrics` is
    one of the things of which `holds` counts.
    """

    table: Names
    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    on: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables, in the order in which a side is looked for."""
        return listed(self.table)

    @property
    def pairs(self) -> tuple[tuple[str, str | float], ...]:
        """The pairs of sides that are compared on each column."""
        raise NotImplementedError


class Higher(OfTables):
    """Each of `a` lies above (below) each of `b`, which may be a number, by at least `by` in the unit of the table.

    With `any_of_a`, one of `a` that does is enough.
    """

    rule: Literal["higher", "lower"]
    a: Names
    b: Names | float
    by: float = Field(0.0, ge=0)
    any_of_a: bool = False

    @property
    def pairs(self) -> tuple[tuple[str, str | float], ...]:
        """Every one of `a` with every one of `b`."""
        others: tuple[str | float, ...] = (self.b,) if isinstance(self.b, float) else listed(self.b)
        return tuple((a, b) for a in listed(self.a) for b in others)


class Order(OfTables):
    """The sides lie in this order, the highest first: each above the next."""

    rule: Literal["order"]
    a: Annotated[tuple[str, ...], Field(min_length=2)]

    @property
    def pairs(self) -> tuple[tuple[str, str | float], ...]:
        """Each with the next."""
        return tuple(zip(self.a, self.a[1:], strict=False))


class Within(OfTables):
    """Each of `a` and `b`, which may be a number, differ by less than `by`; without `b`, those of `a` among them."""

    rule: Literal["within"]
    a: Names
    b: Names | float | None = None
    by: float = Field(gt=0)

    @model_validator(mode="after")
    def _has_pairs(self) -> Self:
        if self.b is None and len(listed(self.a)) < 2:
            raise ValueError("without b, a has at least two sides")
        return self

    @property
    def pairs(self) -> tuple[tuple[str, str | float], ...]:
        """The pairs that are close."""
        first = listed(self.a)
        if self.b is None:
            return tuple((a, b) for place, a in enumerate(first) for b in first[place + 1 :])
        others: tuple[str | float, ...] = (self.b,) if isinstance(self.b, float) else listed(self.b)
        return tuple((a, b) for a in first for b in others)


class OfFigures(ClaimRule):
    """The `statement` of one or more figures of the paper, by its words in figures.toml."""

    rule: Literal["figure"]
    figure: Names
    statement: str

    @property
    def figures(self) -> tuple[str, ...]:
        """The figures, of which `holds` counts."""
        return listed(self.figure)


RULES: Mapping[str, type[ClaimRule]] = {
    "higher": Higher,
    "lower": Higher,
    "order": Order,
    "within": Within,
    "figure": OfFigures,
}
"""The model of each rule."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a row of a table of the paper, at a setting where the table varies some."""

    table: str
    row: str
    setting: str


def load_claims(paper: str) -> dict[str, ClaimRule]:
    """Read and validate the claims of a paper by id, or raise UsageError with one sentence; a paper may have none."""
    return dict(_loaded(paper))


@cache
def _loaded(paper: str) -> dict[str, ClaimRule]:
    folder = importlib.resources.files("paper_tables").joinpath(paper)
    loaded = load_paper(paper)
    if not folder.joinpath(FILE).is_file():
        return {}
    return checked_claims(loaded, read_toml(folder, FILE))


def checked_claims(paper: Paper, values: Mapping[str, Any]) -> dict[str, ClaimRule]:
    """Return the claims of a claims.toml, or raise UsageError with one sentence about the first wrong one."""
    found = {}
    for name, part in values.items():
        what = f"{paper.id}/{FILE} [{name}]"
        check_name(f"{paper.id} claim", name)
        found[name] = claim_rule(part, what)
        _check_names(paper, found[name], what)
    return found


def claim_rule(values: Any, what: str) -> ClaimRule:
    """Return a claim as it is declared, or raise UsageError with one sentence about `what`."""
    if not isinstance(values, Mapping):
        raise UsageError(f"{what} is no claim: write a table with says, where and rule.")
    kind = str(values.get("rule"))
    if kind not in RULES:
        raise UsageError(f"{what}: rule: {did_you_mean('rule of claims', kind, RULES)}")
    try:
        return RULES[kind](**values)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] != "value_error":
            return validated(RULES[kind], values, what)
        # Said by a model above, of several fields at once.
        raise UsageError(f"{what}: {first['ctx']['error']}.") from None


def _check_names(paper: Paper, claim: ClaimRule, what: str) -> None:
    """Raise UsageError for a table, row, setting, column, metric or ledger entry that the paper does not have."""
    for entry in claim.ledger:
        if entry not in paper.ledger:
            raise UsageError(f"{what}: ledger: {did_you_mean('ledger entry', entry, paper.ledger)}")
    if not isinstance(claim, OfTables):
        return
    for name in claim.tables:
        if name not in paper.tables:
            raise UsageError(f"{what}: table: {did_you_mean(f'table of {paper.id}', name, paper.tables)}")
    columns = columns_of(paper, claim)
    for column in columns:
        known = {column for name in claim.tables for column in paper.tables[name].columns}
        if column not in known:
            raise UsageError(f"{what}: on: {did_you_mean('column', column, known)}")
        for text in dict.fromkeys(side for pair in claim.pairs for side in pair if isinstance(side, str)):
            side = side_of(paper, claim, text, column, what)
            for metric in claim.metrics:
                if metric not in paper.tables[side.table].metrics:
                    known = set(paper.tables[side.table].metrics)
                    raise UsageError(f"{what}: metrics: {did_you_mean(f'metric of {side.table}', metric, known)}")
    if not columns:
        raise UsageError(f"{what}: on: no column has published numbers of all sides; name the columns.")
    if isinstance(claim.holds, int) and claim.holds > len(columns) * len(claim.metrics):
        raise UsageError(f"{what}: holds: {claim.holds} of {len(columns) * len(claim.metrics)} cannot hold.")


def columns_of(paper: Paper, claim: OfTables) -> tuple[str, ...]:
    """Return the columns that a claim is about."""
    if claim.on:
        return claim.on
    named = {text.rpartition(":")[0] for pair in claim.pairs for text in pair if isinstance(text, str)} - {""}
    names = [name for name in dict.fromkeys((*claim.tables, *sorted(named))) if name in paper.tables]
    every = dict.fromkeys(column for name in names for column in paper.tables[name].columns)
    texts = [text for pair in claim.pairs for text in pair if isinstance(text, str)]
    return tuple(
        column
        for column in every
        if paper.protocol.columns[column].published
        and all(_home(paper, claim, text, column) is not None for text in texts)
    )


def side_of(paper: Paper, claim: OfTables, text: str, column: str, what: str = "") -> Side:
    """Return the side that a text names on a column; UsageError where there is none."""
    table, row, setting = _parts(text)
    names = (table,) if table else claim.tables
    for name in names:
        if name not in paper.tables:
            raise UsageError(f"{what}: {did_you_mean(f'table of {paper.id}', name, paper.tables)}")
    home = _home(paper, claim, text, column)
    if home is None:
        known = {r for name in names for r in (*paper.tables[name].rows, *paper.tables[name].reference)}
        if row not in known:
            raise UsageError(f"{what}: {did_you_mean('row', row, known)}")
        raise UsageError(f"{what}: {' and '.join(names)} has no cell of {row} on {column}.")
    labels = {point.label for point in settings(paper.tables[home])}
    if setting not in labels:
        raise UsageError(f"{what}: {did_you_mean(f'setting of {home}', setting, labels)}")
    return Side(home, row, setting)


def _home(paper: Paper, claim: OfTables, text: str, column: str) -> str | None:
    """Return the first table that has the row of a side on a column."""
    table, row, _ = _parts(text)
    for name in (table,) if table else claim.tables:
        rule = paper.tables.get(name)
        own = paper.method(row).columns
        if rule and row in (*rule.rows, *rule.reference) and column in rule.columns and column in (own or (column,)):
            return name
    return None


def _parts(text: str) -> tuple[str, str, str]:
    """Return table, row and setting of TABLE:ROW@SETTING."""
    front, _, setting = text.partition("@")
    table, _, row = front.rpartition(":")
    return table, row, setting


def listed(names: Names) -> tuple[str, ...]:
    """Return one name or several as several."""
    return (names,) if isinstance(names, str) else names


def claimed() -> Iterator[tuple[str, dict[str, ClaimRule]]]:
    """Yield every paper with claims, and these."""
    from benchmark.papers.paper import paper_ids

    for paper in paper_ids():
        if claims := load_claims(paper):
            yield paper, claims
