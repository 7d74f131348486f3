"""Pages of methods and data sets: curves, cost, ranking, and what differs between protocols."""

from __future__ import annotations

import re
from html import unescape

from benchmark.report.curves import curve_svg


def text_of(built, path):
    return unescape((built.index.parent / path).read_text(encoding="utf-8"))


def test_a_method_page_draws_how_it_learns_for_each_data_set_and_profile_the_full_first(built):
    text = text_of(built, "methods/ddc.html")
    first, second = re.findall(r'aria-label="([^"]*): (\d+) lines', text)[:2]
    assert first == ("usps, profile paper, tkuco2024, reading paper", "20")
    assert second[0].startswith("digits, profile quick") and second[1] == "3"


def test_a_method_page_draws_it_among_the_others_of_a_table_by_seconds_and_value(built):
    text = text_of(built, "methods/ddc.html")
    assert "DDC: 70.0 (7.0) %, 2.5 s" in text or re.search(r"DDC: 70\.0 \(\d\.\d\) %, 2\.5 s", text)
    assert re.search(r"DDC-UCO_T: 90\.0 \(\d\.\d\) %, 2\.5 s", text)


def test_a_method_page_says_how_to_run_and_to_cite_it(built):
    text = text_of(built, "methods/ddc.html")
    assert "python -m benchmark run --table tkuco2024/table2 --method ddc" in text
    assert "from methods import DDC" in text and "@article{" in text


def ranked(text, profile):
    (table, *_) = re.findall(rf"profile {profile}, across papers; where.*?</caption>(.*?)</table>", text, re.DOTALL)
    body = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]
    return [[re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in body]


def test_a_data_set_page_ranks_all_methods_on_it_by_profile(built):
    text = text_of(built, "datasets/digits.html")
    rows = ranked(text, "quick")
    assert [row[1] for row in rows[:3]] == ["DDC-UCO_T", "DDC", "DDC-AE"]
    assert [row[2] for row in rows[:3]] == ["90.0", "70.0", "44.0"]
    assert "Reduced profile" in text


def test_protocols_that_differ_from_most_are_marked(built):
    from benchmark.report.datasets import _marked

    assert "<mark" in _marked("5", differs=True) and _marked("5", differs=False) == "5"
    rows = text_of(built, "datasets/usps.html")
    assert "<mark" not in rows  # one method alone differs from none


def test_numbers_of_a_cell_page_have_the_digits_of_the_table(built):
    text = text_of(built, "cells/tkuco2024-table2-paper-paper-ddc-usps.html")
    assert '<td class="number">68.9</td>' in text and '<td class="number">+1.0</td>' in text
    assert 'class="range consistent"' in text


def test_lines_of_a_chart_are_named_below_it_unless_they_are_too_many():
    line = [0.0, 1.0]
    few = curve_svg("t", [line] * 3, [line] * 3, ["a", "b", "c"])
    assert [few.count(f">{name}</text>") for name in "abc"] == [1, 1, 1]
    many = curve_svg("t", [line] * 20, [line] * 20, [f"n{i}" for i in range(20)])
    assert "one line for each of 20 runs" in many and ">n3</text>" not in many


def test_words_between_backticks_are_code_in_running_text(built):
    said = text_of(built, "methods/acai.html") + text_of(built, "methods/dynae.html")
    assert "from the weights of <code>acai</code>" in said
    for file in built.index.parent.rglob("*.html"):
        text = re.sub(r"(?s)<(script|style|svg|pre|code|title).*?</\1>|<[^>]*>", "", file.read_text(encoding="utf-8"))
        assert not re.search(r"`[^`\n]+`", text), file


def test_pictures_of_cost_say_of_which_table_they_are(built):
    (chart,) = re.findall(r"<svg[^>]*DDC-UCO_T: 90.*?</svg>", text_of(built, "methods/ddc.html"), re.DOTALL)
    assert re.search(r">tkuco2024 table2, digits \(stand-in\), quick<", chart)
