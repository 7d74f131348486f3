"""A paper as data: its protocol under each reading, its tables, its ledger and its published numbers.

A folder of the package ``paper_tables`` that holds a protocol.toml is a paper. These models say what may stand there.
"""

from __future__ import annotations

import csv
import importlib.resources
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources.abc import Traversable
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field

from benchmark.cells import Published
from benchmark.facts import with_facts
from benchmark.families import dotted, read_protocol, read_text, read_toml
from benchmark.registry import UsageError, did_you_mean
from benchmark.spec import Frozen, validated

Reading = Literal["paper", "code"]
READINGS: tuple[Reading, ...] = ("paper", "code")
PROFILES = ("quick", "cpu", "paper")


class FieldRule(Frozen):
    """One field of the protocol under each reading.

    In protocol.toml fields stand in groups that share methods, data sets, source and ledger (`benchmark.families`).
    `path` is a dotted path into the run: ``params.width`` or ``phases.train.optimiser.lr``. `methods` and `datasets`
    restrict the rule (all when empty); a later rule wins, and one for certain data sets wins over those for all and
    over the column. `ledger` are ids of ledger entries, `source` says where the values are from.
    """

    path: str
    paper: Any
    code: Any
    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    ledger: tuple[str, ...] = ()
    source: str


class ColumnData(Frozen):
    """The data of a column under one reading, and the fields that they set: the network for another kind of samples."""

    dataset: str
    preprocess: tuple[str, ...] = ()
    ledger: tuple[str, ...] = ()
    set: dict[str, Any] = Field(default_factory=dict)


class ColumnRule(Frozen):
    """A column of the tables: its label, the name it has in published.csv, and its data under each reading.

    `profiles` restricts where it is shown; in those of `on_request` it is shown where its data are asked for by name.
    `stand_in` marks data that are not the paper's.
    """

    label: str
    published: str = ""
    profiles: tuple[str, ...] = PROFILES
    on_request: tuple[str, ...] = ()
    paper: ColumnData
    code: ColumnData
    stand_in: bool = False
    note: str = ""


class MethodRule(Frozen):
    """A row: the label and the published name of a method; `method` is a registered name, empty if we have none.

    `preprocess` replaces that of the column, for methods that the networks' preprocessing does not concern. `quoted`
    rows have numbers that the paper took from elsewhere, and no runs. `columns` are those that the row has cells in
    (all when empty); it is blank in the others, as in the paper.
    """

    label: str
    published: str = ""
    method: str = ""
    preprocess: tuple[str, ...] | None = None
    quoted: bool = False
    columns: tuple[str, ...] = ()


class MetricRule(Frozen):
    """A metric of the tables: the record's column, the published name, and the factor from fraction to unit.

    A column of `benchmark.derived.DERIVED` is computed from the history, of `performance` and the loss terms that fit
    the patterns `auxiliary`. `statistic` replaces the table's, so that a table can show several of one metric;
    `published_statistic` is its name in published.csv where that differs. A metric that is not `judged` gets no
    verdict.
    """

    column: str
    label: str
    published: str
    scale: float = 100.0
    higher_is_better: bool = True
    ledger: tuple[str, ...] = ()
    auxiliary: tuple[str, ...] = ()
    performance: str = "acc"
    statistic: str = ""
    published_statistic: str = ""
    judged: bool = True


class ProfileRule(Frozen):
    """What a profile spends: runs, cap on samples, replaced fields, and which readings it offers.

    A value of `set` that differs between the readings is written ``{ paper = ..., code = ... }``.
    """

    runs: int = Field(ge=1)
    samples: int | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    readings: tuple[Reading, ...] = READINGS


class GridValue(Frozen):
    """One value of a setting: its label as published, and whether the quick profile spends runs on it."""

    label: str
    value: Any
    quick: bool = False


class GridAxis(Frozen):
    """A field that a table varies."""

    name: str
    path: str
    values: tuple[GridValue, ...]


