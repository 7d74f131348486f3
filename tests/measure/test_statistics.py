"""Selection rules and the exact bootstrap against enumeration and resampling."""

from __future__ import annotations

import itertools
import math
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmark.measure import bootstrap_best
from benchmark.measure.selection import (
    SELECTIONS,
    Distribution,
    best_distribution,
    interquartile_mean,
    max_distribution,
    selection_probabilities,
    selection_regret,
    standard_error,
    summary,
)


def enumerated_probabilities(losses: list[float]) -> list[Fraction]:
    """Go through all n^n resamples in whole numbers; the draws with the lowest loss share each of them."""
    n = len(losses)
    total = [Fraction(0)] * n
    for draws in itertools.product(range(n), repeat=n):
        lowest = min(losses[i] for i in draws)
        selected = [i for i in draws if losses[i] == lowest]
        for i in selected:
            total[i] += Fraction(1, len(selected) * n**n)
    return total


@pytest.mark.parametrize(
    "losses",
    [
        [0.3],
        [2.0, 1.0],
        [1.0, 1.0],
        [0.2, -0.1, 0.5],
        [0.2, 0.1, 0.1],
        [0.1, 0.2, 0.2],
        [4.0, 3.0, 2.0, 1.0],
        [1.0, 2.0, 2.0, 1.0],
        [0.5, 0.1, 0.4, 0.2, 0.3],
        [0.1, 0.1, 0.3, 0.3, 0.3],
        [7.0, 7.0, 7.0, 7.0, 7.0],
    ],
)
def test_selection_probabilities_equal_the_enumeration_of_all_resamples(losses: list[float]) -> None:
    expected = enumerated_probabilities(losses)
    assert sum(expected) == 1
    np.testing.assert_allclose(selection_probabilities(losses), [float(p) for p in expected], rtol=0, atol=4e-16)


def test_bootstrap_best_equals_the_enumeration_of_all_resamples() -> None:
    losses, values = [0.1, 0.4, 0.1, 0.2, 0.4], [71.0, 80.0, 64.0, 90.0, 55.0]
    p = enumerated_probabilities(losses)
    mean = sum(pi * Fraction(v) for pi, v in zip(p, values, strict=True))
    variance = sum(pi * (Fraction(v) - mean) ** 2 for pi, v in zip(p, values, strict=True))
    assert bootstrap_best(losses, values) == pytest.approx((float(mean), math.sqrt(variance)), rel=1e-14)


@pytest.mark.parametrize("tied", [False, True])
def test_bootstrap_best_equals_resampling_with_ties_broken_at_random(tied: bool) -> None:
    rng = np.random.default_rng(5)
    n, resamples = 20, 100_000
    losses = rng.normal(size=n).round(0 if tied else 12)
    values = rng.uniform(60, 95, size=n)
    draws = rng.integers(0, n, size=(resamples, n))
    ordered = np.lexsort((rng.random((resamples, n)), losses[draws]), axis=1)
    selected = values[np.take_along_axis(draws, ordered[:, :1], axis=1)[:, 0]]
    assert (len(set(losses)) < n) == tied

    mean, sd = bootstrap_best(losses, values)
    mean_error = selected.std() / math.sqrt(resamples)
    fourth = ((selected - selected.mean()) ** 4).mean()
    sd_error = math.sqrt((fourth - selected.var() ** 2) / resamples) / (2 * selected.std())
    assert mean == pytest.approx(selected.mean(), abs=4 * mean_error)
    assert sd == pytest.approx(selected.std(), abs=4 * sd_error)


def test_the_best_of_many_runs_is_in_a_resample_with_probability_1_minus_1_over_e() -> None:
    assert selection_probabilities(np.arange(100_000.0))[0] == pytest.approx(1 - math.exp(-1), abs=1e-5)


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5).map(lambda x: round(x, 1)), min_size=1, max_size=30), st.randoms())
def test_selection_probabilities_follow_their_runs_and_sum_to_one(losses: list[float], random: object) -> None:
    p = selection_probabilities(losses)
    assert p.sum() == pytest.approx(1.0, abs=1e-12)
    order = list(range(len(losses)))
    random.shuffle(order)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(selection_probabilities([losses[i] for i in order]), p[order])
    for i, j in itertools.combinations(range(len(losses)), 2):
        if losses[i] == losses[j]:
            assert p[i] == p[j]


def test_a_single_run_has_no_bootstrap_spread() -> None:
    assert bootstrap_best([0.7], [83.2]) == (83.2, 0.0)


def test_the_bootstrap_maximum_follows_the_values_whatever_the_losses() -> None:
    # P(max of n draws <= k-th smallest) = (k/n)^n.
    ours = max_distribution([3.0, 1.0, 2.0])
    found = dict(zip(ours.values, ours.probabilities, strict=True))
    assert found == pytest.approx({1.0: 1 / 27, 2.0: 8 / 27 - 1 / 27, 3.0: 1 - 8 / 27})


