"""Write the two tables of results/README.md from the tracked rows: ``python results/readme.py``."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from benchmark.measure import bootstrap_best

HERE = Path(__file__).resolve().parent
COUNTED = ("ok", "collapsed")

Row = dict[str, str]


def rows() -> list[Row]:
    """Return all tracked rows, in the order of the files."""
    files = sorted((HERE / "stored").glob("*/*/runs.csv"))
    return [row for file in files for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines())]


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
    for (profile, paper, dataset, reading, setting, method), of in sorted(cells.items()):
        losses, acc = [float(row["loss"]) for row in of], [100 * float(row["acc"]) for row in of]
        best, (_, sd) = acc[losses.index(min(losses))], bootstrap_best(losses, acc)
        spread = f" ({sd:.1f})" if len(of) > 1 else ""
        name = " ".join(part for part in (method, setting) if part)
        yield (
            f"| {profile}, {paper}, {dataset} | {reading} | {name} | {len(of)} | {best:.1f}{spread} | "
            f"{fmean(acc):.1f} | {min(acc):.1f} to {max(acc):.1f} |"
        )


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
