"""Comparing runs: intervals, probability of improvement, tests and ranks, against closed forms and SciPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from benchmark.measure.comparison import (
    average_ranks,
    compare_paired,
    compare_unpaired,
    critical_difference,
    holm,
    improvement_probability,
    paired_interval,
    welch_interval,
)

RNG = np.random.default_rng(3)


def test_five_pairs_show_no_test_and_say_why():
    found = compare_paired([5.0, 6, 7, 8, 9], [1.0, 1, 1, 1, 1])
    assert found.p is None
    assert found.smallest_p == 0.0625


def test_six_pairs_can_reach_a_test_and_it_is_scipy_s():
    a, b = RNG.standard_normal(8) + 1, RNG.standard_normal(8)
    found = compare_paired(a, b)
    assert found.p == pytest.approx(stats.wilcoxon(a - b, method="exact").pvalue)
    assert found.smallest_p == 2**-7
    assert compare_paired(np.arange(6.0) + 1, np.zeros(6)).p == pytest.approx(2 * 0.5**6)


def test_equal_runs_differ_by_nothing_and_reach_no_test():
    found = compare_paired([1.0, 2.0], [1.0, 2.0])
    assert (found.difference, found.interval, found.improvement, found.p) == (0.0, (0.0, 0.0), 0.5, None)


def test_tied_differences_are_tested_exactly():
    """All 2^7 signs of seven equal differences: only all plus or all minus are as extreme."""
    assert compare_paired(np.ones(7), np.zeros(7)).p == pytest.approx(2 / 2**7)


def test_unpaired_runs_are_tested_by_their_ranks():
    a, b = [5.0, 6, 7, 8, 9], [1.0, 2, 3, 4, 4.5]
    found = compare_unpaired(a, b)
    assert found.p == pytest.approx(2 / 252)
    assert found.smallest_p == pytest.approx(2 / 252)
    assert found.difference == pytest.approx(7 - 2.9)
    assert compare_unpaired([1.0, 2], [3.0, 4]).p is None


@pytest.mark.parametrize(("n", "m", "p"), [(5, 5, 2 / 252), (3, 5, 2 / 56), (20, 20, 2 / math.comb(40, 20))])
def test_ties_within_groups_that_lie_apart_give_the_smallest_p(n, m, p):
    """Of all ways to share the runs out, only one has all the high ones in A."""
    found = compare_unpaired(np.ones(n), np.zeros(m))
    assert found.p == found.smallest_p == pytest.approx(p)


def test_unpaired_runs_with_ties_are_tested_by_all_ways_to_share_them_out():
    for n, m in ((5, 4), (4, 6), (7, 3)):
        both = RNG.integers(0, 4, n + m).astype(float)
        ranks = stats.rankdata(both)
        sums = np.array([ranks[list(chosen)].sum() for chosen in itertools.combinations(range(n + m), n)])
        tail = min((sums <= ranks[:n].sum()).mean(), (sums >= ranks[:n].sum()).mean())
        assert compare_unpaired(both[:n], both[n:]).p == pytest.approx(min(1, 2 * tail))
    assert compare_unpaired(np.ones(5), np.ones(5)).p == 1


@pytest.mark.parametrize(("n", "m"), [(5, 5), (4, 9), (20, 20), (30, 30)])
def test_unpaired_runs_without_ties_are_tested_as_scipy_s_exact_test_does(n, m):
    a, b = RNG.standard_normal(n) + 0.5, RNG.standard_normal(m)
    assert compare_unpaired(a, b).p == pytest.approx(stats.mannwhitneyu(a, b, method="exact").pvalue)


def test_many_unpaired_runs_are_tested_by_the_normal_approximation():
    a, b = RNG.integers(0, 9, 40), RNG.integers(0, 9, 41)
    assert compare_unpaired(a, b).p == pytest.approx(stats.mannwhitneyu(a, b).pvalue)


@pytest.mark.parametrize("n", [3, 5, 10, 20])
def test_the_interval_covers_the_true_difference_of_normal_values_in_95_percent(n):
    """Of 5000 samples: known to .3 points (1 sd)."""
    gaps = 1 + 4 * np.random.default_rng(n).normal(size=(5000, n))
    covered = np.mean([low <= 1 <= high for low, high in map(paired_interval, gaps)])
    assert 0.93 <= covered <= 0.96 + 0.005


def test_intervals_are_those_of_scipy():
    a, b = RNG.standard_normal(6), RNG.standard_normal(9) * 2
    assert paired_interval(a) == pytest.approx(tuple(stats.ttest_1samp(a, 0).confidence_interval(0.95)))
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert welch_interval(a, b) == pytest.approx(tuple(welch))
    assert compare_unpaired(a, b).interval == welch_interval(a, b)
    assert compare_paired(a, b[:6]).interval == paired_interval(a - b[:6])


def test_one_run_tells_no_interval():
    assert compare_paired([2.0], [1.0]).interval is None
    assert compare_unpaired([2.0], [1.0, 3.0]).interval is None


@pytest.mark.parametrize("n", [6, 7, 8, 10])
def test_ties_of_pairs_are_tested_by_all_signs(n):
    """Brute force over the 2^n signs of the mean ranks, on accuracies of whole counts."""
    rng = np.random.default_rng(n)
    for _ in range(5):
        a, b = (rng.integers(700, 707, n) for _ in range(2))
        gaps = (a - b)[a != b]
        ranks = stats.rankdata(np.abs(gaps))
        sums = np.array([ranks[list(signs)].sum() for signs in itertools.product((False, True), repeat=len(gaps))])
        found = ranks[gaps > 0].sum()
        expected = min(1.0, 2 * min((sums <= found).mean(), (sums >= found).mean()))
        for unit in (1, 1 / 1000, 100 / 1000):
            p = compare_paired(a * unit, b * unit).p
            assert (p is None) if 2.0 ** (1 - len(gaps)) > 0.05 else p == pytest.approx(expected)


@pytest.mark.parametrize("n", [12, 25, 60])
def test_pairs_without_ties_are_tested_as_scipy_s_exact_test_does(n):
    a, b = RNG.standard_normal(n) + 0.3, RNG.standard_normal(n)
    assert compare_paired(a, b).p == pytest.approx(stats.wilcoxon(a - b, method="exact").pvalue)


def test_accuracies_of_equal_counts_tie_though_they_differ_in_the_last_bit():
    """Gaps of 2, 3 and 4 of 10 000 samples; the exact p of tied ranks is 16 of the 2^8 signs."""
    a = np.array([8580, 7250, 7740, 7440, 7280, 8120, 7280, 7770])
    b = np.array([8577, 7246, 7738, 7438, 7281, 8115, 7282, 7766])
    assert len(set(np.abs(a / 10_000 - b / 10_000).tolist())) > len(set(np.abs(a - b).tolist()))
    assert compare_paired(a, b).p == compare_paired(100 * a / 10_000, 100 * b / 10_000).p == pytest.approx(0.0625)


def test_equal_accuracies_share_their_rank_and_improve_on_nothing():
    nearly = 0.1 + 0.2
    np.testing.assert_allclose(average_ranks([[0.3, nearly, 0.1]]), [1.5, 1.5, 3])
    assert improvement_probability([0.3], [nearly]) == 0.5
    assert compare_unpaired([nearly, 0.3, 0.5, 0.6], [0.3, 0.1, 0.1, nearly]).p == pytest.approx(
        compare_unpaired([3, 3, 5, 6], [3, 1, 1, 3]).p
    )


def test_probability_of_improvement_is_mann_whitney_s_u_over_all_pairs():
    a, b = RNG.integers(0, 5, 9).astype(float), RNG.integers(0, 5, 7).astype(float)
    expected = stats.mannwhitneyu(a, b).statistic / 63
    assert improvement_probability(a, b) == pytest.approx(expected)


def test_holm_is_that_of_statsmodels():
    p = RNG.uniform(0, 0.2, 7)
    np.testing.assert_allclose(holm(p.tolist()), multipletests(p, method="holm")[1])


def test_ranks_and_critical_difference_are_those_of_demsar_2006():
    """Table 5 there: q.05 of 5 methods is 2.728; section 3.2.2 on 14 data sets and 4 methods gives CD = 1.25."""
    np.testing.assert_allclose(average_ranks([[0.9, 0.8, 0.8], [0.7, 0.9, 0.1]]), [1.5, 1.75, 2.75])
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)


@pytest.mark.parametrize("wrong", [[], [np.nan], [[1.0]]])
def test_what_are_no_runs_is_refused(wrong):
    with pytest.raises(ValueError, match="finite number"):
        compare_unpaired(wrong, [1.0])
