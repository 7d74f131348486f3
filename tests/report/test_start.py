"""The start page: the picture of each paper, and the search; no reduced number looks like a paper's."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest

from benchmark.measure.judgement import Judgement
from benchmark.measure.verdict import EQUIVALENT
from benchmark.registry import DATASETS
from benchmark.report.ranges import range_svg
from benchmark.report.search import FACETS


def start(built):
    return built.index.read_text(encoding="utf-8")


def said_of(built, beginning):
    """Return the words of the one square that begins with `beginning`, and what of the page leads to it."""
    found = re.findall(r'<(a href="[^"]*"|span) data-said="([^"]*)"', start(built))
    (one,) = [(tag, unescape(said)) for tag, said in found if unescape(said).startswith(beginning)]
    return one


def test_a_square_says_both_numbers_the_verdict_with_its_interval_and_the_runs(built):
    tag, said = said_of(built, "DDC on USPS, ACC [%], Table 2: published 67.9 (")
    assert tag == 'a href="cells/tkuco2024-table2-paper-paper-ddc-usps.html"'
    assert re.search(r"ours 68\.9 \(\d\.\d\), consistent: difference in 95 % of cases -\d+\.\d to \+\d+\.\d", said)
    assert "profile paper, reading paper, 20/20 runs" in said


def test_a_published_number_without_runs_is_in_the_picture_and_says_so(built):
    tag, said = said_of(built, "DDC-UCO_T on MNIST, ACC [%], Table 2")
    assert tag == "span" and "ours: no run stored" in said


def test_a_reduced_number_is_hollow_names_its_profile_and_stands_in_no_column_of_the_paper(built):
    _, said = said_of(built, "DDC on digits (stand-in), ACC [%], Table 2: no published number")
    assert "in the reduced profile quick, not comparable" in said
    squares = re.findall(r'<svg class="square"[^>]*aria-label="[^"]*reduced profile[^"]*">(.*?)</svg>', start(built))
    assert squares and all(">quick</text>" in square and "hollow" in square for square in squares)
    assert not any(re.search(r'class="mark (?!hollow)', square) for square in squares)


def test_the_start_page_says_of_each_paper_how_many_published_numbers_were_judged_before_any_table_of_counts(built):
    text = start(built)
    section = text[text.index('id="tkuco2024"') : text.index('id="uco2021"')]
    assert re.search(r"of \d+ published numbers:\s*.*<b>2</b> consistent", section, re.DOTALL)
    assert "No published number was judged" in text[text.index('id="uco2021"') :]
    assert text.index('class="picture"') < text.index('id="counts"')


def test_claims_that_something_answers_come_before_those_that_nothing_does_which_are_folded(built):
    text = start(built)
    section = text[text.index('id="dtkc2019"') : text.index('id="dynae2022"')]
    shown, folded = section.split("<details>")
    answered, unanswered = (re.findall(r"<li id=.*?</li>", part, re.DOTALL) for part in (shown, folded))
    assert answered and all(re.search("<b>(supported|contradicted)", one) for one in answered)
    assert unanswered and all("<b>undecided" in one and "<b>supported" not in one for one in unanswered)
    assert f"<summary>{len(unanswered)} more that nothing decides yet</summary>" in folded


def test_the_range_of_a_verdict_lies_on_its_margin():
    drawn = str(range_svg(Judgement(EQUIVALENT, 1.0, (-0.5, 2.5), (-1.0, 3.0))))
    assert "difference +1.0 points, 95 % interval -1.0 to +3.0, 90 % interval -0.5 to +2.5, margin 3" in drawn
    margin = re.search(r'class="margin" x="([\d.]+)" y="0" width="([\d.]+)"', drawn)
    (dot,) = re.findall(r'cx="([\d.]+)"', drawn)
    left, width = float(margin[1]), float(margin[2])
    assert float(dot) == pytest.approx(left + width * 4 / 6, abs=0.1)  # 1 point lies at 4/6 of -3 to +3
    assert range_svg(None) == ""


def index_of(built):
    text = (built.index.parent / "search.js").read_text(encoding="utf-8")
    return json.loads(re.fullmatch(r"window\.searchIndex=(.*);\n", text, re.DOTALL)[1])


def test_the_index_has_every_number_with_a_page_and_every_data_set_and_leads_to_files_that_are_there(built):
    index = index_of(built)
    entries = index["entries"]
    assert index["facets"] == list(FACETS)
    kinds = [index["words"][entry[0]] for entry in entries]
    assert kinds.count("data set") == len(DATASETS)
    assert {"cell", "paper", "figure", "method", "ledger"} <= set(kinds)
    pages = {entry[3].partition("#")[0] for entry in entries}
    assert all((built.index.parent / page).is_file() for page in pages)
    cells = {path.relative_to(built.index.parent).as_posix() for path in built.index.parent.glob("cells/*.html")}
    assert cells <= pages


# ---------------------------------------------------------------- in a browser


def test_words_and_filters_find_cells_without_any_request_but_of_files(browse):
    tab = browse("index.html")
    tab.get_by_role("searchbox", name="Words", exact=True).fill("ddc usps")
    tab.locator(".hits li").first.wait_for()
    assert "DDC on USPS, ACC" in tab.locator(".hits li a").all_inner_texts()
    tab.get_by_role("combobox", name="Verdict").select_option("consistent")
    titles = tab.locator(".hits li a").all_inner_texts()
    assert sorted(titles) == ["DDC on USPS, ACC", "DDC on USPS, NMI"]
    assert "2 of " in tab.get_by_role("status").inner_text()
    tab.locator(".hits li a").first.click()
    assert "DDC on USPS" in tab.get_by_role("heading", level=1).inner_text()


def test_the_search_of_every_page_leads_to_the_start_page_with_its_words(browse):
    tab = browse("papers/tkuco2024.html")
    tab.get_by_role("searchbox", name="Words to find").fill("kernel_solver")
    tab.get_by_role("button", name="Find").press("Enter")
    tab.wait_for_url("**/index.html?q=kernel_solver*")
    assert tab.get_by_role("searchbox", name="Words", exact=True).input_value() == "kernel_solver"
    assert tab.get_by_role("status").inner_text() != ""


def test_what_is_not_found_is_said(browse):
    tab = browse("index.html")
    tab.get_by_role("searchbox", name="Words", exact=True).fill("nothing has this name")
    tab.wait_for_function("document.querySelector('.found').textContent.startsWith('0 of')")
    tab.get_by_role("button", name="Clear").click()
    assert tab.locator(".hits li").count() == 0


def test_a_square_shows_its_numbers_on_hovering_and_on_focus_and_leads_to_the_cell(browse):
    tab = browse("index.html")
    square = tab.locator("a[data-said^='DDC on USPS']").first
    square.hover()
    assert "published 67.9" in tab.locator(".tip:visible").inner_text()
    tab.keyboard.press("Escape")
    assert tab.locator(".tip:visible").count() == 0
    square.focus()
    assert "published 67.9" in tab.locator(".tip:visible").inner_text()
    square.press("Enter")
    assert "DDC on USPS" in tab.get_by_role("heading", level=1).inner_text()


def test_head_and_first_column_of_a_wide_table_stay_in_view_and_a_hint_says_that_there_is_more(browse):
    tab = browse("papers/tkuco2024.html")
    tab.set_viewport_size({"width": 600, "height": 500})
    box = tab.locator(".views").first.locator("section:visible .scroll").first
    hint = box.locator("xpath=preceding-sibling::p[@class='hint']").last
    assert "scroll sideways" in hint.inner_text()
    box.evaluate("(box) => box.scrollTo(400, 150)")
    edges = """(box) => {
        const [b, h, r] = [box, box.querySelector("thead th:nth-child(3)"), box.querySelector("tbody th")]
            .map((n) => n.getBoundingClientRect());
        return [h.top - b.top, r.left - b.left];
    }"""
    assert box.evaluate(edges) == pytest.approx([0, 0], abs=1)


def test_the_hint_goes_where_everything_is_in_view(browse):
    tab = browse("index.html")
    hint = tab.locator("section#uco2021 .hint")
    tab.set_viewport_size({"width": 390, "height": 700})
    hint.wait_for(state="visible")
    tab.set_viewport_size({"width": 1280, "height": 700})
    hint.wait_for(state="hidden")
