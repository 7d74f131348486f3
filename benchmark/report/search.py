"""The index of the search box: what can be found on the pages, as a script, so that it works from a folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.analysis.figures import load_figures
from benchmark.papers.paper import ledger_ids, load_ledger
from benchmark.registry import DATASETS, METHODS
from benchmark.report.papers import figures_of
from benchmark.report.site import Site
from benchmark.report.views import Standing

FILE = "search.js"

FACETS = ("paper", "method", "dataset", "verdict", "profile")
"""What entries can be filtered by; an entry without a facet has "" there."""


@dataclass(frozen=True)
class Entry:
    """One thing that can be found: what it is, its title, a line about it, the page, and its facets by name."""

    kind: str
    title: str
    about: str
    page: str
    facets: Mapping[str, str] = field(default_factory=dict)


def write_index(site: Site, entries: Iterable[Entry]) -> dict[str, list[str]]:
    """Write the index as a script and return, for each facet, the values it has, in the order of the alphabet.

    Words that many entries share (pages, methods, verdicts) are written once, and named by their place.
    """
    words: dict[str, int] = {}

    def place(word: str) -> int:
        return words.setdefault(word, len(words))

    found = list(entries)
    lines = [
        [place(e.kind), e.title, e.about, e.page, *(place(e.facets.get(name, "")) for name in FACETS)] for e in found
    ]
    index = {"facets": FACETS, "words": list(words), "entries": lines}
    # No end of a script and no line end of another alphabet may stand in a script.
    text = json.dumps(index, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    site.write_text(FILE, f"window.searchIndex={text};\n")
    return {name: sorted({e.facets[name] for e in found if e.facets.get(name)}) for name in FACETS}


def cell_entries(found: Sequence[Standing]) -> Iterable[Entry]:
    """Yield an entry for every number that a cell page shows."""
    for one in found:
        if not one.page:
            continue
        setting = f", {one.setting}" if one.setting else ""
        numbers = f"ours {one.ours or one.state}" + (f", published {one.theirs}" if one.theirs else "")
        facets = {
            "paper": one.paper,
            "method": one.label,
            "dataset": one.dataset_label,
            "verdict": one.state,
            "profile": one.profile,
        }
        title = f"{one.label} on {one.dataset_label}, {one.metric_label}{setting}"
        where = f"{one.paper} {one.table}, profile {one.profile}, reading {one.reading}"
        yield Entry("cell", title, f"{numbers}; {where}", one.page, facets)


def page_entries(papers: Mapping[str, str]) -> Iterable[Entry]:
    """Yield an entry for each paper (`papers` has their titles), figure, method, data set and ledger entry."""
    for paper, title in papers.items():
        yield Entry("paper", paper, title, f"papers/{paper}.html", {"paper": paper})
        for name in figures_of(paper):
            rule = load_figures(paper)[name]
            yield Entry("figure", rule.title, f"{paper} {name}", f"papers/{paper}.html#drawn-{name}", {"paper": paper})
    for name, method in METHODS.items():
        yield Entry("method", name, first_line(method), f"methods/{name}.html", {})
    for name, source in DATASETS.items():
        yield Entry("data set", name, source.title, f"datasets/{name}.html", {})
    for paper in ledger_ids():
        for entry in load_ledger(paper).values():
            page = f"ledger.html#{paper}-{entry.id}"
            yield Entry("ledger", f"{entry.id}: {entry.title}", f"{paper}, {entry.severity}", page, {"paper": paper})


def first_line(thing: Any) -> str:
    """Return the first line of a docstring, "" without one."""
    return (thing.__doc__ or "").strip().splitlines()[0] if thing.__doc__ else ""
