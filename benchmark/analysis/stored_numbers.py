"""What figures are drawn from: the records and tracked files of a session, for one profile and reading."""

from __future__ import annotations

import csv
import importlib.resources
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmark.analysis import sheets  # registers its artefacts
from benchmark.analysis.artefacts import EMBEDDING, artefact_command, read_artefact
from benchmark.analysis.kinds import cell_records
from benchmark.catalogue.networks import layers
from benchmark.errors import UsageError, did_you_mean
from benchmark.figures.declared import (
    CellTraces,
    Embedding,
    Floats,
    NoNumbers,
    Scores,
    Sheet,
    ShownImages,
    Trace,
)
from benchmark.papers.paper import load_paper
from benchmark.papers.protocol import Reading
from benchmark.plan.cells import PlannedCell, plan_cells
from benchmark.plan.request import Request
from benchmark.record import COUNTED, RunRecord
from benchmark.registry import ARTEFACTS, DATASETS, NETWORKS, OBSERVERS, Artefact
from benchmark.session import Session


@dataclass(frozen=True)
class Made:
    """An artefact of the best run of a cell, its `content` as the artefact's reader gives it.

    Where one of an `epoch` was asked for, it was `taken` at the first evaluation from there on, or at the run's end.
    """

    method: str
    label: str
    dataset_label: str
    run_id: str
    note: str
    content: Any
    setting: str = ""
    epoch: int | None = None
    taken: int | None = None


