"""Verdicts against closed forms and Monte Carlo; every clause of the comparison of stored and today's runs."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmark.measure import judge, verdict
from benchmark.measure.selection import Distribution, Estimate, best_distribution
from benchmark.measure.verdict import difference_interval
from benchmark.record import RunRecord
from benchmark.repeat.agreement import RunView, compare_runs, run_view
from benchmark.spec import DataSpec, Protocol, RunSpec


def certain(value: float) -> Distribution:
    return Distribution((value,), (1.0,))


@pytest.mark.parametrize("sd", [0.01, 1.0, 7.5])
def test_one_certain_value_gives_the_normal_interval_of_the_published(sd: float) -> None:
    result = judge(certain(81.0), 79.5, sd)
    assert result.interval90 == pytest.approx((1.5 - 1.6448536 * sd, 1.5 + 1.6448536 * sd), abs=1e-6)
    assert result.interval95 == pytest.approx((1.5 - 1.9599640 * sd, 1.5 + 1.9599640 * sd), abs=1e-6)
    assert result.difference == pytest.approx(1.5)


@pytest.mark.parametrize("sd", [0.3, 4.0])
def test_mixture_interval_equals_monte_carlo(sd: float) -> None:
    rng = np.random.default_rng(0)
    losses, values = rng.normal(size=20), rng.uniform(60, 90, size=20)
    ours = best_distribution(losses, values)
    n = 400_000
    sample = rng.choice(ours.values, size=n, p=ours.probabilities) - rng.normal(75.0, sd, size=n)
    for level in (0.90, 0.95):
        low, high = difference_interval(ours, 75.0, sd, level)
        error = 4 * math.sqrt(level * (1 - level) / n)
        assert np.mean(sample <= low) == pytest.approx((1 - level) / 2, abs=error)
        assert np.mean(sample <= high) == pytest.approx((1 + level) / 2, abs=error)


def test_mixture_of_two_far_values_has_the_quantiles_of_its_parts() -> None:
    # Half the mass at each: the 5 % quantile of the whole is the 10 % quantile of the lower part.
    low, high = difference_interval(Distribution((0.0, 1000.0), (0.5, 0.5)), 0.0, 2.0, 0.90)
    assert low == pytest.approx(2.0 * stats.norm.ppf(0.10), abs=1e-8)
    assert high == pytest.approx(1000.0 + 2.0 * stats.norm.ppf(0.90), abs=1e-8)


def test_values_that_cannot_occur_do_not_count() -> None:
    low, high = difference_interval(Distribution((-900.0, 5.0, 900.0), (0.0, 1.0, 0.0)), 0.0, 1.0, 0.90)
    assert (low, high) == pytest.approx((5.0 - 1.6448536, 5.0 + 1.6448536), abs=1e-6)


@pytest.mark.parametrize("sd", [None, 0.0])
def test_an_exact_published_value_shifts_our_distribution(sd: float | None) -> None:
    ours = Distribution((70.0, 80.0, 90.0), (0.04, 0.93, 0.03))
    result = judge(ours, 79.0, sd)
    assert result.interval90 == (1.0, 1.0)
    assert result.interval95 == (-9.0, 11.0)
    assert result.exact_published is (sd is None)


def test_a_vanishing_published_sd_tends_to_the_exact_value() -> None:
    ours = Distribution((70.0, 80.0, 90.0), (0.2, 0.5, 0.3))
    exact = difference_interval(ours, 79.0, None, 0.95)
    assert difference_interval(ours, 79.0, 1e-5, 0.95) == pytest.approx(exact, abs=1e-4)
    assert difference_interval(ours, 79.0, 1e-300, 0.95) == exact


def test_a_mean_against_an_exact_value_has_the_t_interval_of_scipy() -> None:
    values = np.array([71.0, 74.0, 69.0, 77.0, 80.0])
    ours = Estimate(values.mean(), stats.sem(values), 4)
    expected = stats.ttest_1samp(values, 70.0).confidence_interval(0.90)
    found = difference_interval(ours, 70.0, None, 0.90)
    assert found == pytest.approx((expected.low - 70.0, expected.high - 70.0), abs=1e-10)


def test_a_mean_against_a_mean_has_the_welch_interval_of_scipy() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(80, 4, size=20)
    published = rng.normal(78, 1000, size=1_000_000)  # a standard error of 1, as good as known
    expected = stats.ttest_ind(values, published, equal_var=False).confidence_interval(0.95)
    ours = Estimate(values.mean(), stats.sem(values), 19)
    found = difference_interval(ours, published.mean(), stats.sem(published), 0.95)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_a_mean_of_equal_runs_leaves_the_published_normal() -> None:
    found = difference_interval(Estimate(80.0, 0.0, 19), 78.0, 1.0, 0.90)
    assert found == pytest.approx((2 - 1.6448536, 2 + 1.6448536), abs=1e-6)
    assert difference_interval(Estimate(80.0, 0.0, 19), 78.0, None, 0.90) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("ours", "published", "sd", "name"),
    [
        (81.0, 80.0, 1.0, verdict.EQUIVALENT),  # 90 %: -0.6 .. 2.6
        (81.2, 80.0, 1.0, verdict.EQUIVALENT),  # 90 %: -0.4 .. 2.8; 95 %: -0.8 .. 3.2
        (78.8, 80.0, 1.0, verdict.EQUIVALENT),
        (82.4, 80.0, 0.3, verdict.EQUIVALENT),  # significant, but inside the margin
        (82.0, 80.0, 1.0, verdict.HIGHER),  # 90 %: 0.4 .. 3.6; 95 %: 0.04 .. 3.96
        (78.0, 80.0, 1.0, verdict.LOWER),
        (81.9, 80.0, 1.0, verdict.CONSISTENT),  # 90 %: 0.3 .. 3.5; 95 %: -0.06 .. 3.86
        (80.0, 80.0, 2.0, verdict.CONSISTENT),  # 90 %: -3.3 .. 3.3
        (83.1, 80.0, None, verdict.HIGHER),
        (76.9, 80.0, None, verdict.LOWER),
        (83.0, 80.0, None, verdict.EQUIVALENT),
        (33.2, 30.2, None, verdict.EQUIVALENT),  # 33.2 - 30.2 > 3 by rounding
        (30.2, 33.2, None, verdict.EQUIVALENT),
    ],
)
def test_each_verdict_of_a_certain_value(ours: float, published: float, sd: float | None, name: str) -> None:
    assert judge(certain(ours), published, sd).name == name


def test_a_spread_around_an_exact_value_is_consistent() -> None:
    assert judge(Distribution((70.0, 90.0), (0.5, 0.5)), 80.0, None).name == verdict.CONSISTENT


def test_the_margin_is_three_points_unless_told_otherwise() -> None:
    assert judge(certain(82.9), 80.0, None).name == verdict.EQUIVALENT
    assert judge(certain(82.9), 80.0, None, margin=2.0).name == verdict.HIGHER


def test_the_difference_may_be_that_of_the_selected_run() -> None:
    ours = Distribution((70.0, 90.0), (0.5, 0.5))
    assert judge(ours, 79.0, None, value=90.0) == dataclasses.replace(judge(ours, 79.0, None), difference=11.0)


@pytest.mark.parametrize(
    ("published", "sd", "margin", "message"),
    [
        (math.nan, 1.0, 3.0, "must be finite"),
        (80.0, -1.0, 3.0, "not negative"),
        (80.0, math.inf, 3.0, "must be finite"),
        (80.0, 1.0, 0.0, "margin must be positive"),
    ],
)
def test_wrong_published_numbers_are_refused(published: float, sd: float, margin: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        judge(certain(80.0), published, sd, margin)


points = st.floats(0, 100)
distributions = st.lists(points, min_size=1, max_size=8).flatmap(
    lambda values: st.lists(st.floats(0.01, 1), min_size=len(values), max_size=len(values)).map(
        lambda weights: Distribution(tuple(values), tuple(w / sum(weights) for w in weights))
    )
)
sds = st.none() | st.floats(0, 30)
quickly = settings(deadline=None, max_examples=100)


@quickly
@given(distributions, points, sds)
def test_the_wider_level_has_the_wider_interval(ours: Distribution, published: float, sd: float | None) -> None:
    result = judge(ours, published, sd)
    assert result.interval95[0] <= result.interval90[0] + 1e-9
    assert result.interval90[0] <= result.interval90[1] + 1e-9
    assert result.interval90[1] <= result.interval95[1] + 1e-9


@quickly
@given(distributions, points, sds, st.floats(0.5, 20))
def test_higher_published_values_never_raise_a_verdict(
    ours: Distribution, published: float, sd: float | None, step: float
) -> None:
    first, second = judge(ours, published, sd), judge(ours, published + step, sd)
    assert second.interval95[1] < first.interval95[1]
    assert second.interval90[0] < first.interval90[0]
    if first.name == verdict.LOWER and second.interval90[0] < -verdict.MARGIN - 1e-6:
        assert second.name == verdict.LOWER
    assert not (first.name == verdict.LOWER and second.name == verdict.HIGHER)


@quickly
@given(distributions, points, sds, st.floats(0.1, 10), st.floats(0.1, 10))
def test_a_wider_margin_keeps_what_was_equivalent(
    ours: Distribution, published: float, sd: float | None, margin: float, more: float
) -> None:
    if judge(ours, published, sd, margin).name == verdict.EQUIVALENT:
        assert judge(ours, published, sd, margin + more).name == verdict.EQUIVALENT


@quickly
@given(distributions, points, st.floats(10, 30))
def test_mirrored_numbers_have_the_mirrored_verdict(ours: Distribution, published: float, sd: float) -> None:
    mirrored = Distribution(tuple(-v for v in ours.values), ours.probabilities)
    swap = {verdict.HIGHER: verdict.LOWER, verdict.LOWER: verdict.HIGHER}
    first, second = judge(ours, published, sd), judge(mirrored, -published, sd)
    assert second.interval95 == pytest.approx((-first.interval95[1], -first.interval95[0]), abs=1e-6)
    if min(abs(end) for end in first.interval95) > 1e-6:
        assert second.name == swap.get(first.name, first.name)


def run(replicate: int = 0, **changes: object) -> RunView:
    base = RunView(
        run_id=f"{replicate:016x}",
        replicate=replicate,
        status="ok",
        first_losses=(2.0, 1.9, 1.7),
        metrics={"acc": 0.80 + 0.01 * replicate, "nmi": 0.70 + 0.01 * replicate},
        loss=0.5,
    )
    return dataclasses.replace(base, **changes)


STORED = [run(0), run(1), run(2)]  # acc .80, .81, .82: mean .81, sd .01


@pytest.mark.parametrize("same_machine", [True, False])
def test_equal_runs_agree(same_machine: bool) -> None:
    assert compare_runs(STORED, STORED, same_machine) == []


def test_elsewhere_the_losses_of_two_steps_may_differ_by_one_in_a_thousand() -> None:
    near = [run(0, first_losses=(2.0, 1.9 * 1.0009, 1.7)), *STORED[1:]]
    far = [run(0, first_losses=(2.0, 1.9 * 1.0012, 1.7)), *STORED[1:]]
    assert compare_runs(STORED, near, same_machine=False) == []
    (sentence,) = compare_runs(STORED, far, same_machine=False)
    assert sentence == "replicate 0 (run 0000000000000000): the loss of step 2 is 1.90228, but 1.9 is stored."


def test_elsewhere_later_losses_are_not_compared_but_on_the_same_machine_they_are() -> None:
    parted = [run(0, first_losses=(2.0, 1.9, 1.7 * 1.003)), *STORED[1:]]
    assert compare_runs(STORED, parted, same_machine=False) == []
    (sentence,) = compare_runs(STORED, parted, same_machine=True)
    assert "the loss of step 3 is 1.7051, but 1.7 is stored" in sentence


@pytest.mark.parametrize(("by", "here", "elsewhere"), [(1e-10, 0, 0), (1e-6, 1, 0), (1e-2, 1, 1)])
def test_first_losses_are_equal_on_the_same_machine_and_near_elsewhere(by: float, here: int, elsewhere: int) -> None:
    today = [run(0, first_losses=tuple(loss * (1 + by) for loss in run(0).first_losses)), *STORED[1:]]
    assert len(compare_runs(STORED, today, same_machine=True)) == here
    assert len(compare_runs(STORED, today, same_machine=False)) == elsewhere


def test_first_losses_that_are_missing_on_one_side_disagree() -> None:
    (sentence,) = compare_runs([run()], [run(first_losses=())], same_machine=False)
    assert "0 losses of first steps were recorded, but 3 are stored" in sentence


def test_runs_without_first_losses_agree() -> None:
    bare = [run(first_losses=(), loss=None)]
    assert compare_runs(bare, bare, same_machine=True) == []


def test_a_first_loss_that_became_nan_disagrees() -> None:
    (sentence,) = compare_runs([run()], [run(first_losses=(2.0, math.nan, 1.7))], same_machine=False)
    assert "the loss of step 2 is nan" in sentence


def test_runs_that_diverged_in_the_same_step_agree() -> None:
    diverged = [run(status="diverged", first_losses=(2.0, math.nan), metrics={}, loss=None)]
    assert compare_runs(diverged, diverged, same_machine=True) == []
    assert compare_runs(diverged, diverged, same_machine=False) == []


def test_metrics_are_equal_on_the_same_machine() -> None:
    today = [run(0, metrics={"acc": np.nextafter(0.80, 1), "nmi": 0.70}), *STORED[1:]]
    (sentence,) = compare_runs(STORED, today, same_machine=True)
    assert "replicate 0" in sentence and "acc is 0.8000000000000002, but 0.8 is stored" in sentence
    assert compare_runs(STORED, today, same_machine=False) == []


def test_the_final_loss_agrees_to_1e_9_on_the_same_machine() -> None:
    assert compare_runs([run()], [run(loss=0.5 * (1 + 9e-10))], same_machine=True) == []
    (sentence,) = compare_runs([run()], [run(loss=0.5 * (1 + 2e-9))], same_machine=True)
    assert "the final loss is 0.500000001, but 0.5 is stored" in sentence
    assert compare_runs([run()], [run(loss=0.6)], same_machine=False) == []


def test_a_final_loss_on_one_side_only_disagrees() -> None:
    (sentence,) = compare_runs([run()], [run(loss=None)], same_machine=True)
    assert "the final loss is None, but 0.5 is stored" in sentence


@pytest.mark.parametrize("same_machine", [True, False])
def test_a_stored_metric_that_is_gone_disagrees(same_machine: bool) -> None:
    (sentence,) = compare_runs([run()], [run(metrics={"acc": 0.8})], same_machine)
    assert "nmi" in sentence


@pytest.mark.parametrize("same_machine", [True, False])
def test_a_metric_that_was_not_stored_is_no_disagreement(same_machine: bool) -> None:
    today = [run(metrics={**run().metrics, "ari": 0.6})]
    assert compare_runs([run()], today, same_machine) == []


@pytest.mark.parametrize(("shift", "agrees"), [(0.029, True), (-0.029, True), (0.031, False), (-0.031, False)])
def test_elsewhere_mean_metrics_lie_within_three_stored_sd(shift: float, agrees: bool) -> None:
    today = [run(r, metrics={"acc": v.metrics["acc"] + shift, "nmi": v.metrics["nmi"]}) for r, v in enumerate(STORED)]
    sentences = compare_runs(STORED, today, same_machine=False)
    assert len(sentences) == (0 if agrees else 1)
    if not agrees:
        assert f"the mean acc over 3 replicates is {0.81 + shift:.4f}" in sentences[0]
        assert "(0.0100) from the stored 0.8100" in sentences[0]


@pytest.mark.parametrize(("shift", "agrees"), [(0.0149, True), (0.0151, False)])
def test_the_sd_of_nearly_deterministic_methods_counts_as_half_a_point(shift: float, agrees: bool) -> None:
    stored = [run(r, metrics={"acc": 0.668}) for r in range(3)]
    today = [run(r, metrics={"acc": 0.668 + shift}) for r in range(3)]
    assert (compare_runs(stored, today, same_machine=False) == []) is agrees


def test_the_sd_comes_from_all_stored_runs() -> None:
    stored = [run(r, metrics={"acc": acc}) for r, acc in enumerate((0.6, 0.8, 0.7))]  # sd .1
    assert compare_runs(stored, [run(0, metrics={"acc": 0.89})], same_machine=False) == []
    assert len(compare_runs(stored, [run(0, metrics={"acc": 0.91})], same_machine=False)) == 1


@pytest.mark.parametrize("same_machine", [True, False])
def test_a_status_that_changed_is_one_disagreement(same_machine: bool) -> None:
    today = [run(0, status="diverged", first_losses=(math.nan,), metrics={}, loss=None), *STORED[1:]]
    assert compare_runs(STORED, today, same_machine) == [
        "replicate 0 (run 0000000000000000): the status is diverged, but ok is stored."
    ]


def test_collapsed_runs_are_compared_too() -> None:
    stored = [run(status="collapsed", metrics={"acc": 0.1})]
    today = [run(status="collapsed", metrics={"acc": 0.2})]
    assert len(compare_runs(stored, today, same_machine=True)) == 1
    assert len(compare_runs(stored, today, same_machine=False)) == 1


def test_metrics_of_diverged_runs_enter_no_mean() -> None:
    stored = [*STORED, run(3, status="diverged", metrics={"acc": 0.1, "nmi": 0.1})]
    today = [*STORED, run(3, status="diverged", metrics={"acc": 0.9, "nmi": 0.9})]
    assert compare_runs(stored, today, same_machine=False) == []


@pytest.mark.parametrize("same_machine", [True, False])
def test_only_common_replicates_are_compared(same_machine: bool) -> None:
    other = run(7, first_losses=(99.0,), metrics={"acc": 0.1, "nmi": 0.1})
    assert compare_runs([*STORED, other], STORED[:2], same_machine) == []
    assert compare_runs(STORED[:2], [*STORED[:2], other], same_machine) == []


@pytest.mark.parametrize("same_machine", [True, False])
def test_no_replicate_in_common_is_a_disagreement(same_machine: bool) -> None:
    assert compare_runs([run(0)], [run(1)], same_machine) == ["no replicate in common: stored are [0], run today [1]."]
    assert compare_runs([], [run(1)], same_machine) == ["no replicate in common: stored are none, run today [1]."]


def test_a_replicate_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice among today's runs"):
        compare_runs([run(0)], [run(0), run(0)], same_machine=True)


def test_the_view_of_a_record_has_its_numbers() -> None:
    spec = RunSpec(method="m", params={}, data=DataSpec(name="d", digest="0"), protocol=Protocol(), replicate=4)
    record = RunRecord(
        run_id=spec.run_id, spec=spec, status="ok", loss=0.25, metrics={"acc": 0.9}, first_losses=(1.0, 0.5)
    )
    assert run_view(record) == RunView(spec.run_id, 4, "ok", (1.0, 0.5), {"acc": 0.9}, 0.25)
