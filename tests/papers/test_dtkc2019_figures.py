"""Figures of dtkc2019 that are computed or drawn: what they must show, and that their statements can fail."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.signal import convolve2d

from benchmark.analysis.figures import load_figures
from benchmark.figures.declared import NoNumbers, ShownImages
from benchmark.registry import DATASETS, load_plugins
from paper_tables.dtkc2019 import densities, patch_pairs, toys
from paper_tables.dtkc2019.figures import FIGURES

load_plugins()
COMPUTED = ["2", "4", "5", "6", "8", "9", "12", "13", "23", "24"]


@pytest.mark.parametrize("number", COMPUTED)
def test_a_computed_figure_agrees_with_the_message_of_the_published_one(number):
    (figure,) = [f for f in FIGURES if f.published == f"Figure {number}"]
    drawing = figure.draw(None)
    assert drawing.answers and {answer.word for _, answer in drawing.answers} == {"agrees"}


class OnlyDigits:
    """Numbers of a machine that has no data but those that come with scikit-learn."""

    def samples(self, column: str) -> ShownImages:
        if column != "digits":
            raise NoNumbers("no data.")
        data = DATASETS["digits"].load()
        return ShownImages("digits", data.x, data.y)


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.id)
def test_every_drawing_draws_and_describes_itself(figure):
    drawing = figure.draw(OnlyDigits())
    assert drawing.figure.axes and drawing.finding.endswith(".") and figure.alt and figure.message


def test_the_printed_matrices_are_the_convolutions_of_scipy_and_one_wrong_number_is_noticed(monkeypatch):
    for mode, matrix in toys.PRINTED.items():
        np.testing.assert_array_equal(convolve2d(toys.A, toys.B, mode=mode), matrix)
    wrong = {**toys.PRINTED, "valid": toys.PRINTED["valid"] + [[0, 0], [0, 1]]}
    monkeypatch.setattr(toys, "PRINTED", wrong)
    ((_, answer),) = toys.convolutions(None).answers
    assert answer.word == "contradicts"


def test_the_divergence_of_two_gaussians_is_that_of_the_integrals():
    """-ln of the integral of the product over the root of those of the squares, by quadrature."""

    def bell(x: float, mean: float, width: float) -> float:
        return float(np.exp(-0.5 * ((x - mean) / width) ** 2) / (width * np.sqrt(2 * np.pi)))

    for width in (0.2, 0.5, 1.0):
        ends = (-8.0, 10.0)
        points = {"points": [0.0, densities.MEANS], "limit": 200}
        cross = quad(lambda x, w=width: bell(x, 0.0, w) * bell(x, densities.MEANS, w), *ends, **points)[0]
        own = quad(lambda x, w=width: bell(x, 0.0, w) ** 2, *ends, **points)[0]
        assert densities.divergence(width) == pytest.approx(-np.log(cross / own), rel=1e-6)
    assert densities.divergence(0.2) == pytest.approx(10, abs=0.1)


def test_a_density_integrates_to_one_and_its_points_give_the_printed_width():
    points = densities.observations()
    at = np.linspace(-6, 6, 4001)
    whole, parts = densities.density(points, 0.15, at)
    assert np.trapezoid(whole, at) == pytest.approx(1)
    np.testing.assert_allclose(parts.sum(axis=0), whole)
    assert points.std(ddof=1) * (4 / 15) ** 0.2 == pytest.approx(0.338, abs=5e-4)
    assert points.std(ddof=1) == pytest.approx(0.440, abs=1e-3)


def test_other_observations_contradict_the_printed_width(monkeypatch):
    monkeypatch.setattr(densities, "observations", lambda: np.array([0.0, 1.0, 2.0, 3.0, 4.0]))
    answers = dict(densities.kernel_density(None).answers)
    assert answers["the rule of thumb gives .338"].word == "contradicts"


def test_all_thirty_nine_figures_of_the_thesis_are_declared():
    published = {figure.published for figure in load_figures("dtkc2019").values()}
    assert {f"Figure {number}" for number in range(1, 40)} <= published


@pytest.mark.parametrize("setting", list(patch_pairs.COLUMNS.values()))
@pytest.mark.parametrize("side", [28, 128])
def test_positions_of_figure_18_lie_in_the_image_in_the_order_of_the_text(setting, side):
    size, gap, jitter = setting
    if 3 * size + 2 * gap + 2 * jitter > side:
        pytest.skip("too small")
    middle, around = patch_pairs.corners(side, size, gap, jitter)
    assert around.min() >= 0 and (around + size).max() <= side
    assert around[2, 0] < middle[0] and around[2, 1] > middle[1]
    assert np.abs(around - middle).max() <= size + gap + jitter