class StoredNumbers:
    """The `Numbers` of one folder, profile and reading, from the records and tracked files of a session."""

    def __init__(self, session: Session, folder: str, profile: str, reading: Reading = "paper") -> None:
        self.session, self.folder, self.profile, self.reading = session, folder, profile, reading

    def traces(
        self, table: str, methods: Sequence[str], dataset: str, needs: Sequence[str] = ()
    ) -> tuple[CellTraces, ...]:
        """Return the runs of `methods` on `dataset` or the profile's stand-in; see `Numbers`."""
        cells = self._cells(table, methods, dataset)
        found, lacking = [], []
        for cell in cells:
            traces = _traces(cell_records(cell.specs, self.session.find).values())
            whole = [t for t in traces if all(any(name.startswith(need) for name in t.values) for need in needs)]
            if traces and not whole:
                lacking.append(cell.row)
            if whole:
                found.append(_cell_traces(cell, _select(whole)))
        if found:
            return tuple(found)
        command = _command(self.folder, table, self.profile, cells[0].column if cells else dataset)
        if lacking:
            kind = ", ".join(need.rstrip(":") for need in needs)
            left = [o.name for o in OBSERVERS.values() if any(need.startswith(p) for p in o.leaves for need in needs)]
            record = "".join(f" --record {name}" for name in left)
            raise NoNumbers(f"history has no {', '.join(left)} ({kind}): rerun with `{command}{record}`.", near=True)
        raise NoNumbers(f"no run is stored in the {self.profile} profile: `{command}`.")

    def rows(self, file: str) -> tuple[dict[str, str], ...]:
        """Return the rows of a committed CSV file; see `Numbers`."""
        beside = importlib.resources.files("paper_tables").joinpath(self.folder).joinpath(file)
        tracked = (self.session.results / "stored", self.session.store.shipped)
        places = [root / self.folder / file for root in tracked]
        for place in (beside, *places):
            if place.is_file():
                return tuple(csv.DictReader(place.read_text(encoding="utf-8").splitlines()))
        raise NoNumbers(f"there is no file {file} in paper_tables/{self.folder} or results/stored/{self.folder}.")

    def embeddings(
        self,
        table: str,
        methods: Sequence[str],
        dataset: str,
        tap: str,
        projection: str,
        epochs: Sequence[int] = (),
        samples: int | None = None,
    ) -> tuple[Embedding, ...]:
        """Return stored embeddings of the best runs; see `Numbers`."""
        options = {"tap": tap, "projection": projection, "samples": samples}
        made = self.artefacts(EMBEDDING, table, methods, dataset, options, epochs)
        return tuple(
            Embedding(
                each.method,
                each.label,
                each.dataset_label,
                each.run_id,
                each.content.points,
                each.content.classes,
                each.content.clusters,
                each.note,
                each.content.epoch,
            )
            for each in made
        )

    def artefacts(
        self,
        artefact: Artefact,
        table: str,
        methods: Sequence[str],
        dataset: str,
        options: Mapping[str, Any],
        epochs: Sequence[int] = (),
        *,
        every_setting: bool = False,
    ) -> tuple[Made, ...]:
        """Return stored artefacts of the best runs of `methods`; NoNumbers, with the command, where there are none."""
        found, commands, near = [], [], False
        for cell in self._cells(table, methods, dataset, every_setting=every_setting):
            where = f"{self.folder}/{table} {cell.row} {cell.column} --profile {self.profile}"
            where += f" --setting '{cell.setting}'" if every_setting and cell.setting else ""
            commands.append(artefact_command(artefact, where, options, epochs))
            traces = _select(_traces(cell_records(cell.specs, self.session.find).values()))
            near = near or bool(traces)
            shown = _cell_traces(cell, traces)
            note = f"best of {len(traces)}/{cell.runs} runs"
            for epoch in (epochs or (None,)) if traces else ():
                run_id = shown.best.run_id
                content = read_artefact(self.session, self.folder, artefact, run_id, options, epoch)
                if content is not None:
                    labels = (shown.method, shown.label, shown.dataset_label)
                    when = (epoch, _taken(shown.best, epoch))
                    found.append(Made(*labels, run_id, note, content, cell.setting if every_setting else "", *when))
        if found:
            return tuple(found)
        if not commands:
            raise NoNumbers(f"the {self.profile} profile has no cell of {', '.join(methods)} on {dataset}.")
        raise NoNumbers(
            f"no {artefact.name} artefact is stored in the {self.profile} profile: `{commands[0]}`.", near=near
        )

    def samples(self, column: str) -> ShownImages:
        """Return the images of a column, as loaded; see `Numbers`."""
        rule = load_paper(self.folder).protocol.columns[column]
        name = getattr(rule, self.reading).dataset
        why = self.session.ready(name) if name in DATASETS else "it has no loader"
        if why:
            raise NoNumbers(f"no data of {rule.label}: `python -m benchmark data fetch {name}`.")
        data = DATASETS[name].load(self.session.data_dir)
        if data.x.ndim != 4:
            raise NoNumbers(f"{rule.label} has no images.")
        return ShownImages(rule.label, np.asarray(data.x), np.asarray(data.y))

    def sheets(
        self,
        artefact: str,
        table: str,
        methods: Sequence[str],
        dataset: str,
        options: Mapping[str, Any],
        epochs: Sequence[int] = (),
        *,
        every_setting: bool = False,
    ) -> tuple[Sheet, ...]:
        """Return pictures that the best runs left; see `Numbers`."""
        made = self.artefacts(
            ARTEFACTS[artefact], table, methods, dataset, options, epochs, every_setting=every_setting
        )
        # A run that stopped before an epoch shows its end once.
        return tuple({(each.run_id, each.setting, each.taken): _sheet_of(each) for each in made}.values())

    def scores(self, table: str, methods: Sequence[str], dataset: str) -> tuple[Scores, ...]:
        """Return what is stored of every setting of a table; see `Numbers`."""
        cells = self._cells(table, methods, dataset, every_setting=True)
        found = [(cell, list(cell_records(cell.specs, self.session.find).values())) for cell in cells]
        scores = tuple(_scores(cell, used) for cell, records in found if (used := _counted(records)))
        if not scores:
            command = _command(self.folder, table, self.profile, cells[0].column if cells else dataset)
            raise NoNumbers(f"no run is stored in the {self.profile} profile: `{command}`.")
        return scores

    def parameters(self, table: str, method: str, dataset: str) -> Mapping[str, Any]:
        """Return the parameters that a row of a table runs with; see `Numbers`."""
        for cell in self._cells(table, (method,), dataset):
            return cell.specs[0].params
        raise NoNumbers(f"{method} has no runs in {self.folder}/{table}.")

    def layers(self, network: str) -> tuple[tuple[str, int], ...]:
        """Return name and width of every layer of a network; see `Numbers`."""
        if network not in NETWORKS:
            raise UsageError(did_you_mean("network", network, NETWORKS))
        return tuple((layer.name, layer.units) for layer in layers(network) if layer.units is not None)

    def _cells(
        self, table: str, methods: Sequence[str], dataset: str, *, every_setting: bool = False
    ) -> list[PlannedCell]:
        paper = load_paper(self.folder)
        offered = paper.protocol.profiles[self.profile].readings
        if self.reading not in offered:
            raise NoNumbers(f"the {self.profile} profile offers only the reading {', '.join(offered)}.")
        asked = Request(
            self.profile, (self.folder,), (f"{self.folder}/{table}",), tuple(methods), readings=(self.reading,)
        )
        cells = [cell for cell in plan_cells(asked) if cell.specs]
        columns = list(dict.fromkeys(cell.column for cell in cells))
        column = dataset if dataset in columns else next(iter(columns), "")
        mine = [cell for cell in cells if cell.column == column]
        # Where the table varies settings, most figures show those of the first.
        return [cell for cell in mine if every_setting or cell.setting == mine[0].setting]


