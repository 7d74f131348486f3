"""Write the two tables of results/README.md from the tracked rows: ``python results/readme.py``."""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean

from benchmark.errors import UsageError
from benchmark.measure import bootstrap_best
from benchmark.papers.paper import load_paper
from benchmark.plan.cells import plan_cells
from benchmark.plan.lineage import parent_of
from benchmark.plan.request import Request
from benchmark.registry import load_plugins

BEFORE = (("K15=paper",), ("C20=paper",), ("K15=paper", "C20=paper"), ("D6=arm",))
"""Under which ``--set`` runs are found that were made before a reading was corrected, in the order tried."""

HERE = Path(__file__).resolve().parent
COUNTED = ("ok", "collapsed")

Row = dict[str, str]


def rows() -> list[Row]:
    """Return all tracked rows, in the order of the files; those made before a reading was corrected say so."""
    load_plugins()
    files = sorted((HERE / "stored").glob("*/*/runs.csv"))
    found = [row for file in files for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines())]
    return [row | {"setting": named(row)} for row in found]


def named(row: Row) -> str:
    """Return the setting of a row, with the entries that have to be put elsewhere today for the same run.

    A row tells how it was labelled when it was made; since then a reading may have been corrected. The label stays
    where no such entry is known.
    """
    paper = load_paper(row["paper"])
    axes = {axis.name for table in paper.tables.values() for axis in table.grid}
    parts = [part for part in row["setting"].split(";") if part]
    sets = tuple(part for part in parts if part.partition("=")[0] not in axes)
    if sets and row["run_id"] in planned(row["paper"], row["profile"], row["reading"], ()):
        return ";".join(part for part in parts if part not in sets)  # what was set then is the reading now
    for more in ((), *BEFORE):
        if row["run_id"] in planned(row["paper"], row["profile"], row["reading"], (*sets, *more)):
            return ";".join((*parts, *more))
    return row["setting"]


@cache
def planned(paper: str, profile: str, reading: str, sets: tuple[str, ...]) -> frozenset[str]:
    """Return the ids of all runs that today's tables of a paper ask for, and of those that they start from."""
    columns = tuple(load_paper(paper).protocol.columns)  # named, so that those shown on request are among them
    asked = Request(profile, (paper,), datasets=columns, readings=(reading,), sets=sets, runs=20)  # type: ignore[arg-type]
    try:
        cells = plan_cells(asked)
    except UsageError:  # an entry that this paper lacks, or that has no arm in it
        return frozenset()
    specs = [spec for cell in cells for spec in cell.specs]
    parents = [parent_of(spec) for spec in specs]
    return frozenset(spec.run_id for spec in (*specs, *parents) if spec)


def stored(found: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the table of what is stored: runs by method, for each profile, paper, data and reading."""
    groups: dict[tuple[str, ...], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in found:
        groups[tuple(row[key] for key in ("profile", "paper", "dataset", "reading"))][row["method"]].append(row)
    yield "| profile | paper | data | reading | samples | runs by method |"
    yield "|---|---|---|---|---|---|"
    for (profile, paper, dataset, reading), methods in sorted(groups.items()):
        runs = ", ".join(f"{method} {_runs(of)}" for method, of in sorted(methods.items()))
        samples = max(int(row["n_samples"] or 0) for of in methods.values() for row in of)
        yield f"| {profile} | {paper} | {dataset} | {reading} | {samples} | {runs} |"


def numbers(found: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the table of numbers: ACC of every cell beyond the quick profile."""
    cells: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in found:
        if row["profile"] != "quick" and row["status"] in COUNTED:
            keys = ("profile", "paper", "dataset", "reading", "setting", "method")
            cells[tuple(row[key] for key in keys)].append(row)
    yield "| profile, paper, data | reading | method | runs | ACC, lowest loss (boot. sd) | mean | lowest to highest |"
    yield "|---|---|---|---|---|---|---|"
    for (profile, paper, dataset, reading, setting, method), whole in sorted(cells.items()):
        name = " ".join(part for part in (method, setting) if part)
        for where, of in _by_machine(whole):
            losses, acc = [float(row["loss"]) for row in of], [100 * float(row["acc"]) for row in of]
            best, (_, sd) = acc[losses.index(min(losses))], bootstrap_best(losses, acc)
            spread = f" ({sd:.1f})" if len(of) > 1 else ""
            yield (
                f"| {profile}, {paper}, {dataset} | {reading} | {name}{where} | {len(of)} | {best:.1f}{spread} | "
                f"{fmean(acc):.1f} | {min(acc):.1f} to {max(acc):.1f} |"
            )


def _by_machine(whole: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Yield the rows of each kind of machine, with its name where several kinds made the same runs."""
    if len({row.get("run_id", str(i)) for i, row in enumerate(whole)}) == len(whole):
        yield "", list(whole)
        return
    kinds: dict[str, list[Row]] = defaultdict(list)
    for row in whole:
        kinds[json.loads(row["environment"]).get("machine", "")].append(row)
    for machine, of in sorted(kinds.items()):
        yield f", on {machine}", of


def _runs(of: Sequence[Row]) -> str:
    settings = {row["setting"] for row in of}
    lost = sum(row["status"] not in COUNTED for row in of)
    parts = [str(len(of))]
    parts += [f"in {len(settings)} settings"] if len(settings) > 1 else []
    parts += [f"({lost} without a result)"] if lost else []
    return " ".join(parts)


def main() -> None:
    """Put both tables between their marks."""
    file, found = HERE / "README.md", rows()
    text = file.read_text(encoding="utf-8")
    for mark, lines in (("STORED", stored(found)), ("NUMBERS", numbers(found))):
        block = "\n".join((f"<!-- {mark} -->", *lines, f"<!-- end {mark} -->"))
        text, count = re.subn(rf"<!-- {mark} -->.*?<!-- end {mark} -->", lambda _, b=block: b, text, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"{file} has no place for the table {mark}.")
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
