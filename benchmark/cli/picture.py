"""The command that makes a picture of a stored run, for figures that need one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import DataDir, ReadingChoice, Results, request
from benchmark.cli.screen import say
from benchmark.errors import UsageError, UserError, did_you_mean


def picture(
    kind: Annotated[str, typer.Argument(help="members, confident, outputs, kernels, parameters or saliency")],
    table: Annotated[str, typer.Argument(help="PAPER/TABLE")],
    method: Annotated[str, typer.Argument()],
    dataset: Annotated[str, typer.Argument()],
    clusters: Annotated[int, typer.Option("--clusters", min=1, help="members: of so many clusters.")] = 6,
    members: Annotated[int, typer.Option("--members", min=1, help="members, confident: so many of each.")] = 10,
    block: Annotated[int, typer.Option("--block", min=1, help="kernels: of this block.")] = 2,
    images: Annotated[int, typer.Option("--images", min=1, help="saliency, outputs: of so many images.")] = 6,
    setting: Annotated[str | None, typer.Option("--setting", help="A setting of the table, as it is labelled.")] = None,
    epoch: Annotated[
        list[int] | None, typer.Option("--epoch", min=0, help="At this epoch of the last phase; repeatable.")
    ] = None,
    profile: Annotated[str, typer.Option("--profile", help="quick, cpu or paper.")] = "quick",
    reading: Annotated[ReadingChoice, typer.Option("--reading", help="paper or code.")] = ReadingChoice.paper,
    results: Results = Path("results"),
    data_dir: DataDir = None,
) -> None:
    """Train the best stored run of a cell again and store a picture of it, for figures."""
    from benchmark.analysis.explain import find_cell
    from benchmark.analysis.sheets import CONFIDENT, KERNELS, MEMBERS, OUTPUTS, PARAMETERS, SALIENCY
    from benchmark.repeat.artefacts import make_artefacts
    from benchmark.session import Session

    known = {
        "members": (MEMBERS, {"clusters": clusters, "members": members}),
        "confident": (CONFIDENT, {"members": members}),
        "outputs": (OUTPUTS, {"images": images}),
        "kernels": (KERNELS, {"block": block}),
        "parameters": (PARAMETERS, {}),
        "saliency": (SALIENCY, {"images": images}),
    }
    if kind not in known:
        raise UsageError(did_you_mean("kind of picture", kind, known))
    artefact, options = known[kind]
    session = Session(results, data_dir=data_dir)
    asked = request(profile, None, [table], [method], [dataset], reading, None, None)
    cell = find_cell(session, replace(asked, settings=(setting,)) if setting else asked, profile)
    if not cell.specs:
        raise UserError(f"{cell.row} on {cell.column} has no runs: {cell.reason}.")
    for file in make_artefacts(session, cell, artefact, options, epoch or ()):
        say(f"written: {file}")