def _taken(best: Trace, epoch: int | None) -> int | None:
    """Return the epoch of the evaluation that an artefact of `epoch` shows: see `make_artefacts`."""
    if epoch is None:
        return None
    return int(next((at for at in best.epochs if at >= epoch), best.epochs[-1]))


def _sheet_of(made: Made) -> Sheet:
    """Return a picture with its title: the method, and the epoch or setting where there are several.

    What a run shows that ended before the epoch asked for is named by the epoch of its end.
    """
    which, title = made.setting, f"{made.label} {made.setting}".strip()
    if made.epoch is not None and made.taken is not None:
        which, title = str(min(made.epoch, made.taken)), f"{made.label}, epoch {made.taken}"
    content: sheets.SheetContent = made.content
    return Sheet(
        made.method,
        f"{made.method}@{which}" if which else made.method,
        title,
        made.dataset_label,
        made.run_id,
        made.note,
        content.image,
        content.lines,
        content.numbers,
        content.counted,
    )


def _command(paper: str, table: str, profile: str, column: str) -> str:
    return f"python -m benchmark run --table {paper}/{table} --dataset {column} --profile {profile}"


def _traces(records: Iterable[RunRecord]) -> list[Trace]:
    return [_trace(record) for record in _counted(records) if len(record.history) > 1]


def _counted(records: Iterable[RunRecord]) -> list[RunRecord]:
    return [record for record in records if record.status in COUNTED and record.loss is not None]


def _trace(record: RunRecord) -> Trace:
    history = [e for e in record.history if e.phase == record.history[-1].phase]
    columns: dict[str, list[float]] = {"total": [e.total for e in history]}
    for prefix, parts in (("term:", [e.terms for e in history]), ("", [e.metrics for e in history])):
        for name in sorted({name for part in parts for name in part}):
            columns[f"{prefix}{name}"] = [part.get(name, np.nan) for part in parts]
    values: dict[str, Floats] = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    epochs, steps = (np.asarray(at, dtype=np.float64) for at in zip(*((e.epoch, e.step) for e in history), strict=True))
    return Trace(record.run_id, record.spec.replicate, float(record.loss or 0.0), False, epochs, steps, values)


def _select(traces: Sequence[Trace]) -> list[Trace]:
    """Mark the run with the lowest loss."""
    if not traces:
        return []
    best = min(traces, key=lambda trace: (trace.loss, trace.replicate))
    return [replace(trace, selected=trace is best) for trace in traces]


def _cell_traces(cell: PlannedCell, traces: Sequence[Trace]) -> CellTraces:
    paper = load_paper(cell.paper)
    rule = paper.protocol.columns[cell.column]
    label = f"{rule.label} (stand-in)" if rule.stand_in else rule.label
    return CellTraces(
        cell.row, paper.method(cell.row).label, cell.column, label, cell.reading, cell.runs, tuple(traces)
    )


def _scores(cell: PlannedCell, records: Sequence[RunRecord]) -> Scores:
    shown = _cell_traces(cell, ())
    axes = dict(part.split("=", 1) for part in cell.setting.split(";") if part)
    names = set.intersection(*(set(record.metrics) for record in records))
    values = {name: np.asarray([record.metrics[name] for record in records]) for name in sorted(names)}
    terms = set.intersection(*(set(record.losses) for record in records))
    values |= {f"term:{name}": np.asarray([record.losses[name] for record in records]) for name in sorted(terms)}
    replicates = tuple(record.spec.replicate for record in records)
    return Scores(cell.row, shown.label, shown.dataset_label, cell.reading, cell.runs, axes, values, replicates)
