"""The tracked form of records: text files, one folder for each profile and paper.

`runs.csv` has one row for each run and kind of machine (of one run in the order in which they came), `history.csv.gz`
its evaluations and `specs.jsonl` its spec. Equal records give equal bytes, and floats are written with their shortest
round trip, so that reading gives the values back.
Labels, weights and tracebacks (which name folders of the machine that ran) stay in the run folders.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path

from benchmark.errors import UserError
from benchmark.files.reading import plain_json, unpacked
from benchmark.files.together import read_together, settle
from benchmark.record import Context, Deferred, Evaluation, RunRecord
from benchmark.spec import RunSpec, canonical_json
from benchmark.store.possible import contradictions
from benchmark.store.rows import (
    HISTORY_COLUMNS,
    KINDS_COLUMNS,
    RUN_COLUMNS,
    Key,
    Kind,
    csv_bytes,
    device_of,
    device_order,
    evaluation_cells,
    evaluation_of,
    kind_in,
    kind_of,
    record_of,
    run_cells,
)

RUNS, HISTORY, SPECS = "runs.csv", "history.csv.gz", "specs.jsonl"
_SPEC, _REPLICATE = ',"spec":', ',"replicate":'
MEND = "restore it (git checkout) or merge the runs again"
_OF_A_DEVICE = re.compile(r'([^,"]*),([^,"]*),')
_OF_A_KIND = re.compile(r'([^,"]*),([^,"]*),(?:"((?:[^"]|"")*)"|([^,"]*)),')


class StoredFolder:
    """The tracked records of one profile and paper, read when they are asked for.

    A damaged file is a UserError that names the file and the line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._built: dict[Key, RunRecord] = {}

    @cached_property
    def _data(self) -> dict[str, bytes | OSError]:
        return read_together(self.path.parents[1], [self.path / name for name in (RUNS, HISTORY, SPECS)])

    @cached_property
    def _rows(self) -> dict[Key, tuple[int, dict[str, str]]]:
        file, rows = self.path / RUNS, {}
        for line, cells in _table_of(file, _decoded(file, self._data[RUNS]), RUN_COLUMNS, 0):
            row = dict(zip(RUN_COLUMNS, cells, strict=True))
            key = (row["run_id"], kind_in(row))
            if key in rows:
                raise _damaged(file, line, f"run {key[0]} on {key[1]} has a second row")
            if key[0] not in self._specs:
                raise _damaged(file, line, f"run {key[0]} has no spec in {SPECS}")
            rows[key] = (line, row)
        return rows

    @cached_property
    def _specs(self) -> dict[str, RunSpec]:
        file, specs = self.path / SPECS, {}
        like: dict[str, RunSpec] = {}
        for line, text in enumerate(_decoded(file, self._data[SPECS]).splitlines(), start=1):
            try:
                run_id, spec = _spec_in(text, like)
            except (ValueError, KeyError, TypeError) as error:
                raise _damaged(file, line, f"no spec can be read ({_first_line(error)})") from None
            if spec.run_id != run_id:
                raise _damaged(file, line, f"the spec has the run id {spec.run_id}, not {run_id}")
            specs[run_id] = spec
        return specs

    @cached_property
    def _history(self) -> Histories:
        return Histories(self.path / HISTORY, self._data[HISTORY])

    def held(self) -> Iterator[Key]:
        """Yield the keys of all rows."""
        yield from self._rows

    def record(self, key: Key) -> RunRecord:
        """Return the record of `key`."""
        if key not in self._built:
            line, row = self._rows[key]
            try:
                _refuse_elsewhere(self.path, row)
                self._built[key] = record_of(row, self._specs[key[0]], self._history.of(key))
            except (ValueError, KeyError, TypeError) as error:
                raise _damaged(self.path / RUNS, line, f"no record can be read ({_first_line(error)})") from None
        return self._built[key]

    def origin(self, key: Key) -> Path:
        """Return the file that holds `key`."""
        return self.path / RUNS

    def problems(self, everything: bool = False) -> list[str]:
        """Return one sentence for each damaged row, or for the first damage that keeps a whole file from being read.

        Of histories it is counted whether they are whole; `everything` reads them, keeps none in memory, and says too
        where a record contradicts its history or its spec.
        """
        found: list[str] = []
        try:
            for key in self.held():
                try:
                    record = self.record(key)
                    if everything:
                        found += self._contradictions(key, record)
                except UserError as error:
                    found.append(str(error))
            unused = self._specs.keys() - {run_id for run_id, _ in self.held()}
            found += [f"{self.path / SPECS}: run {run_id} has no row in {RUNS}; {MEND}." for run_id in sorted(unused)]
        except UserError as error:
            found.append(str(error))
        return list(dict.fromkeys(found))

    def _contradictions(self, key: Key, record: RunRecord) -> Iterator[str]:
        whole = record.model_copy(update={"history": self._history.read(key)})
        for text in contradictions(whole):
            yield str(_damaged(self.path / RUNS, self._rows[key][0], f"run {key[0]} contradicts itself ({text})"))


