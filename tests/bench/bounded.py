"""A bounded part of ``tox -e bench`` that CI runs: ratios within one process that cannot be noise, beside their aims.

``python -m tests.bench.bounded`` prints them in at most a minute. It fails where a ratio is worse than twice its aim:
that is a fault of the code, not of a busy machine, as the two loops of a ratio take turns.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmark.execution.fits.threads import one_thread
from methods import DDC, DDCUCOT
from tests.bench.bench_refinement import BARE, SUITE, phase_of, samples, suite
from tests.bench.bench_steps import PlainTensorKernel, steps_of
from tests.bench.conftest import AFTER, RATIOS

SECONDS = 6.0
"""How long one ratio is measured, but for its first round."""

Call = Callable[[], object]


@dataclass(frozen=True)
class Measured:
    """A ratio of the fastest rounds, and its aim as `RATIOS` states it: ``<= 1.1`` or ``>= 7``."""

    label: str
    value: float
    aim: str

    @property
    def failed(self) -> bool:
        """Whether the ratio is worse than twice its aim.

        >>> [Measured("", value, "<= 1.1").failed for value in (2.1, 2.3)]
        [False, True]
        >>> [Measured("", value, ">= 7").failed for value in (3.6, 3.4)]
        [False, True]
        """
        sign, number = self.aim.split()
        return self.value > 2 * float(number) if sign == "<=" else self.value < float(number) / 2


def ratio(above: Call, below: Call, seconds: float = SECONDS) -> float:
    """Return how many times as long `above` takes as `below`: processor time of the fastest of rounds in turn."""
    calls = (above, below)
    for call in calls:
        call()
    fastest, until = [math.inf, math.inf], time.monotonic() + seconds
    while time.monotonic() < until or math.inf in fastest:
        for place, call in enumerate(calls):
            started = time.process_time()
            call()
            fastest[place] = min(fastest[place], time.process_time() - started)
    return fastest[0] / fastest[1]


def _refinement(what: str) -> tuple[Call, Call]:
    name, number, optimiser, parameters = SUITE[what]
    phase, context = phase_of(name, samples(), number, optimiser, **parameters)
    return suite(phase, context, samples()), BARE[what](samples())


PAIRS: dict[str, Callable[[], tuple[Call, Call]]] = {
    "test_refinement_steps[dec-suite]": lambda: _refinement("dec"),
    "test_refinement_steps[idec-suite]": lambda: _refinement("idec"),
    "test_refinement_steps[pretrain-suite]": lambda: _refinement("pretrain"),
    AFTER: lambda: (steps_of(DDCUCOT), steps_of(DDC)),
    "test_plain_eigh_step[ddc-uco-t]": lambda: (steps_of(PlainTensorKernel), steps_of(DDCUCOT)),
}
"""The calls behind a ratio of `RATIOS`, by the name of the benchmark in its numerator."""


def measured(name: str, seconds: float = SECONDS) -> Measured:
    """Measure the ratio whose numerator is the benchmark `name`."""
    declared = next(ratio for ratio in RATIOS if ratio.above == name and ratio.target)
    above, below = PAIRS[name]()
    return Measured(declared.label, ratio(above, below, seconds), declared.target)


def main() -> int:
    """Print all ratios; return 1 where one is worse than twice its aim."""
    failed = False
    with one_thread():
        for name in PAIRS:
            found = measured(name)
            failed |= found.failed
            worse = "   FAILED: worse than twice its aim" if found.failed else ""
            print(f"{found.label:50} {found.value:6.2f}   aim {found.aim}{worse}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
