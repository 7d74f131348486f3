"""The command `results renew`: show that stale rows are what today's code gives, or say which are not.

It compares with the stored rows themselves, or with `--across` with what the code of an earlier revision gives now.
"""

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
from benchmark.cli.screen import say
from benchmark.plan.request import Request
from benchmark.registry import METHODS

if TYPE_CHECKING:
    from benchmark.record import RunRecord
    from benchmark.repeat.renew import Renewed
    from benchmark.session import Session
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
    across: Annotated[
        str | None,
        typer.Option(help="A git revision: its code and today's make the same short runs here; on any machine."),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Only list the renewals that are stored.")] = False,
    as_json: Json = False,
) -> None:
    """Begin one stale run of each cell again with today's code; bitwise equal rows are stale no more."""
    from benchmark.cli.progress import duration
    from benchmark.papers.protocol import PROFILES
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
        held = [record for spec in specs for record in session.held(spec)]
    else:  # what `--set` changed too
        held = [record for by_device in session.records.values() for record in by_device.values()]
    stale = [record for record in held if record.spec.method in METHODS and session.stale(record)]
    here = [record for record in stale if device_of(record) == session.device]
    started = time.monotonic()
    found = _renewed(here, session, across, workers or cores())
    for text in found.left:
        say(text, err=True)
    if found.entries:
        say(f"written: {keep(found.entries, results / 'stored')}")
    elsewhere = f", {len(stale) - len(here)} from other devices left alone" if len(stale) > len(here) else ""
    say(
        f"{len(stale)} stale runs{elsewhere}: {len(found.entries)} cells renewed, {len(found.left)} stay stale, "
        f"in {duration(time.monotonic() - started)}."
    )
    raise typer.Exit(1 if found.left else 0)


def _renewed(stale: Sequence[RunRecord], session: Session, across: str | None, workers: int) -> Renewed:
    from benchmark.execution.events import Place
    from benchmark.repeat.across import renew_across
    from benchmark.repeat.renew import renew
    from benchmark.repeat.revisions import Asker, checked_out

    if across is None:
        return renew(stale, Place(session.results, session.data_dir, session.device), workers)
    with checked_out(across) as revision:
        asker = Asker(session.device, session.data_dir, workers)
        return renew_across(stale, revision, session.renewals, asker, lambda text: say(text, err=True))


def _specs(requests: Sequence[Request]) -> list[RunSpec]:
    """Return the specifications that requests cover, each once; in both readings where none is named."""
    from benchmark.papers.protocol import READINGS
    from benchmark.plan.cells import plan_cells

    both = [replace(asked, readings=asked.readings or READINGS) for asked in requests]
    cells = [cell for asked in both for cell in plan_cells(asked)]
    return list({spec.run_id: spec for cell in cells for spec in cell.specs}.values())
