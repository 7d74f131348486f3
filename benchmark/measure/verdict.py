"""The names of verdicts, and the thresholds of the rule that gives them (`benchmark.measure.judgement`)."""

from __future__ import annotations

from typing import Final

EQUIVALENT: Final = "equivalent"
HIGHER: Final = "higher"
LOWER: Final = "lower"
CONSISTENT: Final = "consistent"
NOT_JUDGED: Final = "not judged"
INCOMPLETE: Final = "incomplete"
NOT_RUN: Final = "not run"
NO_DATA: Final = "no data"
NOT_IMPLEMENTED: Final = "not implemented"
QUOTED: Final = "quoted"
OUT_OF_MEMORY: Final = "out of memory"

JUDGED: Final = (EQUIVALENT, CONSISTENT, HIGHER, LOWER)
"""The verdicts that compare two numbers."""

UNJUDGED: Final = (NOT_JUDGED, INCOMPLETE, NOT_RUN, NO_DATA, NOT_IMPLEMENTED, QUOTED, OUT_OF_MEMORY)
"""What stands in the place of a verdict, and says why there is none."""

MARGIN: Final = 3.0
"""The margin of equivalence in points (per cent of ACC or NMI), fixed before any run it judges."""

EQUIVALENCE_LEVEL: Final = 0.90
"""The interval of this level must lie inside the margin for `equivalent`: two one-sided tests at 5 %."""

DIFFERENCE_LEVEL: Final = 0.95
"""The interval of this level must exclude 0 for `higher` and `lower`."""

MIN_SHARE: Final = 0.8
"""The share of the planned runs that must have entered for a verdict."""

MIN_RUNS: Final = 5
"""So many runs must have entered, or all where fewer are planned."""
