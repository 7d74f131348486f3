"""Records as rows of text: the columns of the csv files, and both ways between cells and values.

Floats are written with their shortest round trip, so that reading gives equal values back. A traceback has no
column: it names folders of the machine that ran.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from benchmark.files.reading import plain_json
from benchmark.provenance.environment import device_name, machine_kind
from benchmark.record import Context, Evaluation, RunRecord
from benchmark.spec import RunSpec, canonical_json
from benchmark.store.possible import refuse_impossible


class Kind(NamedTuple):
    """What kind of machine made a record: runs of one kind give equal bits, those of two part by rounding.

    `device` is its name, `machine` what the environment says of CPU and device; "" where a record does not say it.
    """

    device: str
    machine: str = ""

    def __str__(self) -> str:
        """Return the words for people: the machine, which names the device too."""
        return self.machine or self.device


Key = tuple[str, Kind]
"""A run id, and the kind of machine that made the record: of each there is at most one."""

METRICS = ("acc", "nmi", "nmi_geometric", "ari")
_FROM_ENVIRONMENT = ("device", "torch", "version", "git_commit")

RUN_COLUMNS = (
    *("run_id", "paper", "method", "dataset", "setting", "reading", "profile", "replicate", "status", "loss"),
    *(*METRICS, "n_samples", "epochs", "seconds", "device", "torch", "version", "code_digest", "git_commit"),
    *("final_loss", "steps", "peak_mib", "first_losses", "losses", "metrics", "evaluations", "error", "environment"),
)
EVALUATION_COLUMNS = ("phase", "step", "epoch", "total", "clusters", *METRICS, "terms", "metrics")
HISTORY_COLUMNS = ("run_id", "device", *EVALUATION_COLUMNS)
KINDS_COLUMNS = ("run_id", "device", "machine", *EVALUATION_COLUMNS)
"""The columns of a history where kinds of machines made records of one run on one device: it says whose a line is."""


def device_of(record: RunRecord) -> str:
    """Return the name of the device that made the record; one that states none was made on the CPU."""
    device = record.environment.get("device")
    return device if isinstance(device, str) and device else "cpu"


def kind_of(record: RunRecord) -> Kind:
    """Return the kind of machine that made the record."""
    machine = record.environment.get("machine")
    return Kind(device_of(record), machine if isinstance(machine, str) else "")


def kind_here(device: str) -> Kind:
    """Return the kind that records made on this machine, on a torch device such as "cpu" or "cuda:0", have."""
    return Kind(device_name(device), machine_kind(device))


def kind_in(row: Mapping[str, str]) -> Kind:
    """Return the same of a row of runs.csv; without a machine where that cannot be read, as the record then cannot."""
    try:
        machine = plain_json(row["environment"] or "{}").get("machine")
    except (ValueError, AttributeError):
        machine = None
    return Kind(row["device"] or "cpu", machine if isinstance(machine, str) else "")


def device_order(device: str) -> tuple[bool, str]:
    """Return the sort key that puts the CPU before all other devices."""
    return (device != "cpu", device)


def strict(value: Any) -> Any:
    """Return `value` as JSON can hold it: floats that are not finite become the words nan, inf and -inf."""
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(float(value))
    if isinstance(value, dict):
        return {str(key): strict(item) for key, item in value.items()}
    return [strict(item) for item in value] if isinstance(value, tuple | list) else value


def json_text(value: Any) -> str:
    """Return the one JSON text of `value`, which may hold floats that are not finite."""
    return canonical_json(strict(value))


def evaluation_cells(evaluation: Evaluation) -> list[str]:
    """Return one evaluation as the cells of `EVALUATION_COLUMNS`."""
    known, others = _split(evaluation.metrics, METRICS)
    return [
        *(evaluation.phase, str(evaluation.step), str(evaluation.epoch), repr(evaluation.total)),
        *(str(evaluation.clusters), *(_number(known.get(name)) for name in METRICS)),
        *(json_text(evaluation.terms), json_text(others) if others else ""),
    ]


def evaluation_of(cells: Sequence[str]) -> Evaluation:
    """Return the evaluation that `cells` hold; ValueError where they are no evaluation."""
    phase, step, epoch, total, clusters, *metrics, terms, others = cells
    known = {name: float(cell) for name, cell in zip(METRICS, metrics, strict=True) if cell}
    return Evaluation(
        phase=phase,
        step=int(step),
        epoch=int(epoch),
        total=float(total),
        clusters=int(clusters),
        metrics=known | (plain_json(others) if others else {}),
        terms=plain_json(terms),
    )


def run_cells(record: RunRecord) -> list[str]:
    """Return one record as the cells of `RUN_COLUMNS`."""
    known, others = _split(record.metrics, METRICS)
    columns, rest = _split(record.environment, _FROM_ENVIRONMENT, lambda item: isinstance(item, str) and item != "")
    context, spec = record.context, record.spec
    return [
        *(record.run_id, context.paper, spec.method, spec.data.name, context.setting, context.reading),
        *(context.profile, str(spec.replicate), record.status, _number(record.loss)),
        *(_number(known.get(name)) for name in METRICS),
        *(str(record.n_samples), str(record.epochs), repr(record.seconds), columns.get("device", "")),
        *(columns.get("torch", ""), columns.get("version", ""), record.code_digest, columns.get("git_commit", "")),
        *(_number(record.final_loss), str(record.steps), repr(record.peak_mib)),
        *(" ".join(map(repr, record.first_losses)), json_text(record.losses), json_text(others) if others else ""),
        *(str(len(record.history)), record.error, json_text(rest)),
    ]


def record_of(row: Mapping[str, str], spec: RunSpec, history: Sequence[Evaluation]) -> RunRecord:
    """Return the record that a row of runs.csv, its spec and its history hold.

    Raises ValueError or KeyError where a cell is missing, cannot be read, contradicts the spec or holds an impossible
    number, or rows of the history are missing.
    """
    for name, value in (("method", spec.method), ("dataset", spec.data.name), ("replicate", str(spec.replicate))):
        if row[name] != value:
            raise ValueError(f"the {name} is {row[name]}, but {value} in the spec of the run")
    if int(row["evaluations"]) != len(history):
        raise ValueError(f"it counts {row['evaluations']} evaluations, but the history has {len(history)}")
    others = plain_json(row["metrics"] or "{}")
    record = RunRecord.model_validate(
        {
            **{name: row[name] for name in ("run_id", "status", "error", "n_samples", "epochs", "seconds")},
            **{name: row[name] for name in ("steps", "peak_mib", "code_digest")},
            **{name: float(row[name]) if row[name] else None for name in ("loss", "final_loss")},
            "spec": spec,
            "context": Context(**{name: row[name] for name in Context.model_fields}),
            "losses": plain_json(row["losses"]),
            "metrics": {name: float(row[name]) for name in METRICS if row[name]} | others,
            "first_losses": [float(number) for number in row["first_losses"].split()],
            "history": history,
            "environment": {name: row[name] for name in _FROM_ENVIRONMENT if row[name]}
            | plain_json(row["environment"]),
        }
    )
    refuse_impossible(record)
    return record


def _split(
    values: Mapping[str, Any], names: Sequence[str], fits: Callable[[Any], bool] = lambda item: True
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split `values` into those with a column of their own and the others."""
    own = {name: values[name] for name in names if name in values and fits(values[name])}
    return own, {name: item for name, item in values.items() if name not in own}


def _number(value: float | None) -> str:
    return "" if value is None else repr(float(value))


class _UnixLines:
    """What a csv writer writes to: it quotes only the characters of its own line end, so that end is replaced here."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: str) -> None:
        self.lines.append(line.removesuffix("\r\n") + "\n")


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Return a csv file, with newlines as on Unix on every machine; cells may hold any text."""
    out = _UnixLines()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    return "".join(out.lines).encode()
