"""The command `claims`: what the papers say in words, and whether stored runs bear it out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.listing import print_json
from benchmark.cli.options import Json, Papers, ReadingChoice, Results, SomeProfile
from benchmark.cli.screen import say
from benchmark.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from benchmark.papers.protocol import Reading


def claims(
    names: Annotated[list[str] | None, typer.Argument(help="Show these in full: PAPER/CLAIM, or CLAIM.")] = None,
    paper: Papers = None,
    profile: SomeProfile = None,
    reading: Annotated[ReadingChoice, typer.Option("--reading", help="paper, code or both.")] = ReadingChoice.both,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Say of each claim of the papers whether stored runs bear it out, and whether the paper's own tables do."""
    from benchmark.analysis.claims import claims_of
    from benchmark.cli.claims.text import facts, in_full, overview
    from benchmark.papers.protocol import PROFILES, READINGS
    from benchmark.session import Session

    if profile is not None and profile not in PROFILES:
        raise UsageError(did_you_mean("profile", profile, PROFILES))
    readings: list[Reading] = [name for name in READINGS if reading.value in ("both", name)]
    profiles = (profile,) if profile else tuple(reversed(PROFILES))
    session = Session(results)
    found = [
        each
        for name, ids in _chosen(names or (), paper or ()).items()
        for each in claims_of(session, name, ids=ids, profiles=profiles, readings=readings)
    ]
    if as_json:
        print_json([facts(each) for each in found])
    elif names:
        say("\n\n".join(in_full(each) for each in found))
    else:
        say(overview(found))


def _chosen(names: Sequence[str], papers: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the papers that are meant, each with the ids of claims that are, none for all."""
    from benchmark.papers.claim_sides import load_claims
    from benchmark.papers.paper import load_paper, paper_ids

    wanted = [load_paper(name).id for name in papers] or list(paper_ids())
    if not names:
        return {name: () for name in wanted}
    chosen: dict[str, tuple[str, ...]] = {}
    for text in names:
        front, _, claim = text.rpartition("/")
        places = [load_paper(front).id] if front else [name for name in wanted if claim in load_claims(name)]
        known = {name for place in ([front] if front else wanted) for name in load_claims(place)}
        if claim not in known:
            raise UsageError(did_you_mean(f"claim of {front}" if front else "claim", claim, known))
        for place in places:
            chosen[place] = (*chosen.get(place, ()), claim)
    return chosen
