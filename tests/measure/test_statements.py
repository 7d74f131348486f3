"""Statements on synthetic numbers whose answer is known: how often a rule is right, wrong, and undecided."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from benchmark.measure.stated import Stated, answered
from benchmark.measure.statements import (
    Answer,
    Series,
    above_zero,
    falls,
    higher,
    mean_interval,
    order,
    rises,
    share,
    share_interval,
    slope,
    within,
)

TRIALS = 1500
FALSE = 0.025 + 3 * np.sqrt(0.025 * 0.975 / TRIALS)
"""What a true rate of 2.5 % gives at most, but for three standard errors."""


def rates(draw: Callable[[np.random.Generator], Answer]) -> dict[str, float]:
    rng = np.random.default_rng(0)
    words = [draw(rng).word for _ in range(TRIALS)]
    return {word: words.count(word) / TRIALS for word in ("agrees", "contradicts", "undecided")}


def curves(rng: np.random.Generator, rise: float, n: int = 5, t: int = 12) -> Series:
    """Curves whose points depend on each other as those of trainings do, all with the mean `rise`."""
    return Series.of(rise + rng.normal(size=(n, 1)) + 0.5 * rng.normal(size=(n, t)))


@pytest.mark.parametrize("n", [2, 5, 20])
def test_the_interval_is_students_and_covers_95_percent(n):
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(TRIALS):
        low, high = mean_interval(rng.normal(3, 2, size=n))
        covered += low <= 3 <= high
    assert covered / TRIALS == pytest.approx(0.95, abs=0.02)
    values = rng.normal(size=n)
    expected = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert mean_interval(values) == pytest.approx(expected)


@pytest.mark.parametrize(("count", "n"), [(0, 7), (3, 7), (7, 7), (40, 88)])
def test_the_interval_of_a_share_is_that_of_clopper_and_pearson(count, n):
    expected = stats.binomtest(count, n).proportion_ci(0.95, method="exact")
    assert share_interval(count, n) == pytest.approx((expected.low, expected.high))


def test_the_interval_of_a_share_covers_at_least_95_percent():
    for p in (0.02, 0.3, 0.5):
        chances = stats.binom.pmf(np.arange(31), 30, p)
        covers = [low <= p <= high for low, high in (share_interval(count, 30) for count in range(31))]
        assert chances[covers].sum() >= 0.95


@pytest.mark.parametrize("at", ["mean", "last", "every"])
def test_what_is_equal_is_seldom_said_to_differ(at):
    found = rates(lambda rng: higher([(curves(rng, 0.0), curves(rng, 0.0))], at))
    assert found["agrees"] <= FALSE and found["contradicts"] <= FALSE


@pytest.mark.parametrize("at", ["mean", "last", "every"])
def test_what_is_far_above_agrees_and_far_below_contradicts(at):
    assert rates(lambda rng: higher([(curves(rng, 8.0, 8), curves(rng, 0.0, 8))], at))["agrees"] > 0.95
    assert rates(lambda rng: higher([(curves(rng, -8.0, 8), curves(rng, 0.0, 8))], at))["contradicts"] > 0.95


def test_higher_at_every_point_fails_where_one_point_is_below():
    a = np.tile(np.arange(5.0)[:, None], (1, 3)) + np.array([4.0, 4.0, -4.0])
    b = np.tile(np.arange(5.0)[:, None], (1, 3)) + np.linspace(0, 0.1, 15).reshape(5, 3)
    found = higher([(Series.of(a), Series.of(b))], "every")
    assert (found.word, found.held, found.of) == ("contradicts", 2, 3)
    assert higher([(Series.of(a), Series.of(b))], "every", between=(0, 1)).word == "agrees"
    assert higher([(Series.of(a), Series.of(b))], "first").word == "agrees"


def test_rows_are_paired_by_name_and_those_without_partner_are_left_out():
    a = Series.of([10.0, 20.0, 31.0, 99.0], pairs=(0, 1, 2, 7))
    b = Series.of([30.0, 9.0, 19.1], pairs=(2, 0, 1))
    found = higher([(a, b)])
    assert found.n == 3 and found.estimate == pytest.approx((1 + 0.9 + 1) / 3)
    assert found.word == "agrees"


def test_points_are_paired_by_their_place_and_a_level_stands_at_every_point():
    a = Series.of([[1.0, 2.0, 3.0], [1.1, 2.2, 3.1]], x=[0, 10, 20])
    b = Series.of([[9.0, 1.0], [9.0, 1.0]], x=[5, 10])
    assert higher([(a, b)], "every").of == 1
    level = Series.of([0.0, 0.05])
    assert (higher([(a, level)], "every").of, higher([(a, 0.5)], "every").of) == (3, 3)


def test_one_run_decides_nothing_and_says_how_far_it_lies():
    found = higher([(Series.of([0.9]), Series.of([0.2]))])
    assert (found.word, found.interval, found.n) == ("undecided", None, 1)
    assert str(found) == "undecided (+0.7, 1 run)"


def test_k_of_n_holds_by_partial_conjunction():
    good, bad, open_ = [1.0, 1.1, 0.9, 1.0, 1.05], [-1.0, -1.1, -0.9, -1.0, -1.05], [1.0, -1.0, 0.5, -0.5, 0.1]
    assert above_zero([good, good, bad], 2).word == "agrees"
    assert above_zero([good, good, bad]).word == "contradicts"
    assert above_zero([good, open_, open_], 2).word == "undecided"
    assert above_zero([good, bad, bad], 2).word == "contradicts"


def test_k_of_n_is_wrong_no_more_often_than_one_statement():
    def draw(rng: np.random.Generator) -> Answer:
        return above_zero([rng.normal(5.0, 1, 5), rng.normal(0, 1, 5), rng.normal(0, 1, 5)], 2)

    assert rates(draw)["agrees"] <= FALSE
    assert rates(lambda rng: above_zero(list(rng.normal(size=(4, 5))), 1))["agrees"] <= FALSE
    assert rates(lambda rng: above_zero(list(rng.normal(size=(4, 5)))))["contradicts"] <= FALSE


def test_an_order_holds_only_where_each_is_above_the_next():
    base = np.array([0.0, 1.0, 2.0, 3.0])
    first, second, third = (Series.of(base + step + 0.01 * base**2 * step) for step in (9.0, 5.0, 1.0))
    assert order([first, second, third]).word == "agrees"
    assert order([first, third, second]).word == "contradicts"


def test_a_rise_is_from_each_rows_first_to_its_last():
    ends = (np.array([0.0, 0.1, 0.2]), np.array([1.0, 1.2, 1.1]))
    curve = Series.of(np.ones((3, 4)), ends=ends)
    assert (rises(curve).word, falls(curve).word) == ("agrees", "contradicts")
    assert rises(curve).estimate == pytest.approx(1.0)


def test_slopes_are_those_of_least_squares_and_their_interval_covers_the_truth():
    rng = np.random.default_rng(2)
    x = np.array([0.0, 1.0, 3.0, 7.0])
    rows = 2 - 0.3 * x + rng.normal(size=(6, 4))
    found = slope(Series.of(rows, x=x), below=0.0)
    assert found.estimate == pytest.approx(np.mean([np.polyfit(x, row, 1)[0] for row in rows]))
    covered = 0
    for _ in range(TRIALS):
        low, high = slope(Series.of(-0.3 * x + rng.normal(size=(5, 4)), x=x), below=0.0).interval
        covered += low <= -0.3 <= high
    assert covered / TRIALS == pytest.approx(0.95, abs=0.02)
    assert slope(Series.of(-2 * x + 0.01 * rows, x=x), below=-1.0).word == "agrees"
    assert slope(Series.of(-2 * x + 0.01 * rows, x=x), above=-1.0).word == "contradicts"


def test_a_share_counts_rows_beyond_a_number():
    values = Series.of(np.repeat([0.1, 0.9], [80, 20]), counted="samples")
    found = share(values, counts_below=0.5, above=0.6)
    assert (found.word, found.estimate, found.n) == ("agrees", 0.8, 100)
    assert share(values, counts_above=0.5, above=0.6).word == "contradicts"
    assert share(values, counts_below=0.5, below=0.82).word == "undecided"


def test_within_needs_the_whole_interval_inside_and_is_seldom_wrong_at_its_edge():
    near = Series.of([0.0, 0.1, -0.1, 0.05, -0.05])
    assert within(near, 0.0, 1.0).word == "agrees"
    assert within(near, 3.0, 1.0).word == "contradicts"
    assert within(near, 1.0, 1.0).word == "undecided"
    found = rates(lambda rng: within(Series.of(rng.normal(1.0, 0.3, 8)), 0.0, 1.0))
    assert found["agrees"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / TRIALS)
    assert found["contradicts"] <= FALSE


# ---------------------------------------------------------------- as they are declared


def declared(**fields: object) -> Stated:
    return TypeAdapter(Stated).validate_python({"says": "so it is", **fields})


MEASURED = {
    "acc": {
        "a": Series.of([[1.0, 3.0], [1.1, 3.2], [0.9, 3.1]]),
        "b": Series.of([[0.5, 1.0], [0.6, 1.3], [0.4, 0.9]]),
        "c": Series.of([[0.1, 0.2], [0.2, 0.1], [0.15, 0.1]]),
    },
    "loss": {"a": Series.of([0.1, 0.2, 0.1]), "b": Series.of([3.0, 3.1, 3.3])},
}


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"rule": "higher", "a": "a", "b": "b", "at": "every"}, "agrees"),
        ({"rule": "lower", "a": "a", "b": "b"}, "contradicts"),
        ({"rule": "lower", "a": "a", "b": "b", "of": "loss"}, "agrees"),
        ({"rule": "higher", "a": "a", "b": ["b", "c"]}, "agrees"),
        ({"rule": "higher", "a": ["a", "c"], "b": "b", "at_least": 1}, "agrees"),
        ({"rule": "higher", "a": ["a", "c"], "b": "b"}, "contradicts"),
        ({"rule": "higher", "a": "a", "b": 10}, "contradicts"),
        ({"rule": "order", "a": ["a", "b", "c"]}, "agrees"),
        ({"rule": "rises", "a": "a"}, "agrees"),
        ({"rule": "falls", "a": "a"}, "contradicts"),
        ({"rule": "slope", "a": "a", "above": 0}, "agrees"),
        ({"rule": "share", "a": "a", "counts_above": 2, "above": 0.2}, "agrees"),
        ({"rule": "within", "a": "a", "b": 2.0, "d": 1}, "agrees"),
        ({"rule": "within", "a": "a", "b": "b", "d": 0.1}, "contradicts"),
    ],
)
def test_a_declared_statement_is_judged_by_its_rule(fields, word):
    assert answered(declared(**fields), MEASURED).word == word


def test_a_statement_about_what_is_not_stored_is_undecided_and_says_what():
    found = answered(declared(rule="higher", a="a", b="z"), MEASURED)
    assert str(found) == "undecided (nothing is stored of z)"
    assert answered(declared(rule="rises", a="a"), {}).word == "undecided"


@pytest.mark.parametrize(
    "fields",
    [
        {"rule": "highest", "a": "a"},
        {"rule": "higher", "a": "a"},
        {"rule": "higher", "a": "a", "b": "b", "at": "sometimes"},
        {"rule": "higher", "a": "a", "b": "b", "at_least": 2},
        {"rule": "slope", "a": "a", "above": 0, "below": 1},
        {"rule": "share", "a": "a", "above": 0.5},
        {"rule": "within", "a": "a", "b": "b", "d": 0},
        {"rule": "order", "a": ["a"]},
    ],
)
def test_a_wrong_declaration_is_refused(fields):
    with pytest.raises(ValidationError):
        declared(**fields)
