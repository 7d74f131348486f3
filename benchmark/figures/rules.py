"""What may stand in figures.toml: one model for each kind of figure, its message as statements that can be judged."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from benchmark.errors import UsageError, did_you_mean
from benchmark.figures.bases import FigureRule, OfTable
from benchmark.figures.run_rules import Images, LossScatter, Settings, Sheets
from benchmark.spec import Frozen, validated


class Panel(Frozen):
    """One panel of curves: `y` on its axis, times `scale`, named `label` in `unit`.

    `y` is what a history has ("total", "acc", "term:NAME"), "ofm" or "auxiliary" of the figure's auxiliary terms, or
    "losses": of each run all terms, and their total where there are several. `first` false leaves out the evaluation
    before the first step. `told` is what the caption calls it, with its first and last value in so many `decimals`.
    `also` has further quantities of the best run, each with its name, by the same scale on the same axis.
    """

    y: str
    also: Mapping[str, str] = Field(default_factory=dict)
    label: str
    unit: str = ""
    scale: float = 1.0
    first: bool = True
    log: bool = False
    line: float | None = None
    limits: tuple[float, float] | None = None
    legend: bool = True
    told: str = ""
    decimals: int = Field(1, ge=0)

    @property
    def axis(self) -> str:
        """The label of the axis."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label


class Curves(OfTable):
    """Histories: a panel for each quantity, a line for each method, with a band over all runs, or of the best run."""

    kind: Literal["curves"]
    x: Literal["epoch", "step"] = "epoch"
    x_label: str = "epoch"
    runs: Literal["all", "best"] = "all"
    panel: Annotated[tuple[Panel, ...], Field(min_length=1)]
    stack: Literal["rows", "columns"] = "columns"
    size: tuple[float, float] = (6.4, 3.6)
    needs: tuple[str, ...] = ()
    auxiliary: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _drawable(self) -> Self:
        if self.runs == "all" and self.x == "step":
            raise ValueError('all runs share epochs, not steps: write x = "epoch", or runs = "best"')
        if self.runs == "all" and any(panel.y == "losses" for panel in self.panel):
            raise ValueError('the losses are those of one run: write runs = "best"')
        if self.runs == "all" and any(panel.also for panel in self.panel):
            raise ValueError('further quantities of a panel are those of one run: write runs = "best"')
        if not self.auxiliary and any(panel.y in ("ofm", "auxiliary") for panel in self.panel):
            raise ValueError("ofm and auxiliary need the patterns of the auxiliary terms")
        return self

    def has(self, quantity: str) -> bool:
        """Whether a statement can be `of` this quantity: one of its panels, or a loss term."""
        shown = {name for panel in self.panel for name in (panel.y, *panel.also)}
        return quantity.startswith("term:") or quantity in shown - {"losses"}


class Column(Panel):
    """A panel of a file's column: `y` is the column; `tells` are what the caption says of it for each group."""

    tells: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> Self:
        for what in self.tells:
            known = what in ("median", "largest") or what.startswith("below ")
            if not known or (what.startswith("below ") and not _is_number(what.removeprefix("below "))):
                raise ValueError(f"{what!r} can not be told: write median, largest or below NUMBER")
        return self


class FileCurves(FigureRule):
    """Curves of a committed CSV `file`: a column of panels for each value of `across`, a line for each of `lines`.

    `x` is a column of whole numbers. `across_label` and `lines_label` are made of columns in braces ("{dataset}"),
    `names` replaces values of columns by what is shown. The caption tells of each value of `told_by`; `facts` are what
    the file cannot say of itself.
    """

    kind: Literal["file-curves"]
    file: str
    x: str
    x_label: str
    across: tuple[str, ...]
    across_label: str
    lines: tuple[str, ...]
    lines_label: str
    names: dict[str, dict[str, str]] = Field(default_factory=dict)
    panel: Annotated[tuple[Column, ...], Field(min_length=1)]
    told_by: str
    facts: tuple[str, ...] = ()
    size: tuple[float, float] = (2.6, 2.5)

    def measures(self, name: str) -> bool:
        """Whether a statement can be about `name`: a value of `told_by`, which the file has."""
        return True

    def has(self, quantity: str) -> bool:
        """Whether a statement can be `of` this quantity."""
        return quantity in {panel.y for panel in self.panel}


