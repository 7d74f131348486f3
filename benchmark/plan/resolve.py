"""From a paper's rules to run specifications: reading, profile, setting and overrides applied, field by field."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.catalogue.datasets import dataset_facts
from benchmark.catalogue.methods import MethodFacts, completed, method_facts
from benchmark.errors import UsageError, did_you_mean
from benchmark.papers.paper import Paper
from benchmark.papers.protocol import READINGS, ColumnData, ColumnRule, FieldRule, MethodRule, ProfileRule, Reading
from benchmark.papers.tables import Setting
from benchmark.plan.guests import Guest
from benchmark.registry import METHODS
from benchmark.spec import DataSpec, Protocol, RunSpec, validated, with_values

ARM = "arm"
"""What ``--set`` says, in place of a reading, for the values of an entry that neither reading has."""


@dataclass(frozen=True)
class Overrides:
    """What ``--set`` asks for: values of dotted paths, ledger entries put to one reading, and the arms of others."""

    values: Mapping[str, Any] = field(default_factory=dict)
    flips: Mapping[str, Reading] = field(default_factory=dict)
    arms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """How the overrides are named in stored rows: ``path=value`` joined by semicolons, empty without any."""
        parts = {**self.values, **self.flips, **dict.fromkeys(self.arms, ARM)}
        return ";".join(
            f"{key}={json.dumps(value) if not isinstance(value, str) else value}" for key, value in parts.items()
        )


@dataclass(frozen=True)
class ResolvedField:
    """One field of a resolved run: where its value comes from, and the ledger entries that it carries."""

    path: str
    value: Any
    origin: str
    ledger: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resolved:
    """A run specification (of replicate 0) and the origin of its fields."""

    spec: RunSpec
    fields: tuple[ResolvedField, ...]

    def replicate(self, number: int) -> RunSpec:
        """Return the specification of another replicate."""
        return self.spec.model_copy(update={"replicate": number})


def parse_overrides(texts: Sequence[str], paper: Paper, elsewhere: Collection[str] = ()) -> Overrides:
    """Read ``--set`` options: ``PATH=VALUE``, ``FIELD=VALUE`` by its last part, or ``LEDGER-ID=paper|code|arm``.

    Entries of other papers' ledgers that are asked for too, `elsewhere`, change nothing here.

    Raises
    ------
    UsageError
        For an unknown field or entry, or a malformed option.
    """
    values: dict[str, Any] = {}
    flips: dict[str, Reading] = {}
    arms: dict[str, Mapping[str, Any]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {text!r} is not of the form FIELD=VALUE or LEDGER-ID=paper|code.")
        if key in paper.ledger or key in elsewhere:
            entry = paper.ledger.get(key)
            if value == ARM and (entry is None or entry.arm):
                arms |= {key: entry.arm} if entry else {}
            elif value in READINGS:
                flips |= {key: value} if entry else {}
            else:
                arm = ", or to its 'arm'" if entry and entry.arm else ""
                raise UsageError(f"--set {key}={value}: a ledger entry is put to 'paper' or to 'code'{arm}.")
        else:
            values[_full_path(key, paper)] = _literal(value)
    return Overrides(values, flips, arms)


def resolve(
    paper: Paper,
    row: MethodRule,
    column: ColumnRule,
    reading: Reading,
    profile: ProfileRule,
    setting: Setting,
    overrides: Overrides,
    guest: Guest | None = None,
) -> Resolved:
    """Return the run specification of a cell; `guest` says which rules concern a method that the table does not list.

    Later origins win: the method's defaults, the paper's rules, the column, the paper's rules for its data set, the
    profile, the setting, the arms of ledger entries, the other overrides.
    """
    method = method_facts(row.method)
    data = column_data(column, reading, overrides)
    fields = _ruled(paper, method, "", reading, overrides, guest)
    _replace(fields, method, f"column {column.label}", data.set)
    fields |= _ruled(paper, method, data.dataset, reading, overrides, guest)
    spent = {path: _read(value, reading) for path, value in profile.set.items() if guest is None or guest.spends(path)}
    layers = (
        ("profile", spent),
        ("setting", dict(setting.values)),
        *((f"--set {entry}={ARM}", dict(values)) for entry, values in overrides.arms.items()),
        ("--set", _of_method(overrides.values, method)),
    )
    for origin, replaced in layers:
        _replace(fields, method, origin, replaced)
    taken = _data(row, column, reading, profile, overrides)
    source = dataset_facts(taken.name)
    values = {path: item.value for path, item in fields.items()}
    known = completed(row.method, {"n_clusters": source.n_clusters} | _below("params", values))
    whole = with_values(dict(method.protocol), {p: v for p, v in values.items() if p.startswith("phases.")})
    used = known.phases
    protocol = validated(Protocol, whole, f"protocol of {paper.id}")
    fields = {p: item for p, item in fields.items() if not p.startswith("phases.") or p.split(".")[1] in used}
    spec = RunSpec(
        method=row.method,
        params=known.params,
        data=taken,
        protocol=Protocol(phases={name: phase for name, phase in protocol.phases.items() if name in used}),
        replicate=0,
    )
    return Resolved(
        spec, (*_data_fields(taken, row, column, reading, overrides), *fields.values(), *_rest(spec, fields))
    )


def column_data(column: ColumnRule, reading: Reading, overrides: Overrides) -> ColumnData:
    """Return the data of a column under a reading, or under the one that its ledger entries were put to."""
    chosen = _flipped(getattr(column, reading).ledger, overrides, reading)
    data: ColumnData = getattr(column, chosen)
    return data


def _of_method(values: Mapping[str, Any], method: MethodFacts) -> dict[str, Any]:
    """Return values by whole path, where some came by the last part that paths of several methods share."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        paths = [key] if "." in key else sorted(p for p in _paths(method) if p.rpartition(".")[2] == key)
        if len(paths) > 1:
            raise UsageError(f"--set {key!r} could be any of {', '.join(paths)} of {method.name}: give the whole path.")
        found |= dict.fromkeys(paths, value)
    return found


