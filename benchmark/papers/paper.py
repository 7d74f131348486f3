"""A paper as data: its protocol under each reading, its tables, its ledger and its published numbers.

A folder of the package ``paper_tables`` that holds a protocol.toml is a paper. What may stand in each file is said by
the models of this folder.
"""

from __future__ import annotations

import csv
import importlib.resources
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources.abc import Traversable
from typing import Any

from benchmark.errors import UsageError, did_you_mean
from benchmark.papers.facts import with_facts
from benchmark.papers.families import dotted, read_protocol, read_text, read_toml
from benchmark.papers.ledger import LedgerEntry, LedgerFile
from benchmark.papers.protocol import ColumnRule, MethodRule, MetricRule, ProtocolFile
from benchmark.papers.published import Published, in_unit, printed_decimals, published_sd
from benchmark.papers.tables import TableRule
from benchmark.registry import check_name
from benchmark.spec import validated


@dataclass(frozen=True)
class Paper:
    """A paper: its id, protocol, tables, ledger and published numbers."""

    id: str
    protocol: ProtocolFile
    tables: dict[str, TableRule]
    ledger: dict[str, LedgerEntry]
    published: tuple[dict[str, str], ...]

    @cached_property
    def _published_of(self) -> dict[tuple[str, ...], list[dict[str, str]]]:
        """The published numbers by table, method, data set and metric."""
        found: dict[tuple[str, ...], list[dict[str, str]]] = {}
        for row in self.published:
            key = tuple(row[name] for name in ("table", "method", "dataset", "metric"))
            found.setdefault(key, []).append(row)
        return found

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
        wanted = (table.published, method.published, column.published, metric.published)
        statistic = metric.published_statistic or statistic
        rows = [row for row in self._published_of.get(wanted, ()) if not table.grid or row["setting"] == setting]
        found = {row["statistic"]: row for row in rows}
        if not (column.published and method.published) or statistic not in found:
            return None
        values = {name: in_unit(row, metric) for name, row in found.items()}
        decimals = {name: printed_decimals(row, metric) for name, row in found.items()}
        spread = published_sd(values, decimals, statistic, table.published_runs)
        return Published(
            value=values[statistic],
            sd=spread.sd,
            note=found[statistic]["note"],
            decimals=decimals[statistic],
            sd_decimals=decimals.get(spread.printed),
            runs=table.published_runs,
            least_sd=spread.least,
        )


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
    check_name("paper", paper)
    papers = importlib.resources.files("paper_tables")
    folder = papers.joinpath(paper)
    protocol = validated(ProtocolFile, read_protocol(papers, paper), f"{paper}/protocol.toml")
    tables = {
        name: _table(values if isinstance(values, dict) else {name: values}, folder, f"{paper}/tables.toml [{name}]")
        for name, values in read_toml(folder, "tables.toml").items()
    }
    for kind, names in (("table", tables), ("row", protocol.methods), ("column", protocol.columns)):
        for name in names:
            check_name(f"{paper} {kind}", name)
    published = tuple(csv.DictReader(read_text(folder, "published.csv").splitlines()))
    return Paper(paper, protocol, tables, load_ledger(paper), published)


def _table(values: dict[str, Any], folder: Traversable, what: str) -> TableRule:
    """Return the rule of a table as it is written: fields that it sets may be nested, facts stand in a file beside."""
    given = values.get("set")
    if isinstance(given, dict):
        by_profile = {name: dotted(part) if isinstance(part, dict) else part for name, part in given.items()}
        values = values | {"set": by_profile}
    return validated(TableRule, with_facts(values, folder, what), what)
