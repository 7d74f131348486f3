"""The bounded part of the benchmarks that CI runs: its ratios are declared ones, and it fails beyond twice an aim."""

from __future__ import annotations

import time

import pytest

from tests.bench.bounded import PAIRS, Measured, measured, ratio
from tests.bench.conftest import RATIOS


def test_each_ratio_is_one_that_the_benchmarks_declare_with_an_aim() -> None:
    declared = {one.above for one in RATIOS if one.target}
    assert set(PAIRS) <= declared


@pytest.mark.parametrize(("value", "aim", "failed"), [
    (2.1, "<= 1.1", False),
    (2.3, "<= 1.1", True),
    (3.6, ">= 7", False),
    (3.4, ">= 7", True),
])  # fmt: skip
def test_a_ratio_fails_beyond_twice_its_aim(value: float, aim: str, failed: bool) -> None:
    assert Measured("", value, aim).failed is failed


def test_a_ratio_is_that_of_processor_time() -> None:
    def work(seconds: float) -> None:
        until = time.process_time() + seconds
        while time.process_time() < until:
            pass

    assert ratio(lambda: work(0.03), lambda: work(0.01), seconds=0.2) == pytest.approx(3.0, rel=0.1)


def test_a_ratio_of_refinement_is_measured() -> None:
    found = measured("test_refinement_steps[pretrain-suite]", seconds=0.0)
    assert 0.2 < found.value < 5.0 and found.aim == "<= 1.1"