def _refuse_elsewhere(folder: Path, row: Mapping[str, str]) -> None:
    """Raise ValueError where a row names another profile or paper than its folder."""
    named = [row["profile"] or "none", row["paper"] or "none"]
    if named != list(folder.parts[-2:]):
        raise ValueError(f"it is of {'/'.join(named)}, but lies in {'/'.join(folder.parts[-2:])}")


def _spec_in(text: str, like: dict[str, RunSpec]) -> tuple[str, RunSpec]:
    """Return run id and spec of a line of `SPECS`.

    Replicates differ in their last number only. They share all else with the one that was read first, kept in `like`
    by its text: that saves most of the time and memory of large stores.
    """
    head, comma, tail = text.partition(_SPEC)[2].rpartition(_REPLICATE)
    number = tail.removesuffix("}}")
    if comma and head in like and text.endswith("}}") and number.isdecimal() and number == str(int(number)):
        run_id = plain_json(text.partition(_SPEC)[0] + "}")["run_id"]
        return run_id, like[head].model_copy(update={"replicate": int(number)})
    entry = plain_json(text)
    spec = RunSpec.model_validate(entry["spec"])
    if comma and number == str(spec.replicate) and text.partition(_SPEC)[0].count('"') == 4:
        like[head] = spec
    return entry["run_id"], spec


class Histories:
    """The evaluations in a history file by run and kind, each read when it is asked for: few commands ask for any.

    Until then a run's lines stay as they are, which takes a tenth of the memory. A file says of which kind of machine
    they are only where two kinds made records of one run on one device.
    """

    def __init__(self, file: Path, data: bytes | OSError) -> None:
        self.file = file
        self._columns, _, body = _decoded(file, data).partition("\n")
        self._parts: dict[Key, list[tuple[int, str]]] = {}
        self._counts: Counter[Key] = Counter()
        tuple(_table_of(file, self._columns, KINDS_COLUMNS, 0))  # refuses columns that it does not know
        self._kinds = ",machine," in self._columns
        plain = self._columns.startswith("run_id,device,machine," if self._kinds else "run_id,device,")
        for key, lines in groupby(_whole_lines(body), lambda line: self._key(line, plain)):
            (first, text), *rest = lines
            self._parts.setdefault(key, []).append((first, "\n".join((text, *(line for _, line in rest)))))
            self._counts[key] += 1 + len(rest)

    def of(self, key: Key) -> Sequence[Evaluation]:
        """Return the evaluations of a run; UserError when they are read, where they are damaged."""
        count = self._counts[self._own(key)]
        return Deferred(count, lambda: self.read(key)) if count else ()

    def read(self, key: Key) -> tuple[Evaluation, ...]:
        """Read the evaluations of a run; UserError where they are damaged."""
        return tuple(self._read(self._own(key)))

    def _own(self, key: Key) -> Key:
        """Return the key by which the file itself tells the lines of a run."""
        return key if self._kinds else (key[0], Kind(key[1].device))

    def _key(self, line: tuple[int, str], plain: bool) -> Key:
        number, text = line
        if plain and (found := (_OF_A_KIND if self._kinds else _OF_A_DEVICE).match(text)):
            run_id, device, *rest = found.groups()
            return run_id, Kind(device, next((name.replace('""', '"') for name in rest if name is not None), ""))
        for _, cells in self._lines(text, number):
            return cells[0], Kind(cells[1], cells[2])
        raise _damaged(self.file, number, "it is empty")

    def _lines(self, text: str, number: int) -> Iterator[tuple[int, list[str]]]:
        """Yield number and cells of lines, of which the first has the number `number`."""
        return _table_of(self.file, f"{self._columns}\n{text}\n", KINDS_COLUMNS, number - 2)

    def _read(self, key: Key) -> Iterator[Evaluation]:
        for first, text in self._parts.get(key, ()):
            for number, (_, _, _, *cells) in self._lines(text, first):
                try:
                    yield evaluation_of(cells)
                except (ValueError, KeyError, TypeError) as error:
                    raise _damaged(self.file, number, f"no evaluation can be read ({_first_line(error)})") from None


