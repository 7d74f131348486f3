"""Claims over many comparisons: closed forms, scipy as the oracle, and error rates by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmark.measure.claims import Evidence, Gap, at_least, beyond, inside, paired_gap, spread_gap, unpaired_gap
from benchmark.measure.statements import mean_interval

RNG = np.random.default_rng(0)
A, B = RNG.normal(3, 2, 7), RNG.normal(1, 4, 9)


def test_a_paired_gap_is_tested_as_scipy_does() -> None:
    gap = paired_gap(A, B[:7])
    assert gap is not None
    assert gap.above(0.0) == pytest.approx(stats.ttest_rel(A, B[:7], alternative="greater").pvalue)
    assert gap.below(1.0) == pytest.approx(stats.ttest_1samp(A - B[:7], 1.0, alternative="less").pvalue)
    assert gap.interval() == pytest.approx(mean_interval(A - B[:7]))


def test_an_unpaired_gap_is_tested_as_welch_does() -> None:
    gap = unpaired_gap(A, B)
    assert gap is not None
    assert gap.above(0.0) == pytest.approx(stats.ttest_ind(A, B, equal_var=False, alternative="greater").pvalue)
    found = stats.ttest_ind(A, B, equal_var=False).confidence_interval(0.95)
    assert gap.interval() == pytest.approx((found.low, found.high))


def test_spreads_are_compared_around_the_median() -> None:
    gap = spread_gap(A, B)
    assert gap is not None
    assert gap.estimate == pytest.approx(np.abs(A - np.median(A)).mean() - np.abs(B - np.median(B)).mean())
    # With two sides of one size, Brown and Forsythe's F is the square of Student's t, and Welch's t is the same.
    even = spread_gap(A, B[:7])
    assert even is not None
    assert (even.estimate / even.error) ** 2 == pytest.approx(stats.levene(A, B[:7], center="median").statistic)


@pytest.mark.parametrize("gap", [paired_gap([1.0]), unpaired_gap([1.0], [1.0, 2.0]), None])
def test_one_run_decides_nothing(gap: Gap | None) -> None:
    assert beyond(gap) == inside(gap, 1.0) == Evidence()
    assert beyond(gap).word == "undecided"


def test_numbers_without_chance_decide_by_themselves_and_equal_ones_do_not() -> None:
    assert beyond(Gap(2.0), 1.0).word == "agrees"
    assert beyond(Gap(2.0), 3.0).word == "contradicts"
    assert beyond(Gap(0.1 + 0.2 - 0.3)).word == "undecided"


def test_equivalence_is_two_one_sided_tests_at_five_per_cent() -> None:
    near, far = paired_gap([0.1, -0.1, 0.2, 0.0, -0.2]), paired_gap([5.0, 5.5, 4.5, 5.2, 4.9])
    assert near is not None and far is not None
    low, high = mean_interval([0.1, -0.1, 0.2, 0.0, -0.2], 0.10) or (0.0, 0.0)
    bound = max(abs(low), abs(high))
    assert inside(near, bound * 1.001).word == "agrees"
    assert inside(near, bound * 0.999).word == "undecided"
    assert inside(far, 1.0).word == "contradicts"


def test_all_and_some_are_the_ends_of_at_least() -> None:
    tested = [Evidence(0.01, 0.99), Evidence(0.3, 0.7), Evidence(0.002, 0.998)]
    assert at_least(tested, 3) == Evidence(0.3, 1.0)
    assert at_least(tested, 1) == Evidence(pytest.approx(0.006), pytest.approx(0.998))
    assert at_least(tested, 2) == Evidence(pytest.approx(0.02), 1.0)
    with pytest.raises(ValueError, match="at least 4 of 3"):
        at_least(tested, 4)


@pytest.mark.parametrize("k", [1, 4, 6])
def test_a_claim_is_wrongly_decided_in_five_per_cent_of_all_cases_at_most(k: int) -> None:
    """Six data sets, five pairs of runs; one hold fewer than needed, or exactly as many, all others at the bound."""
    rng, trials = np.random.default_rng(k), 2000
    supported = contradicted = 0
    for _ in range(trials):
        # k - 1 hold by far and the rest are at the bound, where the claim is false: calling it supported is wrong.
        means = np.r_[np.full(k - 1, 9.0), np.zeros(6 - k + 1)]
        supported += at_least([beyond(paired_gap(rng.normal(m, 1, 5))) for m in means], k).word == "agrees"
        # k lie at the bound from above and the rest fail by far: calling it contradicted is wrong.
        means = np.r_[np.zeros(k), np.full(6 - k, -9.0)]
        contradicted += at_least([beyond(paired_gap(rng.normal(m, 1, 5))) for m in means], k).word == "contradicts"
    # 2.5 % each, and three standard errors of 2000 trials.
    assert supported / trials <= 0.025 + 0.0105
    assert contradicted / trials <= 0.025 + 0.0105


def test_a_claim_that_holds_everywhere_by_far_is_supported() -> None:
    rng = np.random.default_rng(1)
    words = [at_least([beyond(paired_gap(rng.normal(4, 1, 5))) for _ in range(6)], 6).word for _ in range(200)]
    assert words.count("agrees") > 180