def test_distribution_has_the_moments_of_scipy() -> None:
    ours = Distribution((5.0, 1.0, 3.0), (0.2, 0.5, 0.3))
    oracle = stats.rv_discrete(values=([1, 3, 5], [0.5, 0.3, 0.2]))
    assert ours.mean == pytest.approx(oracle.mean())
    assert ours.sd == pytest.approx(oracle.std())


@pytest.mark.parametrize(
    ("values", "probabilities", "message"),
    [
        ((1.0, 2.0), (1.0,), "2 values have 1 probabilities"),
        ((1.0, 2.0), (0.7, 0.7), "sum to one"),
        ((1.0, 2.0), (1.5, -0.5), "non-negative"),
        ((), (), "non-empty"),
        ((math.nan,), (1.0,), "values must be finite"),
    ],
)
def test_what_is_no_distribution_is_refused(values: tuple, probabilities: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Distribution(values, probabilities)


LOSSES, VALUES = [0.3, 0.1, 0.2, 0.1, 0.9], [70.0, 60.0, 90.0, 64.0, 50.0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("best", 62.0), ("mean", 66.8), ("max", 90.0), ("sd", statistics.stdev(VALUES))],
)
def test_selections_of_a_small_example(name: str, expected: float) -> None:
    assert SELECTIONS[name].name == name
    assert SELECTIONS[name].value(LOSSES, VALUES) == pytest.approx(expected, rel=1e-14)


def test_boot_mean_is_the_expected_best_of_a_resample() -> None:
    p = enumerated_probabilities(LOSSES)
    expected = float(sum(pi * Fraction(v) for pi, v in zip(p, VALUES, strict=True)))
    assert SELECTIONS["boot_mean"].value(LOSSES, VALUES) == pytest.approx(expected)


def test_every_selection_but_the_spread_has_a_better_direction() -> None:
    assert {name for name, rule in SELECTIONS.items() if not rule.ranked} == {"sd"}


def test_the_sd_of_each_selection_is_that_of_its_statistic() -> None:
    found = {name: rule.sd(LOSSES, VALUES) for name, rule in SELECTIONS.items()}
    assert found == {
        "best": best_distribution(LOSSES, VALUES).sd,
        "boot_mean": best_distribution(LOSSES, VALUES).sd,
        "mean": pytest.approx(stats.sem(VALUES)),
        "max": max_distribution(VALUES).sd,
        "sd": None,
    }


@pytest.mark.parametrize("name", ["mean", "max", "sd"])
def test_selections_without_losses_serve_methods_without_a_loss(name: str) -> None:
    rule = SELECTIONS[name]
    assert rule.value([], VALUES) == rule.value(LOSSES, VALUES)
    assert rule.sd([], VALUES) == rule.sd(LOSSES, VALUES)


def test_the_mean_has_the_standard_error_of_scipy() -> None:
    assert standard_error(VALUES) == pytest.approx(stats.sem(VALUES))


def test_one_run_tells_no_spread() -> None:
    assert standard_error([80.0]) is None
    assert math.isnan(SELECTIONS["sd"].value([0.1], [80.0]))


def test_regret_is_what_the_highest_run_has_over_the_selected() -> None:
    assert selection_regret(LOSSES, VALUES) == 28.0
    assert selection_regret([0.1, 0.2], [90.0, 80.0]) == 0.0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5.0], 5.0),
        ([1.0, 2.0, 9.0], 4.0),
        ([100.0, 2.0, 3.0, -50.0], 2.5),
        ([0.0, 1.0, 2.0, 3.0, 100.0], 2.0),
        ([*range(8)], 3.5),
    ],
)
def test_interquartile_mean_leaves_out_whole_runs_of_the_outer_quarters(values: list[float], expected: float) -> None:
    assert interquartile_mean(values) == expected


def test_summary_has_every_statistic_of_a_cell() -> None:
    found = summary(LOSSES, VALUES)
    assert found == pytest.approx(
        {
            "best": 62.0,
            "boot_mean": bootstrap_best(LOSSES, VALUES)[0],
            "mean": 66.8,
            "max": 90.0,
            "sd": statistics.stdev(VALUES),
            "best_sd": bootstrap_best(LOSSES, VALUES)[1],
            "regret": 28.0,
            "iqm": (60.0 + 64.0 + 70.0) / 3,
            "n": 5,
        }
    )


@pytest.mark.parametrize("function", [bootstrap_best, best_distribution, selection_regret, summary])
@pytest.mark.parametrize(
    ("losses", "values", "message"),
    [
        ([], [], "losses must be a non-empty list"),
        ([0.1, math.nan], [1.0, 2.0], "losses must be finite, but number 1 is not"),
        ([0.1, 0.2], [math.inf, 2.0], "values must be finite, but number 0 is not"),
        ([0.1, 0.2], [1.0], "2 losses and 1 values"),
        ([[0.1]], [[1.0]], "losses must be a non-empty list"),
    ],
)
def test_wrong_runs_are_refused_in_one_sentence(function, losses: list, values: list, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        function(losses, values)
    assert str(caught.value).endswith(".")
