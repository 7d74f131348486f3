"""The command line: ``python -m benchmark``, or ``reclust``. Thin: it reads options, calls, and prints."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark import __version__
from benchmark.catalogue.answers import keep
from benchmark.catalogue.filling import fill_once
from benchmark.cli.checking import check
from benchmark.cli.claims import claims
from benchmark.cli.config import Config, PrintConfig, config_text
from benchmark.cli.data import data_app
from benchmark.cli.doctor import doctor
from benchmark.cli.drawing import draw, embed, figures, report
from benchmark.cli.listing import LISTS, cannot_run, captured_phases, cite, print_json, print_list, status_line
from benchmark.cli.manual import InOrder, give_examples
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
    NewResults,
    OwnProtocol,
    Papers,
    Profile,
    Readings,
    Record,
    Results,
    Runs,
    RunTimeout,
    Sets,
    SomeProfile,
    Stack,
    Stale,
    Tables,
    Workers,
    check_device,
    check_executor,
    cores,
    frequency,
    gpus_for,
    request,
    stack_size,
    time_span,
    until,
)
from benchmark.cli.picture import picture
from benchmark.cli.results import results_app
from benchmark.cli.screen import say
from benchmark.cli.study import compare, create, ledger
from benchmark.cli.surroundings import completed_name, refuse_mixed_packages, shut_out
from benchmark.errors import UsageError, UserError, did_you_mean
from benchmark.registry import check_siblings

app = typer.Typer(
    cls=InOrder,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_app, name="data")
app.add_typer(results_app, name="results")
for command in (figures, embed, picture, report, claims, compare, ledger, check, cite, doctor):
    app.command()(command)
app.command("new-method")(create)


@app.command()
def run(
    context: typer.Context,
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
    stack: Stack = "auto",
    budget: Annotated[
        str | None, typer.Option("--budget", help="Start no new run after this time: 90s, 20m, 2h.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train here whatever is already in results/stored.")] = False,
    stale: Stale = "keep",
    record: Record = None,
    executor: Executor = "processes",
    address: Address = "",
    gpus_per_run: GpuShare = 1.0,
    checkpoint: Checkpoint = "60s",
    own_protocol: OwnProtocol = False,
    run_timeout: RunTimeout = None,
    results: NewResults = Path("results"),
    data_dir: DataDir = None,
    config: Config = None,
    print_config: PrintConfig = False,
    as_json: Json = False,
) -> None:
    """Make the runs that are missing, then draw the tables; exit 1 where some cannot be made."""
    if print_config:
        say(config_text(context))
        return
    from benchmark.cli import running
    from benchmark.cli.running import (
        How,
        announce,
        carry_out,
        missing_readings,
        refuse_impossible,
        refuse_nothing,
        with_kept,
    )
    from benchmark.execution.upkeep import refuse_unwritable, tidy
    from benchmark.plan.cells import plan_cells
    from benchmark.session import Session

    if not (all_tables or paper or table or method or dataset):
        raise UsageError("say what to run: --all, or some of --paper, --table, --method, --dataset.")
    if stale not in ("keep", "rerun"):
        raise UsageError(did_you_mean("choice for --stale", stale, ("keep", "rerun")))
    check_executor(executor)
    end, every = until(budget), frequency(checkpoint)
    limit = None if run_timeout is None else time_span("--run-timeout", run_timeout)
    asked = request(profile, paper, table, method, dataset, reading, sets, runs, record, setting, own_protocol)
    check_device(device)
    session = Session(results, data_dir=data_dir, device=device, fresh=fresh, rerun_stale=stale == "rerun")
    cells = plan_cells(asked)
    refuse_nothing(cells, asked)
    lacking = [text for text in (missing_readings(cells, asked),) if text]
    for text in (*lacking, *running.unused_datasets(cells, asked), *running.replaced_by_table(cells)):
        say(f"note: {text}", err=True)
    for text in tidy(session.store):
        say(f"warning: {text}", err=True)
    plan = with_kept(session.plan(cells), session)
    refuse_impossible(plan, cells)
    gpus, size = gpus_for(session.device), stack_size(stack, session.device)
    crew = 1 if executor == "serial" else workers or len(gpus) or (1 if session.device != "cpu" else cores())
    how = How(executor, crew, end, every, stale == "rerun", address, gpus_per_run, gpus, limit, size)
    with running.told_aside(as_json):
        announce(plan, crew)
        if plan.runs:
            refuse_unwritable(results)
        code = carry_out(plan, session, how) if plan.runs else 0
        session.refresh()
        drawn = draw(session, asked, shown=not as_json)
    unmade = [why for why in plan.impossible.values() if method or why not in session.optional]
    code = code or int(bool(unmade))
    if as_json:
        print_json(running.outcome(plan, session, code) | {"tables": str(drawn)})
    elif unmade:
        say(f"error: {len(unmade)} runs were not made: {unmade[0]}", err=True)
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
    own_protocol: OwnProtocol = False,
    results: Results = Path("results"),
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Say how much of each table is stored, what is missing and how long that takes, and what cannot run here."""
    from benchmark.analysis.failures import as_line, as_values, went_wrong
    from benchmark.papers.protocol import PROFILES
    from benchmark.plan.cells import plan_cells
    from benchmark.session import Session

    session = Session(results, data_dir=data_dir)
    lines: list[dict[str, Any]] = []
    wrong: dict[str, str] = {}
    reasons: dict[str, set[str]] = {}
    for name in (profile,) if profile else PROFILES:
        cells = plan_cells(request(name, paper, table, method, dataset, reading, sets, runs, own_protocol=own_protocol))
        cannot_run(session.plan(cells), reasons)
        for key in dict.fromkeys((c.paper, c.table, c.reading) for c in cells):
            chosen = [c for c in cells if (c.paper, c.table, c.reading) == key]
            bad = went_wrong(session, chosen)
            wrong |= {record.run_id: as_line(record) for record in bad}
            lines.append(
                status_line(session, name, chosen) | ({"not_ok": [as_values(r) for r in bad]} if as_json else {})
            )
    print_list(lines, as_json)
    if reasons and not as_json:
        say("\nWhat cannot run here, and is not among the missing:")
        for reason, ids in reasons.items():
            say(f"{len(ids)} runs: {reason}")
    if wrong and not as_json:
        say("\nRuns that went wrong; `python -m benchmark results traceback RUN` shows what a failed one raised:")
        say("\n".join(wrong.values()))
    for problem in session.store.problems():
        say(f"warning: {problem}", err=True)