class TableRule(Frozen):
    """A table: what it shows, which rows and columns, which statistic, and how urgent its runs are (1 first).

    A table of kind `data` shows the columns as the suite counts them, one of kind `network` the layers of a registered
    network, and one of kind `facts` what the paper declares: `header` and rows of text, written here or in a CSV `file`
    beside (`benchmark.facts`), from `source`. `record` are observers that its runs need;
    `unit` and `decimals` are those of its values; `set` replaces fields by profile, after the profile's own, and
    `runs` its number of runs.
    `published_runs` is how many runs a published mean is of: its standard error follows from the sd over them.
    """

    title: str
    kind: Literal["results", "data", "network", "facts"] = "results"
    network: str = ""
    header: tuple[str, ...] = ()
    facts: tuple[tuple[str, ...], ...] = ()
    source: str = ""
    published: str
    metrics: tuple[str, ...] = ()
    statistic: str = "best"
    rows: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    grid: tuple[GridAxis, ...] = ()
    priority: int = 5
    footnotes: tuple[str, ...] = ()
    record: tuple[str, ...] = ()
    unit: str = "%"
    decimals: int = 1
    published_runs: int | None = Field(None, ge=1)
    set: dict[str, dict[str, Any]] = Field(default_factory=dict)
    runs: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)


class LedgerEntry(Frozen):
    """A documented disagreement, or a declared choice of ours.

    `fields` are the paths that carry it, empty where it has no effect on our numbers; `awaits` are paths that no method
    of the paper has yet. `labels` marks a choice of the authors that used the labels.
    """

    id: str
    severity: Literal["A", "B", "C"]
    title: str
    what: str
    paper: str
    code: str
    evidence: tuple[str, ...]
    choice: str
    fields: tuple[str, ...] = ()
    awaits: tuple[str, ...] = ()
    labels: bool = False

    @property
    def effect(self) -> str:
        """What stands where an entry has no field: whether it has no effect, or none yet."""
        return f"none yet: waits for {' '.join(self.awaits)}" if self.awaits else "none: no effect on our numbers"


class LedgerFile(Frozen):
    """All of ledger.toml."""

    entry: tuple[LedgerEntry, ...] = ()


class ProtocolFile(Frozen):
    """All of protocol.toml, with what it inherits from families: `benchmark.families.read_protocol`."""

    title: str
    citation: str
    profiles: dict[str, ProfileRule]
    metrics: dict[str, MetricRule]
    columns: dict[str, ColumnRule]
    methods: dict[str, MethodRule]
    field: tuple[FieldRule, ...] = ()


@dataclass(frozen=True)
class Setting:
    """A point of a table's grid: its label (empty where the table varies nothing) and the fields it sets."""

    label: str
    values: tuple[tuple[str, Any], ...]
    quick: bool


@dataclass(frozen=True)
class Paper:
    """A paper: its id, protocol, tables, ledger and published numbers."""

    id: str
    protocol: ProtocolFile
    tables: dict[str, TableRule]
    ledger: dict[str, LedgerEntry]
    published: tuple[dict[str, str], ...]

    def table(self, name: str) -> TableRule:
        """Return the table `name`, or raise UsageError with the nearest names."""
        if name not in self.tables:
            raise UsageError(did_you_mean(f"table of {self.id}", name, self.tables))
        return self.tables[name]

    def method(self, name: str) -> MethodRule:
        """Return the rule of the row `name`; a method that the paper does not name gets a row of its own name."""
        return self.protocol.methods.get(name, MethodRule(label=name, method=name))

    def published_value(
        self, table: TableRule, method: MethodRule, column: ColumnRule, setting: str, metric: MetricRule, statistic: str
    ) -> Published | None:
        """Return the published number of a cell in the unit of the table, or None where the paper gives none."""
        wanted = {"table": table.published, "method": method.published, "dataset": column.published}
        wanted["metric"] = metric.published
        if table.grid:
            wanted["setting"] = setting
        statistic = metric.published_statistic or statistic
        found = {row["statistic"]: row for row in self.published if all(row[k] == v for k, v in wanted.items())}
        if not (column.published and method.published) or statistic not in found:
            return None
        values = {name: _in_unit(row, metric) for name, row in found.items()}
        sd, printed = _published_sd(values, statistic, table)
        decimals = _printed_decimals(found[statistic], metric)
        sd_decimals = _printed_decimals(found[printed], metric) if printed else None
        return Published(values[statistic], sd, found[statistic]["note"], decimals, sd_decimals)


