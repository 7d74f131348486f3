"""What options mean: times as people write them."""

from __future__ import annotations

import pytest

from benchmark.cli.options import time_span
from benchmark.errors import UsageError


@pytest.mark.parametrize(("text", "seconds"), [
    ("90s", 90), ("20m", 1200), ("2h", 7200), ("7d", 604800), ("1.5h", 5400), ("5h30m", 19800), ("1d2h3m4s", 93784),
])  # fmt: skip
def test_a_time_is_numbers_with_units(text: str, seconds: float) -> None:
    assert time_span("--budget", text) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "soon", "5h 30m", "-5m", "5x", "1.h", "5h30"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"--budget .* is no time: write 90s, 20m, 5h30m or 7d"):
        time_span("--budget", text)
