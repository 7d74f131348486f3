"""How a statement is written down, in TOML: a sentence, a rule, and the names of the numbers it is about.

``says = "A ends above B"``, ``rule = "higher"``, ``a = "a"``, ``b = "b"``, ``of = "acc"``, ``at = "last"``. What the
names mean is up to the file: figures have series by quantity and method.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from benchmark.measure import statements
from benchmark.measure.statements import LEVEL, Answer, At, Series

Names = str | Annotated[tuple[str, ...], Field(min_length=1)]
Measured = Mapping[str, Mapping[str, Series]]
"""Series by quantity and name."""


class NotStored(LookupError):
    """A statement names a series that is not stored."""


class _Statement(BaseModel, ABC):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    says: str
    of: str = ""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The names of all series that it is about."""

    @abstractmethod
    def judged(self, series: Mapping[str, Series], level: float = LEVEL) -> Answer:
        """Return the answer of its rule."""


class Comparison(_Statement):
    """`a` lies above (below) `b`, which may be a number. Lists are all compared; `at_least` so many pairs must hold."""

    rule: Literal["higher", "lower"]
    a: Names
    b: Names | float
    at: At = "mean"
    between: tuple[float, float] | None = None
    at_least: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _counts_pairs(self) -> Self:
        pairs = len(_listed(self.a)) * (1 if isinstance(self.b, float) else len(_listed(self.b)))
        if self.at_least is not None and (self.at_least > pairs or self.at == "every"):
            raise ValueError(f"at_least counts {pairs} pairs, and cannot be asked at every point")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all series that it is about."""
        return (*_listed(self.a), *(() if isinstance(self.b, float) else _listed(self.b)))

    def judged(self, series: Mapping[str, Series], level: float = LEVEL) -> Answer:
        """Return whether `a` is the higher, or the lower."""
        sign = 1.0 if self.rule == "higher" else -1.0
        firsts = [_times(_found(series, name), sign) for name in _listed(self.a)]
        seconds = (
            [sign * self.b]
            if isinstance(self.b, float)
            else [_times(_found(series, name), sign) for name in _listed(self.b)]
        )
        pairs = [(a, b) for a in firsts for b in seconds]
        return statements.higher(pairs, self.at, self.between, self.at_least, level)


class Order(_Statement):
    """The series `a` lie in this order, the highest first."""

    rule: Literal["order"]
    a: Annotated[tuple[str, ...], Field(min_length=2)]
    at: At = "mean"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all series that it is about."""
        return self.a

    def judged(self, series: Mapping[str, Series], level: float = LEVEL) -> Answer:
        """Return whether each lies above the next."""
        return statements.order([_found(series, name) for name in self.a], self.at, level)


class _Single(_Statement):
    a: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all series that it is about."""
        return (self.a,)


class Change(_Single):
    """`a` rises, or falls, from its first to its last point."""

    rule: Literal["rises", "falls"]

    def judged(self, series: Mapping[str, Series], level: float = LEVEL) -> Answer:
        """Return whether it does."""
        rule = statements.rises if self.rule == "rises" else statements.falls
        return rule(_found(series, self.a), level)


class _Bounded(_Single):
    above: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("a statement says either above or below")
        return self


class Slope(_Bounded):
    """The least-squares slope of `a` over its points lies above, or below, a number."""

    rule: Literal["slope"]

    def judged(self, series: Mapping[str, Series], level: float = LEVEL) -> Answer:
        """Return whether it does."""
        return statements.slope(_found(series, self.a), above=self.above, below=self.below, level=level)


class Share(_Bounded):
    """The share of the rows of `a` that count, beyond a number, lies above, or below, a share."""

    rule: Literal["share"]
    counts_above: float | None = None
    counts_below: float | None = None

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.counts_above is None) == (self.counts_below is None):
            raise ValueError("a share says either counts_above or counts_below")
        return self

    def judged(self, series: Mapping[str, Series], level: float = LEVEL) -> Answer:
        """Return whether it does."""
        counts = {"counts_above": self.counts_above, "counts_below": self.counts_below}
        return statements.share(_found(series, self.a), above=self.above, below=self.below, level=level, **counts)


class Within(_Single):
    """`a` and `b`, which may be a number, differ by less than `d`."""

    rule: Literal["within"]
    b: str | float
    d: float = Field(gt=0)
    at: Literal["mean", "first", "last"] = "mean"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all series that it is about."""
        return (self.a,) if isinstance(self.b, float) else (self.a, self.b)

    def judged(self, series: Mapping[str, Series], level: float = LEVEL) -> Answer:
        """Return whether they do."""
        other = self.b if isinstance(self.b, float) else _found(series, self.b)
        return statements.within(_found(series, self.a), other, self.d, self.at, level)


Stated = Annotated[Comparison | Order | Change | Slope | Share | Within, Field(discriminator="rule")]
"""A statement as it is declared."""


def answered(statement: Stated, measured: Measured, level: float = LEVEL) -> Answer:
    """Return what the numbers say of a statement; undecided, with the reason, where they are not all stored.

    Without `of`, a statement is about the first quantity that was measured.
    """
    quantity = statement.of or next(iter(measured), "")
    try:
        return statement.judged(measured.get(quantity, {}), level)
    except NotStored as error:
        return Answer("undecided", why=f"nothing is stored of {error}")


def _found(series: Mapping[str, Series], name: str) -> Series:
    if name not in series:
        raise NotStored(name)
    return series[name]


def _times(series: Series, sign: float) -> Series:
    ends = (sign * series.first, sign * series.last)
    return Series.of(sign * series.values, series.pairs, series.x, ends, series.counted)


def _listed(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names
