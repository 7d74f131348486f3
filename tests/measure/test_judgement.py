"""The verdict on a published number: against Student's and Welch's rules, order statistics, and its own honesty."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from scipy import stats

from benchmark.measure import Judgement, enough, judge_runs
from benchmark.measure.prediction import lowest_of
from benchmark.report.honesty import SETS, honesty_rows, summed_up
from tests.bench.verdict_honesty import Case, as_csv, cases, published, row, simulate
from tests.bench.verdict_honesty import draw as draw_runs
from tests.support.checkout import ROOT

RNG = np.random.default_rng(4)
VALUES = np.array([80.1, 77.4, 82.3, 79.0, 81.6, 78.8])
LOSSES = np.array([0.31, 0.40, 0.33, 0.36, 0.30, 0.42])
EXACT = 9
"""So many decimals that rounding counts as none."""


def test_a_single_published_value_is_judged_by_student_s_prediction_interval():
    """Of n normal values, the next one lies within mean +/- t(n - 1) s sqrt(1 + 1/n)."""
    found = judge_runs(LOSSES, VALUES, 84.0, statistic="mean", decimals=EXACT)
    for interval, level in ((found.interval90, 0.90), (found.interval95, 0.95)):
        half = stats.t.ppf((1 + level) / 2, 5) * VALUES.std(ddof=1) * math.sqrt(1 + 1 / 6)
        assert interval == pytest.approx((VALUES.mean() - 84 - half, VALUES.mean() - 84 + half))
    assert found.df == pytest.approx(5)
    assert judge_runs(LOSSES, VALUES, 84.0, statistic="best", decimals=EXACT) == found


def test_a_published_mean_of_m_runs_is_judged_by_student_s_two_sample_interval():
    found = judge_runs(LOSSES, VALUES, 79.0, statistic="mean", published_runs=20, decimals=EXACT)
    half = stats.t.ppf(0.975, 5) * VALUES.std(ddof=1) * math.sqrt(1 / 6 + 1 / 20)
    assert found.interval95 == pytest.approx((VALUES.mean() - 79 - half, VALUES.mean() - 79 + half))
    assert found.published_sd == pytest.approx(VALUES.std(ddof=1) / math.sqrt(20))


def test_a_larger_printed_standard_error_is_used_and_a_smaller_one_is_not():
    plain = judge_runs(LOSSES, VALUES, 79.0, statistic="mean", published_runs=20, decimals=EXACT)
    wide = judge_runs(LOSSES, VALUES, 79.0, 2.0, statistic="mean", published_runs=20, decimals=EXACT)
    assert wide.published_sd == pytest.approx(2.0)
    assert judge_runs(LOSSES, VALUES, 79.0, 0.1, statistic="mean", published_runs=20, decimals=EXACT) == plain
    # A spread that is known, 2 sqrt(20) for every run, has the normal factor.
    assert wide.interval95[1] - wide.difference == pytest.approx(1.96 * 2 * math.sqrt(20 / 6 + 1), rel=0.05)


def test_the_lowest_of_m_normal_values_is_that_of_brute_force():
    for m in (1, 3, 20):
        lowest = RNG.normal(size=(200_000, m)).min(axis=1)
        assert lowest_of(m) == pytest.approx((lowest.mean(), lowest.var()), abs=0.01)


@pytest.mark.parametrize("correlation", [0.0, -0.9, 0.9])
def test_of_very_many_runs_the_best_of_m_has_the_moments_of_brute_force(correlation):
    case = Case("best", 3.0, correlation, 20, 20_000, False)
    losses, values = draw_runs(RNG, case, 1, 20_000)
    many, found = draw_runs(RNG, case, 100_000, 20)
    best = found[np.arange(100_000), many.argmin(axis=1)]
    judged = judge_runs(losses[0], values[0], 0.0, statistic="best", published_runs=20)
    assert judged.difference == pytest.approx(best.mean(), abs=0.15)
    assert judged.published_sd == pytest.approx(best.std(), rel=0.03)


def test_losses_that_tell_two_groups_apart_leave_the_verdict_to_the_selected_one():
    """Where all low losses belong to good runs, runs of the other optimum say nothing of the best of m."""
    good, bad = 80 + RNG.normal(size=12), 60 + RNG.normal(size=8)
    losses = np.concatenate((1 + 0.01 * RNG.normal(size=12), 2 + 0.01 * RNG.normal(size=8)))
    values = np.concatenate((good, bad))
    found = judge_runs(losses, values, 80.0, statistic="best", published_runs=20)
    assert found.runs == 12
    assert found.name == judge_runs(losses[:12], good, 80.0, statistic="best", published_runs=12).name == "equivalent"
    blind = judge_runs(RNG.normal(size=20), values, 80.0, statistic="best", published_runs=20)
    assert blind.runs == 20 and blind.name == "consistent"


def test_two_optima_with_one_loss_and_value_each_are_groups_too_unless_m_runs_may_miss_the_better_one():
    losses, values = [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0], [80.0, 80.0, 80.0, 60.0, 60.0, 60.0, 60.0, 60.0]
    assert judge_runs(losses, values, 80.0, published_runs=20).name == "equivalent"
    few = judge_runs(losses, values, 60.0, published_runs=3)
    assert few.name == "consistent" and few.runs == 8


def test_equal_losses_select_nothing_and_any_run_is_a_draw():
    found = judge_runs(np.ones(6), VALUES, 84.0, statistic="best", published_runs=20, decimals=EXACT)
    single = judge_runs(np.ones(6), VALUES, 84.0, statistic="mean", decimals=EXACT)
    assert found.interval95 == pytest.approx(single.interval95)


def test_runs_without_spread_are_known_to_the_rounding_of_what_was_published():
    same = np.full(5, 66.81)
    assert judge_runs(np.ones(5), same, 66.8).name == "equivalent"
    found = judge_runs(np.ones(5), same, 60.0)
    assert found.name == "higher"
    assert found.interval95 == pytest.approx(
        (6.81 - 1.96 * 0.1 / math.sqrt(12), 6.81 + 1.96 * 0.1 / math.sqrt(12)), abs=1e-4
    )


def test_a_printed_sd_of_zero_is_a_rounded_one():
    found = judge_runs(np.ones(5), np.full(5, 66.8), 66.8, 0.0, published_runs=20)
    assert found.published_sd == pytest.approx(math.hypot(0.05, 0.1 / math.sqrt(12)))


def test_what_cannot_be_judged_is_said_so_and_has_no_interval():
    highest = judge_runs(LOSSES, VALUES, 80.0, statistic="max")
    single = judge_runs([0.3], [81.0], 80.0, 1.0, published_runs=20)
    assert (highest.name, highest.interval90, highest.interval95) == ("not judged", None, None)
    assert (single.name, single.interval90, single.interval95) == ("not judged", None, None)
    assert highest.difference == pytest.approx(2.3) and single.difference == pytest.approx(1.0)


@pytest.mark.parametrize("statistic", ["best", "mean"])
def test_one_run_of_a_deterministic_method_says_all(statistic):
    def judged(value, published, sd=None):
        return judge_runs([0.3], [value], published, sd, statistic=statistic, published_runs=20, deterministic=True)

    assert judged(22.1, 22.0).name == "equivalent"
    assert judged(25.9, 46.0).name == "lower"
    assert judged(46.0, 25.9).name == "higher"
    found = judged(46.0, 25.9)
    half = 1.96 * 0.1 / math.sqrt(12)
    assert found.interval95 == pytest.approx((20.1 - half, 20.1 + half), abs=1e-4)
    assert found.runs == 1
    # With a printed sd the published number is a draw from it; more runs tell by themselves how far they lie apart.
    assert judged(26.0, 25.0, 5.0).name == "consistent"
    several = ([0.3, 0.4, 0.5], [20.0, 25.0, 30.0], 22.0)
    assert judge_runs(*several, deterministic=True) == judge_runs(*several)


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("statistic", ["best", "mean"])
def test_the_fewer_runs_the_wider_the_interval_is_and_always_finite(n, statistic):
    found = judge_runs(LOSSES[:n], VALUES[:n], 80.0, statistic=statistic, published_runs=20)
    assert all(math.isfinite(number) for number in (*found.interval90, *found.interval95, found.df))
    assert found.interval95[0] < found.interval90[0] < found.difference < found.interval90[1] < found.interval95[1]


@pytest.mark.parametrize(
    ("published", "name"), [(80.0, "equivalent"), (70.0, "higher"), (90.0, "lower"), (81.9, "consistent")]
)
def test_each_verdict_is_given_where_it_is_due(published, name):
    values = 80 + np.array([-0.9, -0.4, 0.0, 0.3, 1.0])
    assert judge_runs(np.arange(5), values, published, statistic="mean").name == name


def test_numpy_arrays_lists_and_the_order_of_runs_are_all_one():
    order = RNG.permutation(6)
    a = judge_runs(LOSSES.tolist(), VALUES.tolist(), 80.0, published_runs=20)
    b = judge_runs(LOSSES[order], VALUES[order], 80.0, published_runs=20)
    assert a.name == b.name and a.interval95 == pytest.approx(b.interval95)
    assert isinstance(a, Judgement) and all(isinstance(x, str | float | int | tuple) for x in astuple(a))


@pytest.mark.parametrize(
    "wrong",
    [
        {"losses": [0.1, math.nan]},
        {"values": [80.0, math.inf]},
        {"losses": [0.1]},
        {"losses": [], "values": []},
        {"published_value": math.nan},
        {"published_sd": math.inf},
        {"published_sd": -1.0},
        {"statistic": "median"},
        {"published_runs": 0},
        {"decimals": -1},
        {"margin": 0.0},
    ],
)
def test_what_is_no_number_of_runs_is_refused_in_one_sentence(wrong):
    arguments = {"losses": [0.1, 0.2], "values": [80.0, 81.0], "published_value": 80.0} | wrong
    with pytest.raises(ValueError, match=r"^[^\n]+\.$"):
        judge_runs(**arguments)


HARDEST = [
    Case("best", 1.0, 0.9, 20, 5, False),
    Case("best", 6.0, -0.9, 20, 5, False),
    Case("best", None, 0.0, 20, 5, False),
    Case("best", None, -0.9, 20, 5, True),
    Case("best", None, 0.9, 20, 10, False),
    Case("mean", None, 0.0, 20, 5, True),
    Case("mean", None, 0.0, 20, 10, False),
    Case("mean", None, 0.0, 1, 5, False),
    Case("mean", 1.0, 0.0, 1, 5, False),
]


@pytest.mark.parametrize("case", HARDEST, ids=str)
def test_the_hardest_cases_are_honest(case):
    """With 10 000 sets of runs a share of 5 % is known to .65 points (3 sd)."""
    found = simulate(case, 10_000, seed=1)
    assert 0.92 - 0.005 <= found.coverage <= 0.99 + 0.003
    assert found.higher + found.lower <= 0.08 + 0.005


def test_all_cases_are_honest_that_can_be_and_false_verdicts_are_5_percent_on_average():
    found = {case: simulate(case, 2000, seed=2) for case in cases()}
    honest = {case: h for case, h in found.items() if not case.undecidable}
    assert len(found) - len(honest) == 3
    assert all(0.92 - 0.015 <= h.coverage <= 0.99 + 0.007 for h in honest.values())
    assert all(h.higher + h.lower <= 0.08 + 0.015 for h in honest.values())
    assert np.mean([h.higher + h.lower for h in found.values()]) <= 0.05


def test_the_mean_of_best_over_bootstrap_samples_is_judged_honestly_as_a_best():
    found = {case: simulate(case, 1000, seed=3) for case in cases(["boot_mean"])}
    honest = [h for case, h in found.items() if not case.undecidable]
    assert len(found) - len(honest) == 2
    assert all(h.coverage >= 0.92 - 0.025 for h in honest)
    assert all(h.higher + h.lower <= 0.08 + 0.025 for h in honest)
    assert np.mean([h.higher + h.lower for h in found.values()]) <= 0.05


def test_a_small_printed_sd_is_taken_as_it_is_and_only_0_as_rounded():
    """Runs without spread leave the published side alone: .3 of the sd stays .3, though the value has no decimals."""
    same = (np.ones(5), np.full(5, 66.8))
    found = judge_runs(*same, 67.0, 0.3, statistic="mean", published_runs=20, decimals=0)
    assert found.published_sd == pytest.approx(math.hypot(0.3, 1 / math.sqrt(12)))
    rounded = judge_runs(*same, 67.0, 0.0, statistic="mean", published_runs=20, decimals=0)
    assert rounded.published_sd == pytest.approx(math.hypot(0.5, 1 / math.sqrt(12)))


def test_the_simulation_asks_the_rule_that_people_call():
    """For some sets of runs, share by share, `judge_runs` gives what the simulation counts."""
    case, sets = Case("best", 3.0, -0.9, 20, 10, True), 300
    rng = np.random.default_rng([9, case.n, case.m])
    losses, values = draw_runs(rng, case, sets, case.n)
    value, sd = published(case, *draw_runs(rng, case, sets, case.m))
    judged = [
        judge_runs(*runs, statistic="best", published_runs=20) for runs in zip(losses, values, value, sd, strict=True)
    ]
    found = simulate(case, sets, seed=9)
    names = [one.name for one in judged]
    assert found.higher == names.count("higher") / sets and found.equivalent == names.count("equivalent") / sets
    assert found.coverage == np.mean([one.interval95[0] <= 0 <= one.interval95[1] for one in judged])


def test_the_committed_table_is_what_the_script_makes_today():
    text = (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8")
    for case in (HARDEST[0], HARDEST[3], HARDEST[6]):
        assert row(case, simulate(case, 20_000)) in text


def test_the_report_has_the_committed_table_and_sums_it_up_as_the_script_does():
    text = (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8")
    assert (ROOT / "benchmark" / "report" / "pages" / "honesty.csv").read_text(encoding="utf-8") == as_csv(text)
    found = summed_up(honesty_rows())
    said = f"{SETS} sets of runs in each of {found.cases} cases. Without the {found.undecidable} marked (*): coverage "
    said += (
        f"{found.least_coverage:.1f} to {found.most_coverage:.1f} %, false verdicts at most {found.most_false:.1f} %. "
    )
    said += f"False verdicts on average over all cases, marked ones too: {found.average_false:.1f} %."
    assert text.rstrip().endswith(said)


@pytest.mark.parametrize(
    ("entered", "planned", "said"),
    [
        *((20, 20, True), (16, 20, True), (15, 20, False), (1, 20, False), (5, 6, True), (4, 5, False), (5, 5, True)),
        *((3, 3, True), (2, 3, False), (1, 1, True), (0, 0, False), (8, 10, True), (7, 10, False), (0, 3, False)),
    ],
)
def test_a_verdict_needs_four_of_five_planned_runs_and_at_least_five_of_them(entered, planned, said):
    assert enough(entered, planned) is said


def test_more_runs_than_planned_cannot_have_entered():
    with pytest.raises(ValueError, match="cannot have entered"):
        enough(4, 3)
