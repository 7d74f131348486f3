"""What may stand in protocol.toml: fields by reading, columns, methods, metrics, profiles."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from benchmark.spec import Frozen

Reading = Literal["paper", "code"]


READINGS: tuple[Reading, ...] = ("paper", "code")


PROFILES = ("quick", "cpu", "paper")


class FieldRule(Frozen):
    """One field of the protocol under each reading.

    In protocol.toml fields stand in groups that share methods, data sets, source and ledger
    (`benchmark.papers.families`). `path` is a dotted path into the run: ``params.width`` or
    ``phases.train.optimiser.lr``. `methods` and `datasets` restrict the rule (all when empty); a later rule wins, and
    one for certain data sets wins over those for all and over the column. `ledger` are ids of ledger entries, `source`
    says where the values are from.
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
    (all when empty); it is blank in the others, as in the paper. `runs` are all that it needs: 1 says that its method
    draws nothing at random, so that verdicts and claims take that one for as good as many.
    """

    label: str
    published: str = ""
    method: str = ""
    preprocess: tuple[str, ...] | None = None
    quoted: bool = False
    columns: tuple[str, ...] = ()
    runs: int | None = Field(None, ge=1)


class MetricRule(Frozen):
    """A metric of the tables: the record's column, the published name, and the factor from fraction to unit.

    A column of `benchmark.registry.DERIVED` is computed from the history, of `performance` and the loss terms
    that fit the patterns `auxiliary`. `statistic` replaces the table's, so that a table can show several of one metric;
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


class ProtocolFile(Frozen):
    """All of protocol.toml, with what it inherits from families: `benchmark.papers.families.read_protocol`."""

    title: str
    citation: str
    profiles: dict[str, ProfileRule]
    metrics: dict[str, MetricRule]
    columns: dict[str, ColumnRule]
    methods: dict[str, MethodRule]
    field: tuple[FieldRule, ...] = ()

    @field_validator("profiles")
    @classmethod
    def _all_profiles(cls, profiles: dict[str, ProfileRule]) -> dict[str, ProfileRule]:
        """Refuse a paper without one of the profiles, which every command may ask for."""
        if lacking := [name for name in PROFILES if name not in profiles]:
            raise ValueError(f"say what {' and '.join(lacking)} spend, as [profiles.{lacking[0]}]")
        return profiles
