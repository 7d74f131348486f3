"""What may stand in claims.toml: what a paper says in words, as rules that numbers can answer.

``[one-above-other]``, ``says = "..."`` in words of our own, ``where`` the paper says it, and a rule. Its sides are
rows of tables, written ROW, TABLE:ROW or ROW@SETTING; what they name is in `benchmark.papers.claim_sides`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from benchmark.errors import UsageError, did_you_mean
from benchmark.spec import Frozen, validated

Names = str | Annotated[tuple[str, ...], Field(min_length=1)]
Count = Literal["all", "most", "some"]
Pair = tuple[str, str | float]
"""Two sides, of which the second may be a number."""


class ClaimRule(Frozen):
    """What claims of all rules have.

    `says` is the claim in one short sentence of ours, `where` the place in the paper, `ledger` the entries about it,
    `note` what a reader must know beside the answer. It is about several things, of which `holds` says how many must
    hold: "all", "most" (more than half), "some" (one), or a number. With `denied` the paper says that it does not.
    """

    rule: str
    says: str = Field(min_length=1)
    where: str = Field(min_length=1)
    ledger: tuple[str, ...] = ()
    note: str = ""
    holds: Count | Annotated[int, Field(ge=1)] = "all"
    denied: bool = False

    @model_validator(mode="after")
    def _one_sentence(self) -> Self:
        if self.says.endswith("."):
            raise ValueError("says ends without a full stop")
        return self

    @property
    def asks(self) -> str:
        """What the rule asks, in words."""
        raise NotImplementedError

    def needed(self, of: int) -> int:
        """Return how many of so many things must hold."""
        if isinstance(self.holds, int):
            return min(self.holds, of)
        return {"all": of, "most": of // 2 + 1, "some": 1}[self.holds]


class OfTables(ClaimRule):
    """A claim about the numbers of `table` (several where their columns differ), on the columns `on`.

    Without `on`, those with published numbers that all sides have; `without` leaves out "COLUMN" or "COLUMN METRIC".
    Each column with each of `metrics` is one of the things of which `holds` counts, or with ``count = "pairs"`` each
    pair of sides there. `metrics_of_b` are those of the second sides where they differ. A claim that is `printed` is
    about printed numbers only, and no runs of ours answer it.
    """

    table: Names
    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    metrics_of_b: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    count: Literal["columns", "pairs"] = "columns"
    printed: bool = False

    @model_validator(mode="after")
    def _metrics_match(self) -> Self:
        if self.metrics_of_b and len(self.metrics_of_b) != len(self.metrics):
            raise ValueError("metrics_of_b has one for each of metrics")
        return self

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables, in the order in which a side is looked for."""
        return listed(self.table)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of sides that are compared on each column."""
        raise NotImplementedError

    def second_metric(self, metric: str) -> str:
        """Return the metric of the second side beside that of the first."""
        return self.metrics_of_b[self.metrics.index(metric)] if self.metrics_of_b else metric


class _Against(OfTables):
    """A claim of sides `a` against sides `b`: every one against every one, or `matched` one by one."""

    a: Names
    matched: bool = False

    def _pairs(self, b: Names | float) -> tuple[Pair, ...]:
        first, others = listed(self.a), (b,) if isinstance(b, float) else listed(b)
        if self.matched:
            return tuple(zip(first, others, strict=True))
        return tuple((one, other) for one in first for other in others)

    def _check(self, b: Names | float | None) -> None:
        if self.matched and (isinstance(b, float) or b is None or len(listed(b)) != len(listed(self.a))):
            raise ValueError("matched sides are as many of b as of a")


class Higher(_Against):
    """Each of `a` lies above (below) each of `b`, which may be a number, by at least `by` in the unit of the table.

    A negative `by` says "not much lower". With `any_of_a`, one of `a` that lies above all of `b` is enough.
    """

    rule: Literal["higher", "lower"]
    b: Names | float
    by: float = 0.0
    any_of_a: bool = False

    @model_validator(mode="after")
    def _sides_fit(self) -> Self:
        self._check(self.b)
        if self.any_of_a and (self.matched or self.count == "pairs"):
            raise ValueError("any_of_a goes with neither matched sides nor a count of pairs")
        return self

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of which the first is the higher, or the lower."""
        return self._pairs(self.b)

    @property
    def asks(self) -> str:
        """What the rule asks, in words."""
        above = "above" if self.rule == "higher" else "below"
        by = f" by at least {self.by:g}" if self.by > 0 else f", or less than {-self.by:g} off" if self.by else ""
        others = _named(self.b, "and")
        if self.matched:
            return "; ".join(f"{a} {above} {b}" for a, b in self.pairs) + by
        return f"{_named(self.a, 'or' if self.any_of_a else 'and')} {above} {others}{by}"


class Order(OfTables):
    """The sides lie in this order, the highest first: each above the next."""

    rule: Literal["order"]
    a: Annotated[tuple[str, ...], Field(min_length=2)]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Each with the next."""
        return tuple(zip(self.a, self.a[1:], strict=False))

    @property
    def asks(self) -> str:
        """What the rule asks, in words."""
        return " above ".join(self.a)


class Within(_Against):
    """Each of `a` and `b`, which may be a number, differ by less than `by`; without `b`, those of `a` among them."""

    rule: Literal["within"]
    b: Names | float | None = None
    by: float = Field(gt=0)

    @model_validator(mode="after")
    def _sides_fit(self) -> Self:
        self._check(self.b)
        if self.b is None and len(listed(self.a)) < 2:
            raise ValueError("without b, a has at least two sides")
        return self

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs that are close."""
        if self.b is not None:
            return self._pairs(self.b)
        first = listed(self.a)
        return tuple((a, b) for place, a in enumerate(first) for b in first[place + 1 :])

    @property
    def asks(self) -> str:
        """What the rule asks, in words."""
        if self.matched:
            pairs = "; ".join(f"{a} and {b}" for a, b in self.pairs)
            return f"{pairs}: less than {self.by:g} apart"
        against = "" if self.b is None else f" against {_named(self.b, 'and')}"
        return f"{_named(self.a, 'and')}{against}: less than {self.by:g} apart"


class OfFigures(ClaimRule):
    """The `statement` of one or more figures of the paper, by its words in figures.toml."""

    rule: Literal["figure"]
    figure: Names
    statement: str

    @property
    def figures(self) -> tuple[str, ...]:
        """The figures, of which `holds` counts."""
        return listed(self.figure)

    @property
    def asks(self) -> str:
        """What the rule asks, in words."""
        return f"{_named(self.figure, 'and')}: {self.statement}"


RULES: Mapping[str, type[ClaimRule]] = {
    "higher": Higher,
    "lower": Higher,
    "order": Order,
    "within": Within,
    "figure": OfFigures,
}
"""The model of each rule."""


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


def listed(names: Names) -> tuple[str, ...]:
    """Return one name or several as several."""
    return (names,) if isinstance(names, str) else names


def _named(names: Names | float, between: str) -> str:
    """Return names as people list them."""
    if isinstance(names, float):
        return f"{names:g}"
    *first, last = listed(names)
    return f"{', '.join(first)} {between} {last}" if first else last
