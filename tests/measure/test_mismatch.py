"""Formulas of objective function mismatch, against closed forms, NumPy and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from benchmark.measure import drift, ofm, pair_drifts, purity, r_ofm
from benchmark.measure.mismatch import NotMeasured, calinski_harabasz, cosine, davies_bouldin, gram_entries

RNG = np.random.default_rng(7)
GRADIENTS = {name: RNG.standard_normal(50) for name in ("separation", "simplex", "companion_1", "companion_2")}
WEIGHTS = {"separation": 1.0, "simplex": 1.0, "companion_1": 0.01, "companion_2": 0.1}
RECORDED = gram_entries(GRADIENTS, WEIGHTS)
LABELS = np.repeat([0, 1, 2], [20, 30, 10])
SAMPLES = RNG.standard_normal((60, 4)) + 3 * LABELS[:, None]


@pytest.mark.parametrize(("angle", "expected"), [(0, 0.0), (60, 0.25), (90, 0.5), (180, 1.0)])
def test_ofm_maps_agreement_to_0_and_contradiction_to_1(angle, expected):
    turned = [math.cos(math.radians(angle)), math.sin(math.radians(angle))]
    assert ofm(cosine([2.0, 0.0], turned)) == pytest.approx(expected, abs=1e-12)


def test_the_cosine_with_a_zero_gradient_is_not_a_number():
    assert math.isnan(cosine([0.0, 0.0], [1.0, 0.0]))


def test_drift_from_inner_products_is_the_cosine_of_the_weighted_sums():
    main = GRADIENTS["separation"] + GRADIENTS["simplex"]
    auxiliary = 0.01 * GRADIENTS["companion_1"] + 0.1 * GRADIENTS["companion_2"]
    expected = main @ auxiliary / (np.linalg.norm(main) * np.linalg.norm(auxiliary))
    assert drift(RECORDED, ["companion_*"]) == pytest.approx(expected, rel=1e-12)


@settings(deadline=None)
@given(scale=st.floats(1e-6, 1e6))
def test_drift_does_not_see_the_scale_of_the_auxiliary_loss(scale):
    """Which is the first objection of tkuco2024 section 5.1 to it."""
    scaled = WEIGHTS | {name: scale * WEIGHTS[name] for name in ("companion_1", "companion_2")}
    recorded = gram_entries(GRADIENTS, scaled)
    assert drift(recorded, ["companion_*"]) == pytest.approx(drift(RECORDED, ["companion_*"]), rel=1e-9)


def test_auxiliary_terms_without_weight_still_have_a_drift():
    recorded = gram_entries(GRADIENTS, WEIGHTS | {"companion_1": 0.0, "companion_2": 0.0})
    main = GRADIENTS["separation"] + GRADIENTS["simplex"]
    expected = cosine(main, GRADIENTS["companion_1"] + GRADIENTS["companion_2"])
    assert drift(recorded, ["companion_*"]) == pytest.approx(expected, rel=1e-12)


def test_every_pair_of_terms_has_a_drift():
    found = pair_drifts(RECORDED)
    assert len(found) == 6
    for (a, b), value in found.items():
        assert value == pytest.approx(np.corrcoef([*GRADIENTS[a], 0], [*GRADIENTS[b], 0])[0, 1], abs=0.3)
        assert value == pytest.approx(cosine(GRADIENTS[a], GRADIENTS[b]), rel=1e-12)


def test_what_cannot_be_compared_says_so():
    with pytest.raises(NotMeasured, match="history has no drift: rerun"):
        drift({"acc": 0.5}, ["companion_*"])
    with pytest.raises(NotMeasured, match="no clustering and auxiliary terms"):
        drift(RECORDED, ["reconstruction"])


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_r_ofm_finds_a_polynomial_exactly(degree):
    a = np.linspace(0.2, 1.4, 30)
    coefficients = [0.9, -0.7, 0.3, 0.1][: degree + 1]
    p = sum(c * a**i for i, c in enumerate(coefficients))
    slope = np.mean(sum(i * c * a ** (i - 1) for i, c in enumerate(coefficients) if i))
    found = r_ofm(a, p, degree)
    assert found.slope == pytest.approx(slope, rel=1e-8)
    assert found.r2 == pytest.approx(1.0) and found.ratio == pytest.approx(0.0, abs=1e-9)
    assert found.points == 30


def test_r_ofm_agrees_with_numpy_s_least_squares_on_noise():
    a, p = RNG.uniform(0.9, 1.0, 40), RNG.uniform(0.2, 0.9, 40)
    beta = np.polynomial.Polynomial.fit(a, p, 2)
    residual = ((p - beta(a)) ** 2).sum() / ((p - p.mean()) ** 2).sum()
    found = r_ofm(a, p)
    assert found.slope == pytest.approx(beta.deriv()(a).mean(), rel=1e-8)
    assert found.ratio == pytest.approx(residual, rel=1e-10)
    assert found.r2 == pytest.approx(1 - residual, rel=1e-10)


def test_a_falling_loss_with_rising_accuracy_has_a_negative_slope():
    loss = np.linspace(1.0, 0.1, 20)
    assert r_ofm(loss, 1 - loss).slope == pytest.approx(-1.0)


@settings(deadline=None)
@given(shift=st.floats(-100, 100), unit=st.floats(0.01, 100))
def test_the_slope_scales_with_the_unit_of_the_loss_and_r2_does_not(shift, unit):
    a, p = np.linspace(0, 1, 12), np.sin(np.linspace(0, 2, 12))
    first, second = r_ofm(a, p), r_ofm(unit * a + shift, p)
    assert second.slope * unit == pytest.approx(first.slope, rel=1e-5)
    assert second.r2 == pytest.approx(first.r2, rel=1e-6)


@pytest.mark.parametrize(
    ("a", "p", "why"),
    [
        ([1.0, 2.0, 3.0], [0.1, 0.2, 0.3], "3 evaluations are too few"),
        ([1.0] * 9, np.arange(9) / 9, "never changes"),
        (np.arange(9), [0.5] * 9, "never changes"),
        ([1.0] * 5 + [2.0] * 4, np.arange(9) / 9, "2 different losses are too few"),
        ([0.3, 0.1 + 0.2, 0.5] * 3, np.arange(9) / 9, "2 different losses are too few"),
        ([math.nan, *range(8)], np.arange(9) / 9, "not finite"),
    ],
)
def test_a_regression_that_cannot_be_says_why(a, p, why):
    with pytest.raises(NotMeasured, match=why):
        r_ofm(a, p)


def test_validity_indices_equal_scikit_learn_s():
    assert calinski_harabasz(SAMPLES, LABELS) == pytest.approx(metrics.calinski_harabasz_score(SAMPLES, LABELS))
    assert davies_bouldin(SAMPLES, LABELS) == pytest.approx(metrics.davies_bouldin_score(SAMPLES, LABELS))


def test_the_thesis_s_calinski_harabasz_takes_distances_unsquared():
    """Two clusters on a line, by hand: centres at 0 and 10, spread 1, overall centre at 5."""
    x, labels = [[-1.0], [1.0], [9.0], [11.0]], [0, 0, 1, 1]
    assert calinski_harabasz(x, labels, squared=False) == pytest.approx((4 - 2) / (2 - 1) * (2 * 5 + 2 * 5) / 4)
    assert calinski_harabasz(x, labels) == pytest.approx((4 - 2) / (2 - 1) * (2 * 25 + 2 * 25) / 4)


def test_one_cluster_has_no_validity_index():
    assert math.isnan(calinski_harabasz(SAMPLES, np.zeros(60)))
    assert math.isnan(davies_bouldin(SAMPLES, np.zeros(60)))


def test_purity_is_the_share_of_points_whose_nearest_other_point_is_of_their_class():
    points = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 0.0], [5.2, 0.0], [5.3, 0.0]])
    assert purity(points, np.array([0, 0, 1, 1, 1])) == 1.0
    assert purity(points, np.array([0, 1, 1, 1, 0])) == pytest.approx(1 / 5)
