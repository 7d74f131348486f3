"""Pages of the report for claims: one for all of them, and one for each, with what every answer rests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from benchmark.analysis.claims import ClaimAnswer, ClaimAnswers, Compared, Printed
from benchmark.report.cells import CellPages
from benchmark.report.search import Entry
from benchmark.report.site import Site, link, rounded, slug

WIDTH, HEIGHT = 120, 14


def claim_page(paper: str, claim: str) -> str:
    """Return the path of the page of a claim."""
    return f"claims/{slug(paper, claim)}.html"


def claim_pages(site: Site, pages: CellPages, found: Mapping[str, Sequence[ClaimAnswers]]) -> None:
    """Write the page of every claim, and the list of all; `found` are the claims of each paper with their answers."""
    for claims in found.values():
        for each in claims:
            _write(site, pages, each)
    counts = {paper: Counter(each.answer for each in claims) for paper, claims in found.items()}
    lines = [
        {
            "paper": each.paper,
            "claim": link(claim_page(each.paper, each.id), each.sentence),
            "said in": each.rule.where,
            "answer": each.answer,
            "its own table": each.own.word if each.own else "",
        }
        for claims in found.values()
        for each in claims
    ]
    site.write("claims.html", "claims.html.j2", "What the papers claim", claims=lines, counts=counts)


def claim_entries(found: Mapping[str, Sequence[ClaimAnswers]]) -> Iterator[Entry]:
    """Yield an entry of the search for every claim."""
    for paper, claims in found.items():
        for each in claims:
            page = claim_page(paper, each.id)
            yield Entry("claim", each.sentence, f"{paper}, {each.answer}", page, {"paper": paper})


def _write(site: Site, pages: CellPages, each: ClaimAnswers) -> None:
    own = each.own
    site.write(
        claim_page(each.paper, each.id),
        "claim.html.j2",
        each.sentence,
        claim=each,
        rule=each.rule,
        own=own,
        printed=[_printed(line, own.denied) for line in own.printed] if own else [],
        answers=[_answer(pages, each, answer) for answer in each.answers],
    )


def _printed(line: Printed, denied: bool) -> dict[str, Any]:
    first, second = line.values
    gap = None if first is None or second is None else first - second
    return {
        "A": line.a,
        "B": line.b,
        "data set": line.dataset_label,
        "metric": line.metric_label,
        "A printed": first,
        "B printed": second,
        "A - B": None if gap is None else round(gap, 9),
        "holds": None if line.holds is None else ("yes" if line.holds else "no"),
        "within two of its own deviations": "yes" if line.noise else "",
    }


def _answer(pages: CellPages, each: ClaimAnswers, answer: ClaimAnswer) -> dict[str, Any]:
    scale = max((abs(end) for one in answer.compared if one.interval for end in one.interval), default=0.0)
    return {
        "answer": answer,
        "compared": [_compared(pages, each.paper, one, answer, scale) for one in answer.compared if one.gap],
        "missing": sum(one.gap is None for one in answer.compared),
        "figures": [
            {"figure": link(f"../papers/{each.paper}.html#drawn-{one.figure}", one.figure), "it says": one.line}
            for one in answer.figures
        ],
    }


def _compared(pages: CellPages, paper: str, one: Compared, answer: ClaimAnswer, scale: float) -> dict[str, Any]:
    names = [
        _cell(pages.page(paper, side.table, side.row, one.dataset, side.setting, answer), label)
        for side, label in zip(one.sides, (one.a, one.b), strict=False)
    ]
    low, high = one.interval or (None, None)
    return {
        "A": names[0],
        "B": names[1] if len(names) > 1 else one.b,
        "data set": one.dataset_label,
        "metric": one.metric_label,
        "of": one.quantity,
        "A - B": rounded(one.gap.estimate if one.gap else None, 2, signed=True),
        "95 % interval": "" if low is None or high is None else f"{low:+.2f} to {high:+.2f}",
        "from 0": interval_svg(one, scale),
        "runs": one.counted,
        "p, if it did not hold": f"{one.tested.holds:.2g}",
        "p, if it held": f"{one.tested.fails:.2g}",
    }


def _cell(page: str, label: str) -> str | Markup:
    return link(f"../{page}", label) if page else label


def interval_svg(one: Compared, scale: float) -> Markup:
    """Return the interval of a difference as a line around 0, on an axis that ends at `scale` on both sides."""
    if one.gap is None or scale <= 0:
        return Markup("")

    def at(value: float) -> float:
        return round(WIDTH / 2 + value / scale * (WIDTH / 2 - 4), 1)

    low, high = one.gap.interval()
    said = f"difference {one.gap.estimate:+.2f}, 95 % interval {low:+.2f} to {high:+.2f}"
    return Markup(
        '<svg class="range" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{}"><title>{}</title>'
        '<path class="zero" d="M{},0V{h}"/><path class="mark" d="M{},{m}H{}"/><circle class="mark" cx="{}" cy="{m}" '
        'r="2.6"/></svg>'
    ).format(said, said, at(0.0), at(low), at(high), at(one.gap.estimate), w=WIDTH, h=HEIGHT, m=HEIGHT / 2)