def _paths(method: MethodFacts) -> set[str]:
    """Return the paths of the parameters and phases of a method."""
    phases = {path for path, _ in _leaves(method.protocol)}
    return phases | {f"params.{name}" for name in method.fields}


def applies(path: str, method: MethodFacts) -> bool:
    """Whether a dotted path exists for a method: one of its parameters, or a phase that it has."""
    head, _, rest = path.partition(".")
    if head == "params":
        return rest in method.fields
    return head == "phases" and rest.partition(".")[0] in method.phases


def _ruled(
    paper: Paper, method: MethodFacts, dataset: str, reading: Reading, overrides: Overrides, guest: Guest | None
) -> dict[str, ResolvedField]:
    """Return the fields that the paper's rules set for a method: those for all data sets, or those for `dataset`."""
    fields: dict[str, ResolvedField] = {}
    for rule in paper.protocol.field:
        if guest is not None and not guest.ruled(rule.path):
            continue
        if _concerns(rule, method.name, dataset) and applies(rule.path, method):
            chosen = _flipped(rule.ledger, overrides, reading)
            fields[rule.path] = ResolvedField(rule.path, getattr(rule, chosen), f"{chosen}: {rule.source}", rule.ledger)
    return fields


def _concerns(rule: FieldRule, method: str, dataset: str) -> bool:
    return (not rule.methods or method in rule.methods) and (dataset in rule.datasets if dataset else not rule.datasets)


def _read(value: Any, reading: Reading) -> Any:
    """Return a value of a profile; of one given as `{ paper = ..., code = ... }`, that of the reading."""
    return value[reading] if isinstance(value, Mapping) and set(value) == set(READINGS) else value


