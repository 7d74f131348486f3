"""The commands `results export` and `results pack`: stored results for other programs, and for colleagues."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.listing import print_json
from benchmark.cli.options import Datasets, Json, Methods, Papers, ReadingChoice, Readings, Results, SomeProfile
from benchmark.cli.screen import say
from benchmark.errors import UsageError, UserError, did_you_mean
from benchmark.files.writing import write_changed

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.analysis.results import Choice
    from benchmark.record import RunRecord

FORMATS = ("csv", "parquet")


def results_export(
    of: Annotated[str, typer.Option("--of", help="runs, histories or cells.")] = "runs",
    fmt: Annotated[str, typer.Option("--format", help=" or ".join(FORMATS))] = "csv",
    to: Annotated[Path | None, typer.Option("--out", help="Write to this file; else OF.FORMAT here.")] = None,
    paper: Papers = None,
    method: Methods = None,
    dataset: Datasets = None,
    profile: SomeProfile = None,
    reading: Readings = None,
    results: Results = Path("results"),
) -> None:
    """Write stored results as one tidy table: a row for each run, each evaluation, or each cell."""
    from benchmark.analysis.results import load_results

    if fmt not in FORMATS:
        raise UsageError(did_you_mean("export format", fmt, FORMATS))
    chosen = _choice(paper, method, dataset, profile, reading)
    frame = load_results(results, of, **vars(chosen))
    if frame.empty:
        raise UserError(f"no {of} in {results} fit these options: see `python -m benchmark status`.")
    target = to or Path(f"{of}.{fmt}")
    write_changed({target: _written(frame, fmt)})
    say(f"{len(frame)} {of}: {target}")


def _written(frame: pd.DataFrame, fmt: str) -> bytes:
    if fmt == "csv":
        return frame.to_csv(index=False).encode()
    buffer = io.BytesIO()
    try:
        frame.to_parquet(buffer, index=False)
    except ImportError:
        raise UserError("Parquet needs pyarrow: install reclust[parquet], or export as csv.") from None
    return buffer.getvalue()


def results_pack(
    name: Annotated[str, typer.Argument(help="The name of the pack: NAME.zip is written.")],
    paper: Papers = None,
    method: Methods = None,
    dataset: Datasets = None,
    profile: SomeProfile = None,
    reading: Readings = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Write results into one zip file that a colleague merges, with their histories, specs, machines and BibTeX.

    The runs that others start from (pre-training) go with them.
    """
    from benchmark.analysis.results import chosen_records, with_parents
    from benchmark.session import Session
    from benchmark.store.packs import pack

    session = Session(results)
    records = with_parents(session, chosen_records(session, _choice(paper, method, dataset, profile, reading)))
    if not records:
        raise UserError(f"no runs in {results} fit these options: see `python -m benchmark status`.")
    target = Path(name if name.endswith(".zip") else f"{name}.zip")
    digest = pack(records, target, _references(records))
    if as_json:
        print_json({"file": target, "runs": len(records), "sha256": digest})
    else:
        say(f"{target}: {len(records)} runs, SHA-256 {digest}")


def _choice(
    paper: list[str] | None,
    method: list[str] | None,
    dataset: list[str] | None,
    profile: str | None,
    reading: ReadingChoice | None,
) -> Choice:
    from benchmark.analysis.results import Choice
    from benchmark.papers.protocol import PROFILES, READINGS

    if profile is not None and profile not in PROFILES:
        raise UsageError(did_you_mean("profile", profile, PROFILES))
    readings = READINGS if reading is ReadingChoice.both else (reading.value,) if reading else ()
    papers, methods, datasets = (tuple(part or ()) for part in (paper, method, dataset))
    return Choice(papers, methods, datasets, (profile,) if profile else (), readings)


def _references(records: list[RunRecord]) -> list[str]:
    """Return what to cite for the papers, methods and data sets of runs; some may say nothing, or not be here."""
    from benchmark.catalogue.references import references

    found: dict[str, None] = {}
    for name in sorted({n for r in records for n in (r.context.paper, r.spec.method, r.spec.data.name) if n}):
        try:
            found |= dict.fromkeys(references([name]))
        except UserError:
            found[f"% Nothing is known to cite for {name}.\n"] = None
    return list(found)