def _whole_lines(body: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines below a header; those that one cell joins, as it holds line ends, as one."""
    first, parts, quotes = 2, list[str](), 0
    for number, line in enumerate(body.removesuffix("\n").split("\n") if body else (), start=2):
        first = first if parts else number
        parts.append(line)
        quotes += line.count('"')
        if quotes % 2 == 0:
            yield first, "\n".join(parts)
            parts, quotes = [], 0
    if parts:
        yield first, "\n".join(parts)


def stored_folders(stored: Path) -> list[StoredFolder]:
    """Return the folders of profiles and papers below `stored`, in the order of their names.

    A change of several files that was broken off is finished before.
    """
    settle(stored)
    return [StoredFolder(file.parent) for file in sorted(stored.glob(f"*/*/{RUNS}"))]


def _decoded(file: Path, data: bytes | OSError) -> str:
    """Return the text that was read of a file; UserError where it was not, or is damaged."""
    try:
        if isinstance(data, OSError):
            raise data
        return (unpacked(data) if file.suffix == ".gz" else data).decode()
    except (OSError, zlib.error, ValueError) as error:
        raise UserError(f"{file} cannot be read ({_first_line(error)}); {MEND}.") from None


def _table_of(file: Path, text: str, columns: Sequence[str], before: int) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of a csv file, in the order of `columns`; those it has not yet are empty.

    `text` may be a part of it: its header and some lines, after `before` others.
    """
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = next(reader, [])
        if "run_id" not in header or not set(columns) >= set(header):
            raise _damaged(file, 1, f"it is not the header {','.join(columns)} that this version of reclust knows")
        places = [header.index(name) if name in header else len(header) for name in columns]
        for cells in reader:
            if len(cells) != len(header):
                raise _damaged(file, before + reader.line_num, f"it has {len(cells)} cells, not {len(header)}")
            cells.append("")
            yield before + reader.line_num, [cells[place] for place in places]
    except csv.Error as error:
        raise _damaged(file, before + reader.line_num, str(error)) from None


def _damaged(file: Path, line: int, what: str) -> UserError:
    return UserError(f"{file}, line {line}: {what}; {MEND}.")


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def place(context: Context) -> str:
    """Return the folder of a context below `stored`: profile/paper, with `none` for one that is not stated."""
    names = (context.profile or "none", context.paper or "none")
    for name in names:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise UserError(
                f"{name!r} cannot be the name of a folder: name papers and profiles with letters and digits."
            )
    return "/".join(names)


def stored_files(records: Iterable[RunRecord]) -> dict[str, bytes]:
    """Return the contents of the files of one folder, by name; equal records give equal bytes.

    Records of one run and device stay in the order given: the one that was there first is told by it.
    """
    ordered = sorted(records, key=lambda record: (record.run_id, device_order(device_of(record))))
    specs = {record.run_id: record.spec.canonical() for record in ordered}
    told = Counter((record.run_id, device_of(record)) for record in ordered)
    kinds = any(count > 1 for count in told.values())
    history = [
        [record.run_id, *(kind_of(record) if kinds else kind_of(record)[:1]), *evaluation_cells(evaluation)]
        for record in ordered
        for evaluation in record.history
    ]
    # runs.csv is last, and is put in place last: a row never stands without its spec and history.
    return {
        SPECS: "".join(f"{canonical_json({'run_id': key, 'spec': spec})}\n" for key, spec in specs.items()).encode(),
        HISTORY: gzip.compress(csv_bytes(KINDS_COLUMNS if kinds else HISTORY_COLUMNS, history), mtime=0),
        RUNS: csv_bytes(RUN_COLUMNS, map(run_cells, ordered)),
    }
