"""Pages of claims: every claim has one, with its answers, what they rest on, and the command that asks again."""

from __future__ import annotations

import re

from benchmark.analysis.claims import Compared
from benchmark.measure.claims import Evidence, Gap
from benchmark.papers.claim_sides import claimed
from benchmark.papers.paper import load_paper
from benchmark.report.claim_pages import claim_page, interval_svg


def page(built, path):
    return (built.index.parent / path).read_text(encoding="utf-8")


def test_every_claim_has_a_page_that_the_list_and_the_start_page_lead_to(built):
    every, start = page(built, "claims.html"), page(built, "index.html")
    for paper, found in claimed():
        for name, rule in found.items():
            path = claim_page(paper, name)
            text = page(built, path)
            assert f"claims {paper}/{name}" in text and rule.where in text
            for profile, spent in load_paper(paper).protocol.profiles.items():
                for reading in spent.readings:
                    assert f"<h3>Profile {profile}, reading {reading}: " in text
            assert f'href="{path}"' in every and f'href="{path}"' in start


def test_a_claim_can_be_found_by_its_words(built):
    assert "Tensor companions cluster better than naive ones on every data set" in page(built, "search.js")


def test_the_page_shows_printed_numbers_and_leads_to_the_ledger(built):
    text = page(built, claim_page("tkuco2024", "tensor-above-naive"))
    assert "contradicted by its own table: 11 of 12 hold" in text
    assert re.search(r"<td>DDC-UCO_T</td>\s*<td>DDC-UCO_N</td>\s*<td>F-MNIST</td>\s*<td>ACC</td>", text)
    assert 'href="../ledger.html#tkuco2024-N7"' in text


def test_one_side_with_all_its_runs_decides_nothing_and_the_command_makes_the_other(built):
    text = page(built, claim_page("tkuco2024", "dynae-best-on-usps"))
    assert "--method dynae" in text and "--profile paper --reading paper" in text


def test_an_interval_lies_where_its_numbers_are():
    def drawn(gap):
        evidence = Evidence(0.01, 0.99)
        one = Compared("A", "B", (), "usps", "acc", "USPS", "ACC", "mean", evidence, gap, (5, 5), True)
        return str(interval_svg(one, 10.0))

    text = drawn(Gap(5.0, 1.0))
    assert 'aria-label="difference +5.00, 95 % interval +3.04 to +6.96"' in text
    low, high = (float(part) for part in re.search(r'class="mark" d="M([\d.]+),[\d.]+H([\d.]+)"', text).groups())
    assert 60 < low < high < 120
    assert drawn(None) == ""
