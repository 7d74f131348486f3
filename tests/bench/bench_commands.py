"""Commands as people call them, each in a process of its own: processor time and peak memory.

Those that only read start at once. `status` and `tables` are called on 100 000 records, too: to write these
takes minutes.
"""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.record import RunRecord
from benchmark.registry import load_plugins
from benchmark.store.tracked import place, stored_files
from tests.bench.bench_records import every_cell, make_record
from tests.support.checkout import ROOT

MANY = 100_000
AT_ONCE = 2000
STARTS = {
    "help": (["--help"], "<= .5 s"),
    "ls": (["ls"], "<= .5 s"),
    "ledger": (["ledger"], "<= .7 s"),
    "table2": (["tables", "--table", "tkuco2024/table2"], "<= 2 s"),
    "status": (["status"], "<= 2 s"),
    "run": (["run", "--table", "tkuco2024/table2", "--method", "ddc", "--results", "{cache}/results"], "<= 2 s"),
    "explain": (["explain", "tkuco2024/table2", "ddc-uco-t", "mnist", "acc"], "<= 1.5 s"),
}
ON_MANY = {"status": "<= 25 s, 2.5 GB", "tables": "<= 40 s, 2.5 GB"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in which the commands were called before."""
    cache = tmp_path_factory.mktemp("cache")
    for words, _ in STARTS.values():
        spent(cache, words)
    return cache


def spent(cache: Path, words: list[str]) -> tuple[float, float]:
    """Return processor seconds and peak MiB of a command, which may name the folder `{cache}`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    script = "import sys, benchmark.cli.main as m\ntry:\n    m.main()\nfinally:\n"  # VmHWM: ru_maxrss knows the parent
    script += "    print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script, *(word.format(cache=cache) for word in words)],
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), "RECLUST_CACHE": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return seconds, int(done.stderr.split()[-1]) / 1024


def noted(benchmark: Any, calls: list[tuple[float, float]], target: str) -> None:
    """Note what was spent; the time of this process, which only waits, says nothing."""
    seconds, peaks = zip(*calls, strict=True)
    benchmark.extra_info["processor seconds, median"] = round(float(np.median(seconds)), 2)
    benchmark.extra_info["peak MiB"] = round(max(peaks))
    benchmark.extra_info["target"] = target


@pytest.mark.parametrize("name", STARTS)
def test_start(benchmark: Any, cache: Path, name: str) -> None:
    words, target = STARTS[name]
    noted(benchmark, benchmark.pedantic(lambda: [spent(cache, words) for _ in range(5)], rounds=1), target)


def made() -> Iterator[RunRecord]:
    """Yield records of the replicates 0, 1, 2 ... of every cell."""
    load_plugins()
    rng, seen = np.random.default_rng(0), set()
    cells = [(cell.resolved, cell.context) for cell in every_cell() if cell.resolved]
    for replicate in count():
        for resolved, context in cells:
            spec = resolved.replicate(replicate)
            if spec.run_id not in seen:
                seen.add(spec.run_id)
                yield make_record(spec, context, rng)
                if len(seen) == MANY:
                    return


def append(folder: Path, records: list[RunRecord]) -> None:
    """Add records to tracked files; the parts of a gzip file follow each other."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in stored_files(records).items():
        file = folder / name
        if file.exists() and name != "specs.jsonl":  # one header is enough
            text = (gzip.decompress(data) if file.suffix == ".gz" else data).partition(b"\n")[2]
            data = gzip.compress(text, mtime=0) if file.suffix == ".gz" else text
        with file.open("ab") as stream:
            stream.write(data)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder that tracks `MANY` records."""
    results, waiting = tmp_path_factory.mktemp("many"), dict[str, list[RunRecord]]()
    for record in made():
        held = waiting.setdefault(place(record.context), [])
        held.append(record)
        if len(held) == AT_ONCE:
            append(results / "stored" / place(record.context), waiting.pop(place(record.context)))
    for folder, held in waiting.items():
        append(results / "stored" / folder, held)
    return results


@pytest.mark.parametrize("command", ON_MANY)
def test_command_on_100_000_records(benchmark: Any, cache: Path, many: Path, command: str) -> None:
    words = [command, "--results", str(many)]
    spent(cache, words)
    noted(benchmark, benchmark.pedantic(lambda: [spent(cache, words)], rounds=1), ON_MANY[command])
