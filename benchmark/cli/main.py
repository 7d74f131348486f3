"""The command line: ``python -m benchmark``, or ``reclust``. Thin: it reads options, calls, and prints."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark import __version__
from benchmark.catalogue.answers import keep
from benchmark.catalogue.filling import fill_registries
from benchmark.cli.data import data_app
from benchmark.cli.drawing import draw, embed, figures, report
from benchmark.cli.listing import LISTS, print_list, status_line
from benchmark.cli.options import (
    Address,
    Checkpoint,
    DataDir,
    Datasets,
    Device,
    Executor,
    GpuShare,
    Json,
    Methods,
    Papers,
    Profile,
    Readings,
    Record,
    Results,
    Runs,
    Sets,
    SomeProfile,
    Stale,
    Tables,
    Workers,
    check_device,
    check_executor,
    cores,
    frequency,
    request,
    until,
)
from benchmark.cli.picture import picture
from benchmark.cli.results import results_app
from benchmark.cli.study import compare, create, ledger
from benchmark.errors import UsageError, UserError, did_you_mean
from benchmark.registry import check_siblings, fill_when_asked

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(data_app, name="data")
app.add_typer(results_app, name="results")
for command in (figures, embed, picture, report, compare, ledger):
    app.command()(command)
app.command("new-method")(create)


@app.command()
def run(
    all_tables: Annotated[bool, typer.Option("--all", help="Everything of the profile.")] = False,
    paper: Papers = None,
    table: Tables = None,
    method: Methods = None,
    dataset: Datasets = None,
    profile: Profile = "quick",
    reading: Readings = None,
    sets: Sets = None,
    setting: Annotated[
        list[str] | None, typer.Option("--setting", help="Only this setting of a table, as it prints it; repeatable.")
    ] = None,
    runs: Runs = None,
    device: Device = None,
    workers: Workers = None,
    budget: Annotated[
        str | None, typer.Option("--budget", help="Start no new run after this time: 90s, 20m, 2h.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train here whatever is already in results/stored.")] = False,
    stale: Stale = "keep",
    record: Record = None,
    executor: Executor = "processes",
    address: Address = "auto",
    gpus_per_run: GpuShare = 1.0,
    checkpoint: Checkpoint = "60s",
    results: Results = Path("results"),
    data_dir: DataDir = None,
) -> None:
    """Make the runs that are missing, then draw the tables."""
    from benchmark.cli.running import How, announce, carry_out, missing_readings, refuse_impossible, refuse_nothing
    from benchmark.execution.upkeep import refuse_unwritable, tidy
    from benchmark.plan.cells import plan_cells
    from benchmark.session import Session

    if not (all_tables or paper or table or method or dataset):
        raise UsageError("say what to run: --all, or some of --paper, --table, --method, --dataset.")
    if stale not in ("keep", "rerun"):
        raise UsageError(did_you_mean("choice for --stale", stale, ("keep", "rerun")))
    check_executor(executor)
    end, every = until(budget), frequency(checkpoint)
    asked = request(profile, paper, table, method, dataset, reading, sets, runs, record, setting)
    check_device(device)
    session = Session(results, data_dir=data_dir, device=device, fresh=fresh, rerun_stale=stale == "rerun")
    cells = plan_cells(asked)
    refuse_nothing(cells, asked)
    if lacking := missing_readings(cells, asked):
        typer.echo(f"note: {lacking}", err=True)
    for text in tidy(session.store):
        typer.echo(f"warning: {text}", err=True)
    plan = session.plan(cells)
    refuse_impossible(plan, cells)
    crew = 1 if executor == "serial" else workers or (1 if session.device != "cpu" else cores())
    announce(plan, crew)
    how = How(executor, crew, end, every, stale == "rerun", address, gpus_per_run)
    if plan.runs:
        refuse_unwritable(results)
    code = carry_out(plan, session, how) if plan.runs else 0
    session.refresh()
    draw(session, asked)
    raise typer.Exit(code)


@app.command()
def status(
    paper: Papers = None,
    table: Tables = None,
    method: Methods = None,
    dataset: Datasets = None,
    profile: SomeProfile = None,
    reading: Readings = None,
    sets: Sets = None,
    runs: Runs = None,
    results: Results = Path("results"),
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Say how much of each table is stored, what is missing, and how long that would take."""
    from benchmark.analysis.failures import as_line, as_values, went_wrong
    from benchmark.papers.protocol import PROFILES
    from benchmark.plan.cells import plan_cells
    from benchmark.session import Session

    session = Session(results, data_dir=data_dir)
    lines: list[dict[str, Any]] = []
    wrong: dict[str, str] = {}
    for name in (profile,) if profile else PROFILES:
        cells = plan_cells(request(name, paper, table, method, dataset, reading, sets, runs))
        for key in dict.fromkeys((c.paper, c.table, c.reading) for c in cells):
            chosen = [c for c in cells if (c.paper, c.table, c.reading) == key]
            bad = went_wrong(session, chosen)
            wrong |= {record.run_id: as_line(record) for record in bad}
            lines.append(
                status_line(session, name, chosen) | ({"not ok": [as_values(r) for r in bad]} if as_json else {})
            )
    print_list(lines, as_json)
    if wrong and not as_json:
        typer.echo(
            "\nRuns that went wrong; `python -m benchmark results traceback RUN` shows what a failed one raised:"
        )
        typer.echo("\n".join(wrong.values()))
    for problem in session.store.problems():
        typer.echo(f"warning: {problem}", err=True)


