"""Winners of a comparison, and the files that it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmark.analysis.winners import tally, winners
from tests.cli.test_cli_study import call, keep

PAIRS = [
    {"a": "a", "b": "b", "dataset": "x", "difference": 2.0, "interval": (1.0, 3.0)},
    {"a": "a", "b": "c", "dataset": "x", "difference": 2.0, "interval": (-1.0, 5.0)},
    {"a": "b", "b": "c", "dataset": "x", "difference": 0.0, "interval": (-2.0, 2.0)},
    {"a": "a", "b": "b", "dataset": "y", "difference": -3.0, "interval": (-4.0, -2.0)},
    {"a": "a", "b": "b", "dataset": "z", "difference": 0.0, "interval": None},
]
MEANS = {("a", "x"): 12.0, ("b", "x"): 10.0, ("c", "x"): 10.0, ("a", "y"): 1.0, ("b", "y"): 4.0}
MEANS |= {("a", "z"): 5.0, ("b", "z"): 5.0 + 1e-14, ("a", "alone"): 3.0}


def test_a_lead_is_clear_where_the_intervals_to_all_others_exclude_zero():
    found = {line["dataset"]: line for line in winners(MEANS, PAIRS, True)}
    assert set(found) == {"x", "y", "z"}, "nobody wins alone"
    assert (found["x"]["winner"], found["x"]["clear"]) == ("a", False), "a leads b, but not c"
    assert (found["y"]["winner"], found["y"]["clear"], found["y"]["interval"]) == ("b", True, (2.0, 4.0))
    assert [found[name]["lead"] for name in "xy"] == [2.0, 3.0], "of the pair, turned as the interval"
    assert (found["z"]["winner"], found["z"]["clear"]) == ("", False), "a tie but for rounding"
    wins = [(line["method"], line["wins"], line["clear_wins"]) for line in tally(list(found.values()), ["a", "b", "c"])]
    assert wins == [("a", 1, 0), ("b", 1, 1), ("c", 0, 0)]


def test_where_less_is_better_the_lowest_mean_wins():
    found = {line["dataset"]: line for line in winners(MEANS, PAIRS, False)}
    assert (found["y"]["winner"], found["y"]["clear"], found["y"]["interval"]) == ("a", True, (-4.0, -2.0))


@pytest.mark.usefixtures("nothing_shipped")
def test_compare_says_who_wins_and_writes_pictures_and_tex(tmp_path: Path):
    keep(tmp_path, "ddc", [0.5, 0.6, 0.7])
    keep(tmp_path, "ddc-uco-t", [0.61, 0.7, 0.8])
    words = ("compare", "ddc", "ddc-uco-t")
    (line,) = json.loads(call(tmp_path, *words, "--json").output)["winners"]
    assert (line["winner"], line["next"], line["clear"]) == ("ddc-uco-t", "ddc", True)
    text = call(tmp_path, *words, "--out", str(tmp_path / "out")).output
    assert "best on so many of 1 data sets: ddc 0 (0 clear), ddc-uco-t 1 (1 clear)" in text
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"differences.svg", "differences.png", "differences.tex", "winners.tex"}
    assert "ddc − ddc-uco-t" in (tmp_path / "out" / "differences.svg").read_text(encoding="utf-8")
    assert r"\textbf{ddc-uco-t}" in (tmp_path / "out" / "winners.tex").read_text(encoding="utf-8")
    with Image.open(tmp_path / "out" / "differences.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.usefixtures("nothing_shipped")
def test_a_lead_is_that_of_the_pairs_and_unequal_numbers_of_runs_are_said(tmp_path: Path):
    keep(tmp_path, "ddc", [0.5, 0.6])
    keep(tmp_path, "ddc-uco-t", [0.61, 0.7, 0.95])
    answer = json.loads(call(tmp_path, "compare", "ddc", "ddc-uco-t", "--json").output)
    (line,) = answer["winners"]
    assert line["mean"] - line["next_mean"] == pytest.approx(20.33, abs=0.01), "the means are over all runs"
    assert line["lead"] == pytest.approx(-answer["pairs"][0]["difference"]) == pytest.approx(10.5)
    text = call(tmp_path, "compare", "ddc", "ddc-uco-t").output
    assert f"+10.50 [{line['interval'][0]:+.2f}, {line['interval'][1]:+.2f}]" in text
    assert "are by means over all stored runs: ddc 2, ddc-uco-t 3; a lead of pairs is of the runs that both" in text
