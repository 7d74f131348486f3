"""What figures of all kinds have in figures.toml."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from benchmark.measure.stated import Stated
from benchmark.spec import Frozen


class FigureRule(Frozen):
    """What figures of all kinds have.

    `published` is the figure's name in the paper, "" for one of ours; `message` what the published picture shows, and
    `statement` what of that is judged on our numbers. `alt` describes the picture to those who cannot see it; `note`
    explains it, after what ours shows.
    """

    kind: str
    title: str
    alt: str
    published: str = ""
    message: str = ""
    note: str = ""
    statement: tuple[Stated, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.title.endswith("."):
            raise ValueError("a title ends without a full stop")
        if self.published and not self.message:
            raise ValueError("a published figure says the message of the published picture")
        wrong = {name for stated in self.statement for name in stated.names if not self.measures(name)}
        wrong |= {stated.of for stated in self.statement if stated.of and not self.has(stated.of)}
        if wrong:
            raise ValueError(f"a statement is about {', '.join(sorted(wrong))}, which the figure does not show")
        return self

    def measures(self, name: str) -> bool:
        """Whether a statement can be about `name`."""
        return False

    def has(self, quantity: str) -> bool:
        """Whether a statement can be `of` this quantity."""
        return False


class OfTable(FigureRule):
    """A figure of rows (`methods`) of a `table` on a data set, or on the profile's stand-in for it."""

    table: str
    methods: Annotated[tuple[str, ...], Field(min_length=1)]
    dataset: str

    def measures(self, name: str) -> bool:
        """Whether a statement can be about `name`."""
        return name in self.methods
