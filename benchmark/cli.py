"""The command line: ``python -m benchmark``, or ``reclust``. Thin: it reads options, calls, and prints."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from benchmark import __version__
from benchmark.check import check as check_cells
from benchmark.executors import Job, Place, processes
from benchmark.explain import as_text, explain_cell
from benchmark.paper import PROFILES, load_paper, paper_ids
from benchmark.plan import Plan, PlannedCell, Request, plan_cells
from benchmark.progress import duration, follow
from benchmark.registry import DATASETS, METHODS, NETWORKS, UsageError, UserError, did_you_mean, load_plugins
from benchmark.render.tables import FORMATS, render_tables
from benchmark.session import Session
from benchmark.store import merge as merge_folders

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
data_app = typer.Typer(no_args_is_help=True, help="Where the data sets are: status, fetch, verify.")
results_app = typer.Typer(no_args_is_help=True, help="Work on stored results: merge, verify.")
app.add_typer(data_app, name="data")
app.add_typer(results_app, name="results")
out = Console(highlight=False, soft_wrap=True)


class ReadingChoice(StrEnum):
    """Readings as an option."""

    paper = "paper"
    code = "code"
    both = "both"


Papers = Annotated[list[str] | None, typer.Option("--paper", help="Only this paper; repeatable.")]
Tables = Annotated[list[str] | None, typer.Option("--table", help="Only this table, as PAPER/TABLE; repeatable.")]
Methods = Annotated[list[str] | None, typer.Option("--method", help="Only this method; repeatable.")]
Datasets = Annotated[list[str] | None, typer.Option("--dataset", help="Only this data set; repeatable.")]
Readings = Annotated[ReadingChoice | None, typer.Option("--reading", help="What the text says, or what the code does.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="FIELD=VALUE, or LEDGER-ID=paper|code; repeatable.")]
Runs = Annotated[int | None, typer.Option("--runs", min=1, help="Runs per cell, in place of the profile's number.")]
Profile = Annotated[str, typer.Option("--profile", help="How much is spent: quick, cpu or paper.")]
SomeProfile = Annotated[
    str | None, typer.Option("--profile", help="quick, cpu or paper; all with stored rows if not given.")
]
Results = Annotated[Path, typer.Option("--results", help="The folder to which results are written.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of data sets; or set RECLUST_DATA.")]
Device = Annotated[str | None, typer.Option("--device", help="cpu or cuda.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Worker processes; by default one per core.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Stale = Annotated[str, typer.Option("--stale", help="Runs made by other code: keep or rerun.")]


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
    runs: Runs = None,
    device: Device = None,
    workers: Workers = None,
    budget: Annotated[
        str | None, typer.Option("--budget", help="Start no new run after this time: 90s, 20m, 2h.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train here whatever is already in results/stored.")] = False,
    stale: Stale = "keep",
    results: Results = Path("results"),
    data_dir: DataDir = None,
) -> None:
    """Make the runs that are missing, then draw the tables."""
    if not (all_tables or paper or table or method or dataset):
        raise UsageError("say what to run: --all, or some of --paper, --table, --method, --dataset.")
    if stale not in ("keep", "rerun"):
        raise UsageError(did_you_mean("choice for --stale", stale, ("keep", "rerun")))
    until = _until(budget)
    request = _request(profile, paper, table, method, dataset, reading, sets, runs)
    _check_device(device)
    session = Session(results, data_dir=data_dir, device=device, fresh=fresh, rerun_stale=stale == "rerun")
    cells = plan_cells(request)
    _refuse_nothing(cells, request)
    plan = session.plan(cells)
    _refuse_impossible(plan, cells)
    crew = workers or (1 if session.device != "cpu" else _cores())
    _announce(plan, crew)
    code = _carry_out(plan, session, crew, until, stale == "rerun") if plan.runs else 0
    session.refresh()
    _draw(session, request)
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
    session = Session(results, data_dir=data_dir)
    lines = []
    for name in (profile,) if profile else PROFILES:
        cells = plan_cells(_request(name, paper, table, method, dataset, reading, sets, runs))
        for key in dict.fromkeys((c.paper, c.table, c.reading) for c in cells):
            lines.append(_status_line(session, name, [c for c in cells if (c.paper, c.table, c.reading) == key]))
    _print_list(lines, as_json)
    for problem in session.store.problems():
        typer.echo(f"warning: {problem}", err=True)


@app.command()
def ls(
    what: Annotated[str, typer.Argument(help="methods, datasets, networks, papers, tables or profiles")] = "methods",
    as_json: Json = False,
) -> None:
    """List what there is."""
    lists = {
        "methods": _list_methods,
        "datasets": _list_datasets,
        "networks": lambda: [{"name": name, "layers": _layers(network)} for name, network in NETWORKS.items()],
        "papers": lambda: [{"name": p, "title": load_paper(p).protocol.title} for p in paper_ids()],
        "tables": _list_tables,
        "profiles": _list_profiles,
    }
    if what not in lists:
        raise UsageError(did_you_mean("list", what, lists))
    _print_list(lists[what](), as_json)


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
    to: Annotated[Path | None, typer.Option("--out", help="Write to this file.")] = None,
    results: Results = Path("results"),
) -> None:
    """Draw tables from stored results; nothing is trained."""
    if fmt not in FORMATS:
        raise UsageError(did_you_mean("table format", fmt, FORMATS))
    session = Session(results)
    request = _request(profile or "quick", paper, table, method, dataset, reading, sets, runs)
    drawn = session.tables(request, profile=profile)
    if not drawn:
        raise UsageError("no table has cells for these options: see `python -m benchmark ls tables`.")
    text = render_tables(drawn, fmt)  # type: ignore[arg-type]
    if to is None:
        sys.stdout.write(text)
    else:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(text, encoding="utf-8")
        out.print(f"{len(drawn)} tables written to {to}", markup=False)


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
    session = Session(results)
    cell = _one_cell(session, table, method, dataset, setting, profile, reading, sets, runs)
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
    session = Session(results)
    request = _request("quick", paper, table, method, None, None, None, runs)
    cells = [cell for cell in plan_cells(request) if cell.specs]
    _refuse_nothing(cells, request)
    started = time.monotonic()
    found = check_cells(session, cells, workers or _cores())
    for text in found.disagreements:
        typer.echo(text, err=True)
    verdict = "agree" if not found.disagreements else f"{len(found.disagreements)} disagreements"
    typer.echo(f"check: {found.runs} runs of {found.cells} cells in {duration(time.monotonic() - started)}: {verdict}.")
    raise typer.Exit(1 if found.disagreements else 0)


@data_app.command("status")
def data_status(
    names: Annotated[list[str] | None, typer.Argument()] = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Say which data sets are here."""
    lines = []
    for name in names or list(DATASETS):
        found = DATASETS[name].status(data_dir)
        lines.append({"name": name, "state": found.state, "detail": found.detail})
    _print_list(lines, as_json)


