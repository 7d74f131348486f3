"""Pages of the report for data sets: their facts, and the ranking of all methods on them, across papers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from benchmark.papers.paper import load_paper, paper_ids
from benchmark.papers.protocol import PROFILES
from benchmark.papers.tables import statistic_of
from benchmark.registry import DATASETS
from benchmark.report.methods import cited_dataset
from benchmark.report.site import Site, link, rounded
from benchmark.report.views import Standing

METRIC = "acc"
"""What methods are ranked by: the column of records that every method has."""

COMPARED = ("samples", "preprocessing", "network", "statistic", "runs", "reading")
"""Parts of a protocol in which ranked numbers may differ for reasons that are not the method's."""


NONE = "none"
"""What a method without a network, or on samples as they come, has there: no difference of protocols, but its own."""


def dataset_page(site: Site, name: str, found: Sequence[Standing]) -> None:
    """Write the page of a registered data set; `found` are the numbers of all papers."""
    source: Any = DATASETS[name]
    values = {
        "title": source.title,
        "samples": source.n_samples,
        "shape": "x".join(map(str, source.shape)),
        "classes": source.n_clusters,
        "samples of each class": ", ".join(map(str, getattr(source, "class_counts", ()))),
        "digest": source.digest,
        "licence": source.licence,
        "citation": source.citation,
        "stand-in for": source.stand_in_for or "–",
    }
    files = [
        {"file": f"{source.folder}/{file.name}", "published checksum": file.known_hash, "from": " or ".join(file.urls)}
        for file in getattr(source, "files", ())
    ]
    used = [
        {"paper": p, "column": column.label, "reading": reading, "preprocessing": ", ".join(data.preprocess) or NONE}
        for p in paper_ids()
        for column in load_paper(p).protocol.columns.values()
        for reading, data in (("paper", column.paper), ("code", column.code))
        if data.dataset == name
    ]
    ranked = [(profile, ranking(name, profile, found)) for profile in reversed(PROFILES)]
    site.write(
        f"datasets/{name}.html",
        "dataset.html.j2",
        name,
        values=values,
        files=files,
        used=used,
        rankings=[(profile, lines) for profile, lines in ranked if lines],
        cited=cited_dataset(name),
        call=f"python -m benchmark data show {name}",
    )


def ranking(name: str, profile: str, found: Sequence[Standing]) -> list[dict[str, Any]]:
    """Return a line for each method with a whole number on a data set in a profile, the highest first.

    What differs from what most lines have in common is marked: such numbers part for other reasons than the method.
    """
    mine = [one for one in found if one.dataset == name and one.profile == profile and _is_ranked(one)]
    seen: dict[tuple[str, ...], Standing] = {}
    for one in mine:
        seen.setdefault((*one.result.run_ids, _statistic(one)), one)  # two tables may show one number
    ordered = sorted(seen.values(), key=lambda one: -(one.result.value or 0.0))
    terms = [_terms(one) for one in ordered]
    usual = {part: Counter(term[part] for term in terms).most_common(1)[0][0] for part in COMPARED if terms}
    return [
        {
            "rank": place,
            "method": link(f"../methods/{one.method}.html", one.label) if one.method else one.label,
            "ACC [%]": rounded(one.result.value, one.decimals),
            "sd": rounded(one.result.sd, one.decimals),
            "published": one.theirs or None,
            "cell": link(f"../{one.page}", f"{one.paper} {one.table}"),
            **{part: _marked(value, value not in (usual[part], NONE)) for part, value in term.items()},
        }
        for place, (one, term) in enumerate(zip(ordered, terms, strict=True), start=1)
    ]


def _is_ranked(one: Standing) -> bool:
    """Whether a number is its table's first of the metric, of no setting, and final."""
    paper = load_paper(one.paper)
    first = next((m for m in paper.table(one.table).metrics if paper.protocol.metrics[m].column == METRIC), "")
    whole = one.complete and bool(one.page) and not one.setting
    return whole and one.metric == first and _statistic(one) in ("best", "mean")


def _statistic(one: Standing) -> str:
    paper = load_paper(one.paper)
    return statistic_of(paper.table(one.table), paper.protocol.metrics[one.metric])


def _terms(one: Standing) -> dict[str, str]:
    assert one.cell is not None and one.cell.resolved is not None
    spec = one.cell.resolved.spec
    return {
        "samples": str(spec.data.samples or DATASETS[one.dataset].n_samples),
        "preprocessing": ", ".join(spec.data.preprocess) or NONE,
        "network": str(spec.params.get("network", "")) or NONE,
        "statistic": _statistic(one),
        "runs": str(one.result.n),
        "reading": one.reading,
    }


def _marked(value: str, differs: bool) -> Markup | str:
    return Markup('<mark title="differs from most lines">{}</mark>').format(value) if differs else value
