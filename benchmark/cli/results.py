"""The commands `results ...`: bring runs into the tracked form, look after what is stored, remove what is left over."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.listing import print_json
from benchmark.cli.manual import InOrder
from benchmark.cli.options import DataDir, Json, NewResults, Results, time_span
from benchmark.cli.renew import results_renew
from benchmark.cli.screen import say
from benchmark.cli.sharing import results_export, results_pack
from benchmark.errors import UsageError, UserError

results_app = typer.Typer(
    cls=InOrder,
    no_args_is_help=True,
    help="Work on stored results: verify, merge, pack, export, renew, prune, traceback.",
)
results_app.command("renew")(results_renew)
results_app.command("export")(results_export)
results_app.command("pack")(results_pack)


class Side(StrEnum):
    """Whose record stays where two contradict each other."""

    ours = "ours"
    theirs = "theirs"


@results_app.command("merge")
def results_merge(
    sources: Annotated[
        list[Path] | None, typer.Argument(help="Results folders, and packs (zip); by default --results.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Of records that contradict, what is stored stays.")] = False,
    skip: Annotated[list[str] | None, typer.Option(metavar="RUN", help="Leave a run of the sources out.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Of records that contradict, one goes: --prefer.")] = False,
    prefer: Annotated[
        Side | None, typer.Option(help="With --replace: ours is what is stored, theirs what the sources hold.")
    ] = None,
    results: NewResults = Path("results"),
    as_json: Json = False,
) -> None:
    """Bring runs into the tracked form, results/stored; refuse equal runs with different numbers.

    Records of one run that two kinds of machines made, which part by rounding, are stored both.
    """
    from benchmark.store.merge import merge as merge_folders
    from benchmark.store.packs import digest_of, unpacked

    if keep and replace:
        raise UsageError("--keep and --replace exclude each other.")
    if prefer and not replace:
        raise UsageError("--prefer says what --replace leaves: give both.")
    with ExitStack() as stack:
        packs = [source for source in sources or () if source.is_file()]
        for file in () if as_json else packs:
            say(f"{file}: SHA-256 {digest_of(file)}")
        folders = [stack.enter_context(unpacked(source)) for source in sources or [results]]
        report = merge_folders(folders, results, keep=keep, prefer=prefer.value if prefer else None, skip=skip or ())
    if as_json:
        print_json(report.values())
    else:
        say(str(report))


@results_app.command("verify")
def results_verify(
    accept: Annotated[
        bool, typer.Option("--accept", help="First take the tracked files as they are: write their digests.")
    ] = False,
    results: Results = Path("results"),
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Read every stored record and say what is damaged, impossible or was changed by no command; exit 1 if anything is.

    Runs of this machine are scored again from their assignments, where their data are here.
    """
    from benchmark.execution.upkeep import damage
    from benchmark.files.quarantine import QUARANTINE, quarantined
    from benchmark.repeat.scores import scored_again
    from benchmark.session import Session
    from benchmark.store.sums import SUMS
    from benchmark.store.sums import accept as accepted

    if accept:
        _refuse_nowhere(results)
        changed = accepted(results / "stored")
        say(f"{results / 'stored' / SUMS} {'is written' if changed else 'is as it was'}.")
    session = Session(results, data_dir=data_dir)
    records = sum(len(by_kind) for by_kind in session.records.values())
    if not records:
        _refuse_nowhere(results)
    again = scored_again(session)
    problems = [*damage(session.store), *again.wrong]
    aside = quarantined(results)
    if as_json:
        found = {"records": records, "scored_again": again.runs, "not_scored_again": again.left}
        print_json(found | {"problems": problems, "quarantined": aside})
        raise typer.Exit(1 if problems else 0)
    for problem in problems:
        say(problem, err=True)
    if aside:
        say(f"{len(aside)} damaged folders or files were set aside in {results / QUARANTINE}, with the reason.")
    for reason in again.left:
        say(f"not scored again: {reason}")
    scored = f"; {again.runs} runs scored again from their assignments." if again.runs else "."
    say(f"{records} records read, {len(problems)} problems{scored}")
    raise typer.Exit(1 if problems else 0)


@results_app.command("prune")
def results_prune(
    older_than: Annotated[str, typer.Option(help="Only what was not written to for so long: 90s, 20m, 2h, 7d.")] = "7d",
    merged: Annotated[
        bool, typer.Option("--merged", help="Also run folders whose rows are in results/stored.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Remove what nothing needs: checkpoints of runs that were broken off, what is in quarantine, merged runs.

    Stored numbers stay. With the folder of a merged run go its assignments and weights, which are not tracked.
    """
    from benchmark.execution.pruning import leftovers, remove
    from benchmark.store.store import Store

    seconds = time_span("--older-than", older_than)
    _refuse_nowhere(results)
    found = leftovers(Store(results), seconds, merged=merged)
    freed, kept, lines = 0, 0, []
    for left, why in ((left, "") for left in found) if dry_run else remove(results, found):
        lines.append({"path": left.path, "what": left.what, "bytes": left.size, "stays_because": why})
        if not as_json:
            say(f"{left.path} ({left.what}): {f'stays, {why}' if why else f'{left.size / 2**20:.1f} MiB'}")
        freed, kept = freed + (0 if why else left.size), kept + bool(why)
    if as_json:
        print_json({"dry_run": dry_run, "removed": len(found) - kept, "freed_bytes": freed, "folders": lines})
        raise typer.Exit(1 if kept else 0)
    say(f"{len(found) - kept} {'would go' if dry_run else 'removed'}, {freed / 2**20:.1f} MiB.")
    raise typer.Exit(1 if kept else 0)


@results_app.command("traceback")
def results_traceback(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The id of a run, as `status` shows it.")],
    results: Results = Path("results"),
) -> None:
    """Show what a failed run raised."""
    from benchmark.analysis.failures import traceback_of
    from benchmark.store.store import Store

    say(traceback_of(Store(results), run_id))


def _refuse_nowhere(results: Path) -> None:
    if not results.is_dir():
        raise UserError(f"there is no folder {results}: name a results folder with --results.")