def statistic_of(table: TableRule, metric: MetricRule) -> str:
    """Return the name of the statistic that a metric of a table shows."""
    return metric.statistic or table.statistic


def _in_unit(row: dict[str, str], metric: MetricRule) -> float:
    """Return a published value in the unit of the tables: a fraction times the scale of its metric."""
    value = float(row["value"])
    return round(value * metric.scale, 9) if row["unit"] == "fraction" else value


def _printed_decimals(row: dict[str, str], metric: MetricRule) -> int:
    """Return how many decimals the paper prints of a value, counted in the unit of the tables."""
    _, _, decimals = row["value"].partition(".")
    shift = round(math.log10(metric.scale)) if row["unit"] == "fraction" else 0
    return max(0, len(decimals) - shift)


def _published_sd(values: dict[str, float], statistic: str, table: TableRule) -> tuple[float | None, str]:
    """Return the sd of a published statistic itself, and which printed number it is, if any.

    That is the bootstrap's sd of a best, and of a mean its standard error, which no paper prints.
    """
    if statistic in ("best", "boot_mean"):
        return values.get("boot_sd"), "boot_sd" if "boot_sd" in values else ""
    if statistic == "mean" and table.published_runs and "sd" in values:
        return values["sd"] / math.sqrt(table.published_runs), ""
    return None, ""


def settings(table: TableRule) -> Iterator[Setting]:
    """Yield the settings of a table: every point of its grid, or one without a label."""
    for point in product(*(axis.values for axis in table.grid)):
        label = ";".join(f"{axis.name}={value.label}" for axis, value in zip(table.grid, point, strict=True))
        values = tuple((axis.path, value.value) for axis, value in zip(table.grid, point, strict=True))
        yield Setting(label, values, all(value.quick for value in point))


def paper_ids() -> tuple[str, ...]:
    """Return the ids of all papers that are here."""
    root = importlib.resources.files("paper_tables")
    return tuple(sorted(d.name for d in root.iterdir() if d.is_dir() and d.joinpath("protocol.toml").is_file()))


def ledger_ids() -> tuple[str, ...]:
    """Return the ids of all papers with a ledger, those too that have no protocol yet."""
    root = importlib.resources.files("paper_tables")
    return tuple(sorted(d.name for d in root.iterdir() if d.is_dir() and d.joinpath("ledger.toml").is_file()))


def load_ledger(paper: str) -> dict[str, LedgerEntry]:
    """Read and validate the ledger of a paper, by id, or raise UsageError with one sentence."""
    if paper not in {*ledger_ids(), *paper_ids()}:
        raise UsageError(did_you_mean("paper with a ledger", paper, ledger_ids()))
    folder = importlib.resources.files("paper_tables").joinpath(paper)
    ledger = validated(LedgerFile, read_toml(folder, "ledger.toml"), f"{paper}/ledger.toml")
    return {entry.id: entry for entry in ledger.entry}


@cache
def load_paper(paper: str) -> Paper:
    """Read and validate all files of a paper, or raise UsageError with one sentence."""
    if paper not in paper_ids():
        raise UsageError(did_you_mean("paper", paper, paper_ids()))
    papers = importlib.resources.files("paper_tables")
    folder = papers.joinpath(paper)
    protocol = validated(ProtocolFile, read_protocol(papers, paper), f"{paper}/protocol.toml")
    tables = {
        name: _table(values if isinstance(values, dict) else {name: values}, folder, f"{paper}/tables.toml [{name}]")
        for name, values in read_toml(folder, "tables.toml").items()
    }
    published = tuple(csv.DictReader(read_text(folder, "published.csv").splitlines()))
    return Paper(paper, protocol, tables, load_ledger(paper), published)


def _table(values: dict[str, Any], folder: Traversable, what: str) -> TableRule:
    """Return the rule of a table as it is written: fields that it sets may be nested, facts stand in a file beside."""
    given = values.get("set")
    if isinstance(given, dict):
        by_profile = {name: dotted(part) if isinstance(part, dict) else part for name, part in given.items()}
        values = values | {"set": by_profile}
    return validated(TableRule, with_facts(values, folder, what), what)
