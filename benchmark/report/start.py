"""The start page: what holds of each paper, in a picture and in its claims; a search; then counts and lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmark.analysis.claims import ClaimAnswers
from benchmark.measure.verdict import JUDGED, UNJUDGED
from benchmark.papers.paper import load_paper
from benchmark.registry import DATASETS, METHODS
from benchmark.report.cells import CellPages
from benchmark.report.claim_pages import claim_entries
from benchmark.report.claims import shown_claims
from benchmark.report.picture import judged_counts, picture
from benchmark.report.search import cell_entries, first_line, page_entries, write_index
from benchmark.report.site import Site, link
from benchmark.report.views import NO_VERDICT, Standing
from benchmark.session import Session

STATES = (*JUDGED, NO_VERDICT, *UNJUDGED)
"""What can be said of a cell: the verdicts, and why there is none."""

LATEST = 12


def start_page(
    session: Session,
    site: Site,
    pages: CellPages,
    found: Mapping[str, Sequence[Standing]],
    claims: Mapping[str, Sequence[ClaimAnswers]],
    titles: Mapping[str, str],
) -> None:
    """Write the start page and the index of the search.

    `found` are the numbers of each paper and `claims` its claims, `titles` are of folders.
    """
    records = sum(len(by_kind) for by_kind in session.records.values())
    everything = [one for part in found.values() for one in part]
    facets = write_index(site, (*page_entries(titles), *claim_entries(claims), *cell_entries(everything)))
    site.write(
        "index.html",
        "index.html.j2",
        f"What {records} stored runs say",
        sections=[_section(paper, part, claims.get(paper, ())) for paper, part in found.items()],
        facets=facets,
        counts=[line for paper, part in found.items() for line in _counts(paper, part)],
        latest=_latest(session, pages),
        methods=[(name, first_line(method)) for name, method in METHODS.items()],
        datasets=[(name, source.title) for name, source in DATASETS.items()],
    )


def _section(name: str, found: Sequence[Standing], claims: Sequence[ClaimAnswers]) -> dict[str, Any]:
    paper = load_paper(name)
    return {
        "paper": name,
        "title": paper.protocol.title,
        "claims": shown_claims(claims),
        "judged": judged_counts(found),
        "reduced": _reduced(found),
        "picture": picture(paper, found),
    }


def _reduced(found: Iterable[Standing]) -> str:
    """Return how many numbers stand in reduced profiles, in words, "" if none does."""
    counts = Counter(one.profile for one in found if one.reduced and one.result.value is not None)
    return " and ".join(f"{count} in the profile {profile}" for profile, count in counts.items())


def _counts(name: str, found: Sequence[Standing]) -> list[dict[str, Any]]:
    """Count the cells of a paper by profile and reading: what has a number, and every verdict and reason."""
    counters: dict[tuple[str, str], Counter[str]] = {}
    for one in found:
        counters.setdefault((one.profile, one.reading), Counter())[one.state] += 1
    return [
        {"paper": name, "profile": profile, "reading": reading, **{state: counter[state] for state in STATES}}
        for (profile, reading), counter in counters.items()
    ]


def _latest(session: Session, pages: CellPages) -> list[dict[str, Any]]:
    records = [record for by_device in session.records.values() for record in by_device.values()]
    newest = sorted(records, key=lambda r: str(r.environment.get("date", "")), reverse=True)[:LATEST]
    return [
        {
            "made": str(r.environment.get("date", ""))[:16].replace("T", " "),
            "cell": link(*cell) if (cell := pages.cell_of(r.run_id)) else None,
            "method": r.spec.method,
            "data set": r.spec.data.name,
            "replicate": r.spec.replicate,
            "profile": r.context.profile,
            "status": r.status,
            "loss": r.loss,
            "ACC [%]": round(100 * r.metrics["acc"], 1) if "acc" in r.metrics else None,
            "run": r.run_id,
        }
        for r in newest
    ]