@app.command()
def ls(
    what: Annotated[str, typer.Argument(help=", ".join(LISTS))] = "methods",
    as_json: Json = False,
) -> None:
    """List what there is."""
    if what not in LISTS:
        raise UsageError(did_you_mean("list", what, LISTS))
    print_list(LISTS[what](), as_json)


@app.command()
def tables(
    paper: Papers = None,
    table: Tables = None,
    method: Methods = None,
    dataset: Datasets = None,
    profile: SomeProfile = None,
    reading: Readings = None,
    sets: Sets = None,
    runs: Runs = None,
    fmt: Annotated[str, typer.Option("--format", help="md, tex or csv")] = "md",
    style: Annotated[str, typer.Option(help="Of tex: full, or paper (values, caption, label, to be pasted).")] = "full",
    to: Annotated[Path | None, typer.Option("--out", help="Write to this file.")] = None,
    results: Results = Path("results"),
) -> None:
    """Draw tables from stored results; nothing is trained."""
    from benchmark.analysis.tables import stored_tables
    from benchmark.session import Session
    from benchmark.tables.render import FORMATS, render_tables

    if fmt not in FORMATS:
        raise UsageError(did_you_mean("table format", fmt, FORMATS))
    session = Session(results)
    asked = request(profile or "quick", paper, table, method, dataset, reading, sets, runs)
    drawn = stored_tables(session, asked, profile=profile)
    if not drawn:
        raise UsageError("no table has cells for these options: see `python -m benchmark ls tables`.")
    text = render_tables(drawn, fmt, style=style)  # type: ignore[arg-type]
    if to is None:
        sys.stdout.write(text)
    else:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(text, encoding="utf-8")
        typer.echo(f"{len(drawn)} tables written to {to}")


@app.command()
def explain(
    table: Annotated[str, typer.Argument(help="PAPER/TABLE")],
    method: Annotated[str, typer.Argument()],
    dataset: Annotated[str, typer.Argument()],
    metric: Annotated[str, typer.Argument()],
    setting: Annotated[str | None, typer.Option("--setting", help="A setting of the table, as it prints it.")] = None,
    profile: SomeProfile = None,
    reading: Readings = None,
    sets: Sets = None,
    runs: Runs = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Show where a cell comes from: runs, streams, protocol with ledger entries, data, environment."""
    from benchmark.analysis.explain import as_text, explain_cell, find_cell
    from benchmark.session import Session

    session = Session(results)
    wanted = [setting] if setting is not None else None
    asked = request("quick", None, [table], [method], [dataset], reading, sets, runs, setting=wanted)
    cell = find_cell(session, asked, profile)
    facts = explain_cell(session, cell, metric)
    typer.echo(json.dumps(facts, indent=2) if as_json else as_text(facts))


@app.command()
def check(
    paper: Papers = None,
    table: Tables = None,
    method: Methods = None,
    runs: Runs = None,
    workers: Workers = None,
    results: Results = Path("results"),
) -> None:
    """Fail (exit 1) when today's code no longer gives the stored numbers of the quick profile."""
    from benchmark.cli.progress import duration
    from benchmark.cli.running import refuse_nothing
    from benchmark.plan.cells import plan_cells
    from benchmark.repeat.check import check_cells
    from benchmark.session import Session

    session = Session(results)
    asked = request("quick", paper, table, method, None, None, None, runs)
    cells = [cell for cell in plan_cells(asked) if cell.specs]
    refuse_nothing(cells, asked)
    started = time.monotonic()
    found = check_cells(session, cells, workers or cores())
    for text in found.disagreements:
        typer.echo(text, err=True)
    verdict = "agree" if not found.disagreements else f"{len(found.disagreements)} disagreements"
    typer.echo(f"check: {found.runs} runs of {found.cells} cells in {duration(time.monotonic() - started)}: {verdict}.")
    raise typer.Exit(1 if found.disagreements else 0)


def main() -> None:
    """Run the command line: exit 2 for wrong usage, 1 for what the user can mend, with one sentence on stderr."""
    try:
        check_siblings()
        fill_when_asked(fill_registries)
        app(standalone_mode=True)
    except UsageError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        typer.echo(f"error: {error.filename}: {error.strerror}." if error.filename else f"error: {error}", err=True)
        sys.exit(1)
    finally:
        keep()


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Reproduce the tables of deep-clustering papers under enforced protocols."""
    if version:
        typer.echo(__version__)
        raise typer.Exit