class Scatter(OfTable):
    """Every evaluation as a dot, `x` against `y`: a panel for each method, its best run in colour with a fitted curve.

    The fit is the regression of R-OFM, of `degree`.
    """

    kind: Literal["scatter"]
    x: str
    y: str
    x_label: str
    y_label: str
    scale: float = 1.0
    auxiliary: tuple[str, ...] = ()
    degree: int = Field(2, ge=1)
    size: tuple[float, float] = (3.0, 3.0)

    def has(self, quantity: str) -> bool:
        """Whether a statement can be `of` this quantity."""
        return quantity == "slope"


class Embeddings(OfTable):
    """Stored embeddings: a panel for each method, or with `epochs` (by method) a row for each, a panel for each epoch.

    Statements are about "purity", whether a sample's nearest neighbour in the plane is of its class: of a method (at
    its last epoch shown), or of METHOD@EPOCH.
    """

    kind: Literal["embedding"]
    tap: str
    projection: Literal["tsne", "umap", "pca"]
    epochs: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    samples: int | None = Field(None, ge=2)
    size: tuple[float, float] = (3.1, 3.2)

    @model_validator(mode="after")
    def _every_method_has_epochs(self) -> Self:
        if self.epochs and set(self.epochs) != set(self.methods):
            raise ValueError("epochs are given for every method, or for none")
        return self

    def measures(self, name: str) -> bool:
        """Whether a statement can be about `name`."""
        method, _, epoch = name.partition("@")
        return method in self.methods and (not epoch or epoch in map(str, self.epochs.get(method, ())))

    def has(self, quantity: str) -> bool:
        """Whether a statement can be `of` this quantity."""
        return quantity == "purity"


class Level(Frozen):
    """Rows of another table, whose best setting is drawn as a level; `label` may name its axes in braces."""

    table: str
    methods: tuple[str, ...]
    label: str


class Sweep(OfTable):
    """The mean of a metric over a setting `x` of the table, a line for each value of the setting `lines`.

    Statements are about values of `lines`, and about "level".
    """

    kind: Literal["sweep"]
    x: str
    lines: str
    metric: str
    scale: float = 1.0
    unit: str = ""
    line_label: str
    x_label: str
    y_label: str
    log: bool = False
    level: Level | None = None
    lines_name: str
    size: tuple[float, float] = (5.8, 3.8)

    def measures(self, name: str) -> bool:
        """Whether a statement can be about `name`: any value of a setting, which the table has."""
        return True

    def has(self, quantity: str) -> bool:
        """Whether a statement can be `of` this quantity."""
        return quantity == self.metric


class Matrix(OfTable):
    """The cosine between the gradients of every pair of terms at the last evaluation: a triangle for each method."""

    kind: Literal["matrix"]
    size: tuple[float, float] = (4.4, 3.8)

    def has(self, quantity: str) -> bool:
        """Whether a statement can be `of` this quantity."""
        return quantity == "lowest drift"


KINDS: Mapping[str, type[FigureRule]] = MappingProxyType(
    {
        "curves": Curves,
        "file-curves": FileCurves,
        "scatter": Scatter,
        "embedding": Embeddings,
        "sweep": Sweep,
        "matrix": Matrix,
        "images": Images,
        "loss-scatter": LossScatter,
        "settings": Settings,
        "sheets": Sheets,
    }
)
"""The model of each kind of figure."""


def figure_rule(values: Any, what: str) -> FigureRule:
    """Return a figure as it is declared, or raise UsageError with one sentence about `what`."""
    if not isinstance(values, Mapping):
        raise UsageError(f"{what} is no figure: write a table with kind, title and alt.")
    kind = str(values.get("kind"))
    if kind not in KINDS:
        raise UsageError(f"{what}: {did_you_mean('kind of figure', kind, KINDS)}")
    try:
        return KINDS[kind](**values)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] != "value_error":
            return validated(KINDS[kind], values, what)
        # Said by a model above, of several fields at once.
        path = "".join(f", {part}" for part in first["loc"])
        raise UsageError(f"{what}{path}: {first['ctx']['error']}.") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