@app.command()
def ls(
    what: Annotated[str, typer.Argument(help=", ".join(LISTS))] = "methods",
    stack: Annotated[
        bool,
        typer.Option("--stack", help="Of methods: whether steps of each phase are captured on a GPU."),
    ] = False,
    as_json: Json = False,
) -> None:
    """List what there is."""
    if what not in LISTS:
        raise UsageError(did_you_mean("list", what, LISTS))
    if stack and what != "methods":
        raise UsageError(f"--stack lists phases of methods, not {what}: leave it out, or write `ls methods --stack`.")
    print_list(captured_phases() if stack else LISTS[what](), as_json)


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
    own_protocol: OwnProtocol = False,
    fmt: Annotated[str, typer.Option("--format", help="md, tex or csv")] = "md",
    style: Annotated[str, typer.Option(help="Of tex: full, or paper (values, caption, label, to be pasted).")] = "full",
    to: Annotated[Path | None, typer.Option("--out", help="Write to this file.")] = None,
    some: Annotated[
        bool | None,
        typer.Option(
            "--stored-only/--all-rows", help="Only rows and columns with stored runs; so where most cells have none."
        ),
    ] = None,
    rows: Annotated[str, typer.Option("--rows", help="Lines of a row, for people.")] = "ours,published,verdict,runs",
    results: Results = Path("results"),
) -> None:
    """Draw tables from stored results; nothing is trained. CSV has all rows and columns without --stored-only."""
    from benchmark.analysis.tables import stored_tables
    from benchmark.cli.running import elsewhere
    from benchmark.session import Session
    from benchmark.tables.excerpt import chosen_lines, excerpts, with_lines
    from benchmark.tables.render import FORMATS, render_tables

    if fmt not in FORMATS:
        raise UsageError(did_you_mean("table format", fmt, FORMATS))
    session = Session(results)
    lines = chosen_lines(rows)
    asked = request(profile or "quick", paper, table, method, dataset, reading, sets, runs, own_protocol=own_protocol)
    drawn = stored_tables(session, asked, profile=profile)
    if not drawn:
        mend = elsewhere(asked) or "see `python -m benchmark ls tables`."
        raise UsageError(f"no table has cells for these options: {mend}")
    drawn = with_lines(excerpts(drawn, some if fmt != "csv" or some else False), lines)
    text = render_tables(drawn, fmt, style=style)  # type: ignore[arg-type]
    if to is None:
        say(text, nl=False)
    else:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(text, encoding="utf-8")
        say(f"{len(drawn)} tables written to {to}")


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
    own_protocol: OwnProtocol = False,
    short: Annotated[bool, typer.Option("--short", help="Only value, verdict and command.")] = False,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Show where a cell comes from: runs, streams, protocol with ledger entries, data, environment."""
    from benchmark.analysis.explain import as_text, explain_cell, find_cell, shortened
    from benchmark.session import Session

    session = Session(results)
    wanted = [setting] if setting is not None else None
    asked = request("quick", None, [table], [method], [dataset], reading, sets, runs, None, wanted, own_protocol)
    facts = explain_cell(session, find_cell(session, asked, profile), metric)
    facts = shortened(facts) if short else facts
    say(json.dumps(facts, indent=2) if as_json else as_text(facts))


def main() -> None:
    """Run the command line: exit 2 for wrong usage, 1 for what the user can mend, with one sentence on stderr."""
    shut_out()
    try:
        refuse_mixed_packages()
        check_siblings()
        fill_once()
        app(standalone_mode=True, prog_name=completed_name())
    except UsageError as error:
        say(f"error: {error}", err=True)
        sys.exit(2)
    except UserError as error:
        say(f"error: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        say(f"error: {error.filename}: {error.strerror}." if error.filename else f"error: {error}", err=True)
        sys.exit(1)
    finally:
        keep()


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Reproduce the tables of deep-clustering papers under enforced protocols."""
    if version:
        say(__version__)
        raise typer.Exit


give_examples(app)
