"""The report: a static folder that shows every table, figure, cell, method and data set from stored numbers."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmark import __version__
from benchmark.analysis.claims import claims_of
from benchmark.analysis.figures import figure_folders
from benchmark.papers.paper import ledger_ids, load_ledger, load_paper, paper_ids
from benchmark.plan.cells import cells_kept
from benchmark.registry import DATASETS, METHODS
from benchmark.report.against import FILE as AGAINST
from benchmark.report.against import against_page
from benchmark.report.cells import CellPages
from benchmark.report.claim_pages import claim_pages
from benchmark.report.datasets import dataset_page
from benchmark.report.honesty import honesty_page
from benchmark.report.methods import method_page
from benchmark.report.papers import paper_page
from benchmark.report.site import Site
from benchmark.report.start import start_page
from benchmark.report.views import Standing, View, result_tables, standings, views_of
from benchmark.session import Session


@dataclass(frozen=True)
class Built:
    """What a report came to: its start page, the number of pages, and the seconds it took."""

    index: Path
    pages: int
    seconds: float
    moved: Mapping[str, int] = field(default_factory=dict)


@contextmanager
def collecting_what_is_new() -> Iterator[None]:
    """Leave what is in memory already, such as thousands of records, out of garbage collections until the end.

    Each full collection walks through all of it and frees nothing: with 10 000 records that is a sixth of the time.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@cells_kept()
def build_report(
    session: Session,
    out: Path,
    progress: Callable[[str], None] = lambda text: None,
    *,
    against: Session | None = None,
) -> Built:
    """Write the report of everything stored below `out`, with a page on what moved since `against`, if that is given.

    `Built.moved` counts the numbers of that page by what became of them.
    """
    started = time.monotonic()
    for held in (session, against):
        if held is not None:
            _ = held.records  # read first, so that they count as old
    with collecting_what_is_new():
        index, pages, moved = _build(session, out, progress, against)
    return Built(index, pages, time.monotonic() - started, moved)


def _build(
    session: Session, out: Path, progress: Callable[[str], None], against: Session | None
) -> tuple[Path, int, Mapping[str, int]]:
    """Write all pages; return the start page, the number of pages, and what moved."""
    papers = paper_ids()
    folders = tuple(dict.fromkeys((*papers, *figure_folders())))
    site = Site(out, {"papers": folders, "version": __version__, "against": AGAINST if against else ""})
    site.write_assets()
    pages = CellPages(session, site)
    found: dict[str, list[Standing]] = {}
    drawn: list[View] = []
    for name in folders:
        progress(name)
        views: dict[str, list[View]] = {}
        if name in papers:
            views = {t: list(views_of(session, load_paper(name), t)) for t in result_tables(name)}
            for table, part in views.items():
                for view in part:
                    pages.write(view.cells, table)
            drawn += [view for part in views.values() for view in part]
            found[name] = [one for part in views.values() for one in standings(part, pages)]
        paper_page(session, site, pages, name, views)
    everything = [one for part in found.values() for one in part]
    for method in METHODS:
        method_page(session, site, pages, method, everything)
    for dataset in DATASETS:
        dataset_page(site, dataset, everything)
    ledgers = [(name, list(load_ledger(name).values())) for name in ledger_ids()]
    site.write("ledger.html", "ledger.html.j2", "Ledger of disagreements", ledgers=ledgers)
    honesty_page(site)
    claims = {name: claims_of(session, name) for name in papers}
    claim_pages(site, pages, claims)
    start_page(session, site, pages, found, claims, {name: _title(name) for name in folders})
    moved = against_page(session, against, site, pages, drawn) if against else {}
    return out / "index.html", site.pages, moved


def _title(name: str) -> str:
    return load_paper(name).protocol.title if name in paper_ids() else "Figures of our own"
