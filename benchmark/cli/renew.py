"""The command `results renew`: show that stale rows are what today's code gives, or say which are not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.listing import print_list
from benchmark.cli.options import (
    DataDir,
    Datasets,
    Json,
    Methods,
    Papers,
    Readings,
    Results,
    Runs,
    Sets,
    SomeProfile,
    Tables,
    Workers,
    cores,
    request,
)
from benchmark.plan.request import Request
from benchmark.registry import METHODS

if TYPE_CHECKING:
    from benchmark.spec import RunSpec


def results_renew(
    paper: Papers = None,
    table: Tables = None,
    method: Methods = None,
    dataset: Datasets = None,
    profile: SomeProfile = None,
    reading: Readings = None,
    sets: Sets = None,
    runs: Runs = None,
    workers: Workers = None,
    results: Results = Path("results"),
    data_dir: DataDir = None,
    show: Annotated[bool, typer.Option("--list", help="Only list the renewals that are stored.")] = False,
    as_json: Json = False,
) -> None:
    """Begin one stale run of each cell again with today's code; bitwise equal rows are stale no more."""
    from benchmark.cli.progress import duration
    from benchmark.execution.events import Place
    from benchmark.papers.protocol import PROFILES
    from benchmark.repeat.renew import renew
    from benchmark.session import Session
    from benchmark.store.renewals import keep
    from benchmark.store.rows import device_of

    session = Session(results, data_dir=data_dir)
    if show:
        print_list([entry.model_dump() for entry in session.renewals.entries], as_json)
        return
    if any((paper, table, method, dataset, profile, reading, sets, runs)):
        profiles = (profile,) if profile else PROFILES
        specs = _specs([request(p, paper, table, method, dataset, reading, sets, runs) for p in profiles])
        held = [record for spec in specs for record in session.find(spec)]
    else:  # what `--set` changed too
        held = [record for by_device in session.records.values() for record in by_device.values()]
    stale = [record for record in held if record.spec.method in METHODS and session.stale(record)]
    here = [record for record in stale if device_of(record) == session.device]
    started = time.monotonic()
    found = renew(here, Place(results, session.data_dir, session.device), workers or cores())
    for text in found.left:
        typer.echo(text, err=True)
    if found.entries:
        typer.echo(f"written: {keep(found.entries, results / 'stored')}")
    elsewhere = f", {len(stale) - len(here)} from other devices left alone" if len(stale) > len(here) else ""
    typer.echo(
        f"{len(stale)} stale runs{elsewhere}: {len(found.entries)} cells renewed, {len(found.left)} stay stale, "
        f"in {duration(time.monotonic() - started)}."
    )
    raise typer.Exit(1 if found.left else 0)


def _specs(requests: Sequence[Request]) -> list[RunSpec]:
    """Return the specifications that requests cover, each once; in both readings where none is named."""
    from benchmark.papers.protocol import READINGS
    from benchmark.plan.cells import plan_cells

    both = [replace(asked, readings=asked.readings or READINGS) for asked in requests]
    cells = [cell for asked in both for cell in plan_cells(asked)]
    return list({spec.run_id: spec for cell in cells for spec in cell.specs}.values())