def _replace(fields: dict[str, ResolvedField], method: MethodFacts, origin: str, values: Mapping[str, Any]) -> None:
    """Replace the fields that a layer sets, as far as the method has them; their ledger entries stay."""
    for path, value in values.items():
        if applies(path, method):
            known = fields.get(path)
            fields[path] = ResolvedField(path, value, origin, known.ledger if known else ())


def _flipped(ledger: tuple[str, ...], overrides: Overrides, reading: Reading) -> Reading:
    return next((overrides.flips[entry] for entry in ledger if entry in overrides.flips), reading)


def _below(head: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {path.removeprefix(f"{head}."): value for path, value in values.items() if path.startswith(f"{head}.")}


def _data(
    row: MethodRule, column: ColumnRule, reading: Reading, profile: ProfileRule, overrides: Overrides
) -> DataSpec:
    data = column_data(column, reading, overrides)
    source = dataset_facts(data.dataset)
    values = {
        "name": source.name,
        "digest": source.digest,
        "samples": profile.samples,
        "preprocess": data.preprocess if row.preprocess is None else row.preprocess,
        **_arm_of_data(row, data, overrides),
        **_below("data", overrides.values),
    }
    if isinstance(values["samples"], bool):
        raise UsageError(f"data: samples = {values['samples']} is no number of samples.")
    spec = validated(DataSpec, values, "data")
    capped = spec.samples is not None and spec.samples < source.n_samples
    return spec if capped else spec.model_copy(update={"samples": None})


def _arm_of_data(row: MethodRule, data: ColumnData, overrides: Overrides) -> dict[str, Any]:
    """Return the fields of the data that arms set, of entries that the column carries; a row keeps its own steps."""
    arms = {path: value for entry in data.ledger for path, value in overrides.arms.get(entry, {}).items()}
    own = {"preprocess"} if row.preprocess is not None else set()
    return {name: value for name, value in _below("data", arms).items() if name not in own}


def _data_fields(
    data: DataSpec, row: MethodRule, column: ColumnRule, reading: Reading, overrides: Overrides
) -> tuple[ResolvedField, ...]:
    rule = column_data(column, reading, overrides)
    given = _below("data", overrides.values)
    raw = row.preprocess is not None
    usual = f"row {row.label}" if raw else f"column {column.label}"
    armed = "preprocess" in _arm_of_data(row, rule, overrides)
    steps = "--set" if "preprocess" in given or armed else usual
    return (
        ResolvedField("data.dataset", data.name, f"column {column.label}", rule.ledger),
        ResolvedField("data.preprocess", list(data.preprocess), steps, () if raw else rule.ledger),
        ResolvedField("data.samples", data.samples, "--set" if "samples" in given else "profile"),
    )


def _rest(spec: RunSpec, known: Mapping[str, ResolvedField]) -> list[ResolvedField]:
    """Return the fields of a specification that no rule of the paper sets."""
    own = {f"params.{name}": value for name, value in spec.params.items()} | dict(_leaves(spec.protocol.canonical()))
    origins = {"params.n_clusters": "the data set"}
    return [ResolvedField(p, v, origins.get(p, "default of the suite")) for p, v in own.items() if p not in known]


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _full_path(key: str, paper: Paper) -> str:
    methods = list(map(method_facts, METHODS))
    known = {rule.path for rule in paper.protocol.field if any(applies(rule.path, method) for method in methods)}
    known |= {"data.samples", "data.preprocess"}
    for method in methods:
        known |= _paths(method)
    if key in known:
        return key
    matches = sorted(path for path in known if path.rpartition(".")[2] == key)
    if matches:  # of several, each method takes its own
        return matches[0] if len(matches) == 1 else key
    leaves = {path.rpartition(".")[2] for path in known} | known | set(paper.ledger)
    raise UsageError(did_you_mean("field or ledger entry", key, leaves))


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