@data_app.command("fetch")
def data_fetch(names: Annotated[list[str], typer.Argument()], data_dir: DataDir = None) -> None:
    """Download the official files of data sets."""
    for name in names:
        typer.echo(f"{name}: {DATASETS[name].fetch(data_dir)}")


@data_app.command("verify")
def data_verify(
    names: Annotated[list[str] | None, typer.Argument()] = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Compare digests, counts, classes and ranges of data sets with the declared facts; exit 1 if any differs."""
    lines = []
    for name in names or list(DATASETS):
        try:
            found = DATASETS[name].verify(data_dir)
            lines.append({"name": name, "state": found.state, "detail": found.detail})
        except UserError as error:
            lines.append({"name": name, "state": "broken", "detail": str(error)})
    _print_list(lines, as_json)
    wrong = [line for line in lines if line["state"] == "broken" or (names and line["state"] != "ready")]
    raise typer.Exit(1 if wrong else 0)


@results_app.command("merge")
def results_merge(
    sources: Annotated[list[Path] | None, typer.Argument(help="Results folders; by default that of --results.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Let newer code replace rows of older code.")] = False,
    results: Results = Path("results"),
) -> None:
    """Bring runs into the tracked form, results/stored; refuse equal runs with different numbers."""
    report = merge_folders(sources or [results], results, replace=replace)
    typer.echo(str(report))


@results_app.command("verify")
def results_verify(results: Results = Path("results")) -> None:
    """Read every stored record and say what is damaged; exit 1 if anything is."""
    session = Session(results)
    records = sum(len(by_device) for by_device in session.records.values())
    if not records and not results.is_dir():
        raise UserError(f"there is no folder {results}: name a results folder with --results.")
    problems = session.store.problems()
    for problem in problems:
        typer.echo(problem, err=True)
    typer.echo(f"{records} records read, {len(problems)} problems.")
    raise typer.Exit(1 if problems else 0)


def main() -> None:
    """Run the command line: exit 2 for wrong usage, 1 for what the user can mend, with one sentence on stderr."""
    try:
        load_plugins()
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


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Reproduce the tables of deep-clustering papers under enforced protocols."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _request(
    profile: str,
    paper: list[str] | None,
    table: list[str] | None,
    method: list[str] | None,
    dataset: list[str] | None,
    reading: ReadingChoice | None,
    sets: list[str] | None,
    runs: int | None,
) -> Request:
    both = ("paper", "code") if reading is ReadingChoice.both else (reading.value,) if reading else ()
    parts = (tuple(part or ()) for part in (paper, table, method, dataset))
    papers, named, methods, datasets = parts
    return Request(profile, papers, named, methods, datasets, both, tuple(sets or ()), runs)  # type: ignore[arg-type]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _until(budget: str | None) -> float | None:
    if budget is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", budget)
    if match is None:
        raise UsageError(f"--budget {budget!r} is no time: write 90s, 20m or 2h.")
    return time.monotonic() + float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def _refuse_nothing(cells: list[PlannedCell], request: Request) -> None:
    if not cells:
        raise UsageError(
            f"no cell of the {request.profile} profile fits these options: see `python -m benchmark ls tables`."
        )


def _refuse_impossible(plan: Plan, cells: list[PlannedCell]) -> None:
    """Raise UserError where there is nothing stored and nothing that could be made."""
    if plan.runs or plan.stored:
        return
    reasons = [reason.rstrip(".") for reason in dict.fromkeys(plan.impossible.values())]
    for reason, names in (
        ("not implemented", dict.fromkeys(c.row for c in cells if c.reason == "not implemented")),
        ("no data set of ours", dict.fromkeys(c.column for c in cells if c.reason == "no data")),
    ):
        reasons += [f"{reason}: {', '.join(names)}"] if names else []
    raise UserError(f"no run can be made: {'; '.join(reasons)}.")


def _check_device(name: str | None) -> None:
    if name in (None, "cpu"):
        return
    match = re.fullmatch(r"cuda(?::(\d+))?", name or "")
    if match is None:
        raise UsageError(f"--device {name!r} is no device: write cpu, cuda or cuda:1.")
    if int(match[1] or 0) >= torch.cuda.device_count():
        raise UserError(f"torch finds no GPU {name!r} here: leave --device out to run on the CPU.")


def _announce(plan: Plan, workers: int) -> None:
    seconds = [run.seconds for run in plan.runs]
    known = [s for s in seconds if s is not None]
    guess = sum(known) / len(known) * len(seconds) / max(1, min(workers, len(seconds))) if known else None
    time_text = "" if guess is None else f", about {duration(guess)} with {workers} workers"
    out.print(f"{plan.stored} runs are stored, {len(plan.runs)} to make{time_text}.", markup=False)
    for reason in dict.fromkeys(plan.impossible.values()):
        count = sum(r == reason for r in plan.impossible.values())
        out.print(f"{count} runs cannot be made: {reason}", markup=False)
    if plan.stored and not plan.runs:
        out.print("Nothing to train; --fresh trains everything here, without the tracked rows.", markup=False)


def _carry_out(plan: Plan, session: Session, workers: int, until: float | None, replace: bool) -> int:
    jobs = [Job(run.spec, run.cell.context) for run in plan.runs]
    place = Place(session.results, session.data_dir, session.device, replace)
    workers = min(workers, len(jobs))
    events = processes(jobs, place, workers, until)
    try:
        tally = follow(events, plan, workers, out)
    except KeyboardInterrupt:
        out.print("Interrupted: finished runs are stored; the same command goes on with the next.", markup=False)
        return 130
    out.print(f"Runs made: {tally.text()}; records in {session.results / 'runs'}.", markup=False)
    left = len(jobs) - sum(tally.by_status.values())
    if left:
        out.print(f"The budget is spent: {left} runs are left; the same command goes on with them.", markup=False)
    return 1 if tally.errors else 0


def _draw(session: Session, request: Request) -> None:
    """Write the tables of a request in every format, print them, and say where they lie."""
    drawn = session.tables(request, profile=request.profile)
    folder = session.results / "tables" / request.profile
    for table in drawn:
        place = folder / table.paper
        place.mkdir(parents=True, exist_ok=True)
        for fmt in FORMATS:
            (place / f"{table.table}.{fmt}").write_text(render_tables([table], fmt), encoding="utf-8")  # type: ignore[arg-type]
    sys.stdout.write("\n" + render_tables(drawn, "md"))
    out.print(f"\nTables ({', '.join(FORMATS)}) are in {folder.resolve()}", markup=False)


def _one_cell(
    session: Session,
    table: str,
    method: str,
    dataset: str,
    setting: str | None,
    profile: str | None,
    reading: ReadingChoice | None,
    sets: list[str] | None,
    runs: int | None,
) -> PlannedCell:
    """Return the cell asked for: of the fullest profile and reading with stored runs where they are not given."""
    if "/" not in table:
        raise UsageError(f"write the table as PAPER/TABLE, not {table!r}: see `python -m benchmark ls tables`.")
    paper, _, table_name = table.partition("/")
    if load_paper(paper).table(table_name).kind == "data":
        raise UsageError(f"{table} lists data sets, and no run stands behind it: draw it with the command `tables`.")
    chosen: list[PlannedCell] = []
    for name in (profile,) if profile else tuple(reversed(PROFILES)):
        asked = reading or ReadingChoice.both
        if reading is None:
            offered = load_paper(paper).protocol.profiles
            asked = ReadingChoice.both if name in offered and len(offered[name].readings) > 1 else ReadingChoice.paper
        chosen += plan_cells(_request(name, None, [table], [method], [dataset], asked, sets, runs))
    if not chosen:
        raise UsageError(
            f"{table} has no cell for {method} on {dataset}: see `python -m benchmark tables --table {table}`."
        )
    labels = list(dict.fromkeys(cell.setting for cell in chosen))
    if setting is not None and setting not in labels:
        raise UsageError(did_you_mean(f"setting of {table}", setting, labels))
    wanted = [cell for cell in chosen if setting in (None, cell.setting)]
    return max(wanted, key=lambda cell: any(session.find(spec) for spec in cell.specs))


def _status_line(session: Session, profile: str, cells: list[PlannedCell]) -> dict[str, Any]:
    plan = session.plan(cells)
    specs = {spec.run_id: spec for cell in cells for spec in cell.specs}
    records = [record for spec in specs.values() for record in session.find(spec)[:1]]
    counts = {s: sum(r.status == s for r in records) for s in ("ok", "collapsed", "diverged", "failed")}
    seconds = [run.seconds for run in plan.runs]
    known = [s for s in seconds if s is not None]
    return {
        "profile": profile,
        "table": f"{cells[0].paper}/{cells[0].table}",
        "reading": cells[0].reading,
        "runs": len(specs),
        "stored": plan.stored,
        **counts,
        "stale": sum(session.stale(record) for record in records),
        "missing": len(plan.runs),
        "no data": len(plan.impossible),
        "time left": duration(sum(known) / len(known) * len(seconds) if known else None) if plan.runs else "0 s",
    }


def _list_methods() -> list[dict[str, Any]]:
    return [{"name": name, "class": method.__name__, "about": _first_line(method)} for name, method in METHODS.items()]


def _list_datasets() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "samples": source.n_samples,
            "shape": "x".join(map(str, source.shape)),
            "classes": source.n_clusters,
            "stand-in for": source.stand_in_for or "",
            "licence": source.licence,
            "title": source.title,
        }
        for name, source in DATASETS.items()
    ]


def _list_tables() -> list[dict[str, Any]]:
    return [
        {"name": f"{paper}/{name}", "kind": rule.kind, "published as": rule.published, "title": rule.title}
        for paper in paper_ids()
        for name, rule in load_paper(paper).tables.items()
    ]


def _list_profiles() -> list[dict[str, Any]]:
    return [
        {
            "paper": paper,
            "profile": name,
            "runs": rule.runs,
            "samples": rule.samples or "all",
            "set": json.dumps(rule.set),
        }
        for paper in paper_ids()
        for name, rule in load_paper(paper).protocol.profiles.items()
    ]


def _layers(network: Any) -> str:
    return ", ".join(layer.name for layer in getattr(network, "layers", ()))


def _first_line(thing: Any) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0] if thing.__doc__ else ""


def _print_list(lines: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(lines, indent=2))
        return
    if not lines:
        typer.echo("nothing")
        return
    header = list(lines[0])
    rows = [header, *([str(line[key]) for key in header] for line in lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    for row in rows:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
