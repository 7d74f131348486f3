"""Commands that show: figures, report, and embed, which makes what some figures need."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.listing import print_list
from benchmark.cli.options import DataDir, Json, Papers, ReadingChoice, Results, SomeProfile, request
from benchmark.cli.screen import say
from benchmark.errors import UsageError, UserError, did_you_mean
from benchmark.plan.request import Request

if TYPE_CHECKING:
    from benchmark.session import Session

SomeFigures = Annotated[list[str] | None, typer.Option("--figure", help="Only this figure, as PAPER/ID; repeatable.")]


def figures(
    figure: SomeFigures = None,
    paper: Papers = None,
    profile: SomeProfile = None,
    reading: Annotated[ReadingChoice, typer.Option("--reading", help="paper or code.")] = ReadingChoice.paper,
    to: Annotated[Path | None, typer.Option("--out", help="The folder to write to.")] = None,
    results: Results = Path("results"),
    listed: Annotated[bool, typer.Option("--list", help="Only list the figures there are.")] = False,
    as_json: Json = False,
) -> None:
    """Draw figures as SVG and PNG from stored numbers; nothing is trained."""
    from benchmark.analysis.figures import draw_figure, load_figures, selected_figures, write_figure
    from benchmark.papers.protocol import PROFILES, READINGS
    from benchmark.session import Session

    if profile is not None and profile not in PROFILES:
        raise UsageError(did_you_mean("profile", profile, PROFILES))
    if reading is ReadingChoice.both:
        raise UsageError("a figure shows one reading: --reading paper or --reading code.")
    for name in paper or ():
        load_figures(name)
    chosen = selected_figures(figure or (), paper or ())
    if listed:
        lines = [{"name": f"{f}/{rule.id}", "published_as": rule.published, "title": rule.title} for f, rule in chosen]
        print_list(lines, as_json)
        return
    session, out = Session(results), to or results / "figures"
    lines, missing = [], []
    for folder, rule in chosen:
        drawn = draw_figure(session, folder, rule, profile, READINGS[reading is ReadingChoice.code])
        files = write_figure(drawn, out)
        missing += [drawn] if drawn.missing else []
        state = drawn.missing or ", ".join(path.suffix[1:] for path in files)
        lines.append({"figure": drawn.name, "profile": drawn.profile or "-", "written": state})
    print_list(lines, as_json)
    if not as_json:
        empty = f"; {len(missing)} without numbers say in their panel what they need" if missing else ""
        say(f"{len(chosen) - len(missing)} of {len(chosen)} figures are in {out.resolve()}{empty}")
    if missing and figure:
        raise UserError(f"{missing[0].name} cannot be drawn: {missing[0].missing}")


def embed(
    table: Annotated[str, typer.Argument(help="PAPER/TABLE")],
    method: Annotated[str, typer.Argument()],
    dataset: Annotated[str, typer.Argument()],
    tap: Annotated[str, typer.Option("--tap", help="A layer of the network, or embedding.")],
    projection: Annotated[str, typer.Option("--projection", help="tsne, umap or pca.")] = "tsne",
    epoch: Annotated[
        list[int] | None, typer.Option("--epoch", min=0, help="At this epoch of the last phase; repeatable.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", min=2, help="How many samples to show at most; by default 2000.")
    ] = None,
    profile: Annotated[str, typer.Option("--profile", help="quick, cpu or paper.")] = "quick",
    reading: Annotated[ReadingChoice, typer.Option("--reading", help="paper or code.")] = ReadingChoice.paper,
    results: Results = Path("results"),
    data_dir: DataDir = None,
) -> None:
    """Train the best stored run of a cell again and store a layer's outputs, projected to the plane, for figures."""
    from benchmark.analysis.explain import find_cell
    from benchmark.repeat.embedding import SAMPLES, embed_best
    from benchmark.session import Session

    session = Session(results, data_dir=data_dir)
    asked = request(profile, None, [table], [method], [dataset], reading, None, None)
    cell = find_cell(session, asked, profile)
    if not cell.specs:
        raise UserError(f"{cell.row} on {cell.column} has no runs: {cell.reason}.")
    for file in embed_best(session, cell, tap, projection, epoch or (), samples or SAMPLES):
        say(f"written: {file}")


def report(
    to: Annotated[Path | None, typer.Option("--out", help="The folder to write to.")] = None,
    results: Results = Path("results"),
    data_dir: DataDir = None,
    against: Annotated[
        Path | None, typer.Option("--against", help="Also compare with this results folder or pack: what moved.")
    ] = None,
) -> None:
    """Write a static report of everything stored: claims, tables, figures, cells, methods, data sets, ledger.

    With --against another results folder, or a pack of one, a page shows what moved between the two, run by run.
    """
    from benchmark.report.report import build_report
    from benchmark.session import Session
    from benchmark.store.packs import unpacked

    with ExitStack() as stack:
        other = stack.enter_context(unpacked(against)) if against else None
        there = Session(other, shipped=other / "stored") if other else None
        built = build_report(Session(results, data_dir=data_dir), to or results / "report", against=there)
    if against:
        said = ", ".join(f"{count} {word}" for word, count in built.moved.items())
        say(f"against {against}: {said} ({(built.index.parent / 'against.html').resolve()})")
    say(f"{built.pages} pages in {built.seconds:.1f} s: open {built.index.resolve()}")


def draw(session: Session, request: Request, *, shown: bool = True) -> Path:
    """Write the tables of a request in every format, print them unless they are not to be `shown`, and return where."""
    from benchmark.analysis.tables import stored_tables
    from benchmark.cli.console import out
    from benchmark.tables.excerpt import readable
    from benchmark.tables.render import FORMATS, render_tables

    drawn = stored_tables(session, request, profile=request.profile)
    folder = session.results / "tables" / request.profile
    for table in drawn:
        place = folder / table.paper
        place.mkdir(parents=True, exist_ok=True)
        for fmt in FORMATS:
            (place / f"{table.table}.{fmt}").write_text(render_tables([table], fmt), encoding="utf-8")  # type: ignore[arg-type]
    if not shown:
        return folder
    say("\n" + render_tables(list(map(readable, drawn)), "md"), nl=False)
    out.print(f"\nTables ({', '.join(FORMATS)}) are in {folder.resolve()}", markup=False)
    return folder
