"""The command `check`: today's code trains stored runs again, and is held to their numbers."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.listing import print_json
from benchmark.cli.options import (
    DataDir,
    Datasets,
    Json,
    Methods,
    Papers,
    Profile,
    ReadingChoice,
    Readings,
    Results,
    Runs,
    Tables,
    Workers,
    cores,
    request,
)
from benchmark.cli.screen import say
from benchmark.errors import UsageError, UserError

if TYPE_CHECKING:
    from benchmark.plan.cells import PlannedCell
    from benchmark.session import Session


def check(
    paper: Papers = None,
    table: Tables = None,
    method: Methods = None,
    dataset: Datasets = None,
    profile: Profile = "quick",
    reading: Readings = None,
    runs: Runs = None,
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, help="Only so many of the stored cells, drawn at random.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Draw the sample again that had this seed.")] = None,
    workers: Workers = None,
    results: Results = Path("results"),
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Fail (exit 1) when today's code no longer gives the stored numbers: of the quick profile, or a sample of any.

    With `--runs 1` one run of each cell is made again, a third of the runs. On the kind of machine that made the
    stored one it must be equal; elsewhere it is compared as closely as one run can be, by the spread of all of these.
    """
    from benchmark.cli.progress import duration
    from benchmark.cli.running import refuse_nothing
    from benchmark.plan.cells import plan_cells
    from benchmark.repeat.check import check_cells
    from benchmark.session import Session

    if seed is not None and sample is None:
        raise UsageError("--seed draws a sample: give --sample too.")
    session = Session(results, data_dir=data_dir)
    everything = None if profile == "quick" else ReadingChoice.both
    asked = request(profile, paper, table, method, dataset, reading or everything, None, runs)
    cells = [cell for cell in plan_cells(asked) if cell.specs]
    refuse_nothing(cells, asked)
    cells = _possible(session, cells)
    if sample is not None:
        cells = _drawn(session, cells, sample, secrets.randbelow(10**6) if seed is None else seed, as_json)
    started = time.monotonic()
    found = check_cells(session, cells, workers or cores())
    if as_json:
        print_json(vars(found) | {"agree": not found.disagreements, "seconds": time.monotonic() - started})
        raise typer.Exit(1 if found.disagreements else 0)
    for text in found.disagreements:
        say(text, err=True)
    verdict = "agree" if not found.disagreements else f"{len(found.disagreements)} disagreements"
    say(f"check: {found.runs} runs of {found.cells} cells in {duration(time.monotonic() - started)}: {verdict}.")
    raise typer.Exit(1 if found.disagreements else 0)


def _possible(session: Session, cells: list[PlannedCell]) -> list[PlannedCell]:
    """Return the cells whose methods can run here, and say of the others, on stderr, which packages they lack."""
    lacking = {cell.specs[0].method: session.lacking(cell.specs[0].method) for cell in cells}
    for reason in filter(None, lacking.values()):
        say(f"left out: {reason}", err=True)
    found = [cell for cell in cells if not lacking[cell.specs[0].method]]
    if not found:
        raise UserError("nothing can be checked here: the packages of all methods asked for are missing.")
    return found


def _drawn(session: Session, cells: list[PlannedCell], sample: int, seed: int, aside: bool) -> list[PlannedCell]:
    """Return a sample of cells, and say which it is, so that the same can be drawn again; `aside` on stderr."""
    from benchmark.repeat.check import cell_name
    from benchmark.repeat.sample import sampled

    drawn = sampled(session, cells, sample, seed)
    for reason in drawn.left:
        say(f"left out: {reason}", err=aside)
    say(f"{len(drawn.cells)} of {drawn.stored} stored cells, drawn with --seed {seed}:", err=aside)
    for cell in drawn.cells:
        say(f"  {cell_name(cell)} ({cell.reading})", err=aside)
    return list(drawn.cells)
