"""Kinds of figures of data, of losses against accuracy, of single settings, and of pictures that runs left."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from benchmark.figures.bases import FigureRule, OfTable
from benchmark.spec import Frozen


class Images(FigureRule):
    """Images of data sets as loaded: a panel for each of `columns`, a row for each of its first classes.

    Without any of them on this machine, the column `stand_in` is shown.
    """

    kind: Literal["images"]
    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    stand_in: str
    each: int = Field(8, ge=1)
    classes: int = Field(10, ge=1)
    size: tuple[float, float] = (2.4, 2.6)


class LossScatter(FigureRule):
    """Standardised total loss against ACC at the evaluations of all runs: a panel for each method and data set.

    Statements are about the slope of each run, of METHOD@DATASET.
    """

    kind: Literal["loss-scatter"]
    table: str
    methods: Annotated[tuple[str, ...], Field(min_length=1)]
    datasets: Annotated[tuple[str, ...], Field(min_length=1)]
    size: tuple[float, float] = (3.2, 2.8)

    def measures(self, name: str) -> bool:
        """Whether a statement can be about `name`."""
        method, _, dataset = name.partition("@")
        return method in self.methods and dataset in self.datasets

    def has(self, quantity: str) -> bool:
        """Whether a statement can be `of` this quantity."""
        return quantity == "slope"


class SettingPanel(Frozen):
    """One panel over the values of a setting: a metric of the runs, or the sum of the terms `terms` of their loss."""

    y: str = ""
    terms: tuple[str, ...] = ()
    label: str
    scale: float = 1.0


class Settings(OfTable):
    """Mean and standard deviation over the values of the only setting `x` of a table: a line for each data set.

    Statements are about values of the setting, as they are labelled, on the first data set.
    """

    kind: Literal["settings"]
    x: str
    x_label: str
    log: bool = False
    others: tuple[str, ...] = ()
    panel: Annotated[tuple[SettingPanel, ...], Field(min_length=1)]
    size: tuple[float, float] = (6.8, 3.0)

    def measures(self, name: str) -> bool:
        """Whether a statement can be about `name`: any value of the setting, which the table has."""
        return True

    def has(self, quantity: str) -> bool:
        """Whether a statement can be `of` this quantity."""
        return quantity in {panel.label for panel in self.panel}


class Sheets(OfTable):
    """Pictures that the best run of each method left as the artefact `artefact`, a panel for each method (and epoch).

    Statements are about the numbers that the artefact has beside its picture, by their names.
    """

    kind: Literal["sheets"]
    artefact: str
    options: dict[str, Any] = Field(default_factory=dict)
    epochs: tuple[int, ...] = ()
    settings: bool = False
    cmap: str = "gray"
    size: tuple[float, float] = (2.6, 2.7)

    def measures(self, name: str) -> bool:
        """Whether a statement can be about `name`: a method, or METHOD@EPOCH, or METHOD@SETTING."""
        method, _, which = name.partition("@")
        return method in self.methods and (not which or self.settings or which in map(str, self.epochs))

    def has(self, quantity: str) -> bool:
        """Whether a statement can be `of` this quantity; the artefact has it."""
        return True
