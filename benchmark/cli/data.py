"""The commands ``data ...``: where data sets are, getting and checking them, looking at them, handing them on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli.listing import print_list
from benchmark.cli.manual import InOrder
from benchmark.cli.options import DataDir, Json, NewDataDir, Results
from benchmark.cli.screen import say
from benchmark.data.export import EXPORT_FORMATS
from benchmark.errors import UsageError, UserError, did_you_mean
from benchmark.registry import DATASETS

data_app = typer.Typer(cls=InOrder, no_args_is_help=True, help="Data sets: status, fetch, verify, show, export.")

Names = Annotated[list[str] | None, typer.Argument(help="Data sets; all if none is named.")]
Name = Annotated[str, typer.Argument(help="A data set.")]


@data_app.command("status")
def data_status(names: Names = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Say which data sets are here."""
    lines = []
    for name in names or list(DATASETS):
        found = DATASETS[name].status(data_dir)
        lines.append({"name": name, "state": found.state, "detail": found.detail})
    print_list(lines, as_json)


@data_app.command("fetch")
def data_fetch(names: Annotated[list[str], typer.Argument()], data_dir: NewDataDir = None) -> None:
    """Download the official files of data sets; what broke off goes on where it stopped."""
    sources = [DATASETS[name] for name in names]
    for source in sources:
        say(f"{source.name}: {source.fetch(data_dir)}")


@data_app.command("verify")
def data_verify(names: Names = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Compare digests, counts, classes and ranges of data sets with the declared facts; exit 1 if any differs."""
    lines = []
    for name in names or list(DATASETS):
        try:
            found = DATASETS[name].verify(data_dir)
            lines.append({"name": name, "state": found.state, "detail": found.detail})
        except UserError as error:
            lines.append({"name": name, "state": "broken", "detail": str(error)})
    print_list(lines, as_json)
    wrong = [line for line in lines if line["state"] == "broken" or (names and line["state"] != "ready")]
    raise typer.Exit(1 if wrong else 0)


@data_app.command("show")
def data_show(
    name: Name,
    picture: Annotated[Path | None, typer.Option("--picture", help="Draw to this file (png, svg, pdf).")] = None,
    results: Results = Path("results"),
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show what a data set is, where it is, its statistics, and draw a picture of it."""
    from benchmark.data.facts import facts, statistics
    from benchmark.data.pictures import draw_samples  # the plotting library would slow down every other command

    source = DATASETS[name]
    found = source.status(data_dir)
    shown: dict[str, Any] = facts(source) | {"state": found.state, "where": found.detail}
    if found.state == "ready":
        data = source.load(data_dir)
        shown |= statistics(data, source)
        shown["picture"] = str(draw_samples(data, source, picture or results / "data" / f"{name}.png"))
    if as_json:
        say(json.dumps(shown, indent=2))
        return
    width = max(map(len, shown))
    for key, value in ((key.replace("_", " "), value) for key, value in shown.items()):
        first, *rest = value if isinstance(value, list) and value else [value]
        for text in (key.ljust(width), first), *((" " * width, line) for line in rest):
            say(f"{text[0]}  {text[1]}".rstrip())


@data_app.command("export")
def data_export(
    name: Name,
    fmt: Annotated[str, typer.Option("--format", help=" or ".join(EXPORT_FORMATS))] = "npz",
    to: Annotated[Path | None, typer.Option("--out", help="Write to this file; else NAME.FORMAT here.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Write a data set as loaded (samples, labels, lengths) to a file that other programs read."""
    from benchmark.data.export import export

    if fmt not in EXPORT_FORMATS:
        raise UsageError(did_you_mean("export format", fmt, EXPORT_FORMATS))
    target = to or Path(f"{name}.{fmt}")
    export(DATASETS[name].load(data_dir), fmt, target)
    say(f"{name}: {target}")
