"""Runs cut short: the specification of a run as far as its first evaluations, and of an excerpt on fewer samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from benchmark.plan.lineage import parent_of
from benchmark.spec import Phase, RunSpec

SAMPLES: Final = 1000
"""On how many samples an excerpt trains, where batches leave it room."""

MOST_STEPS: Final = 100
"""After how many steps an excerpt is evaluated at the latest."""

RENEWING_STEPS: Final = 170
"""How long an excerpt goes on after pre-training: the papers renew targets every 160 steps at the latest."""


def beginning(spec: RunSpec) -> RunSpec:
    """Return the spec of the run as far as its first evaluation after training began; whole without phases.

    The phases of a parent stay whole, as the run starts where they end.
    """
    parent = parent_of(spec)
    whole = parent.protocol.phases if parent else {}
    cut = {name: phase for name, phase in spec.protocol.phases.items() if name not in whole}
    return shortened(spec, {name: min(phase.budget.amount, phase.evaluate_every) for name, phase in cut.items()})


def shortened(spec: RunSpec, amounts: Mapping[str, int]) -> RunSpec:
    """Return the spec of the run whose phases in `amounts` end after so many steps or epochs of their budget."""
    phases = dict(spec.protocol.phases)
    for name, amount in amounts.items():
        budget = phases[name].budget.model_copy(update={"amount": amount})
        phases[name] = phases[name].model_copy(update={"budget": budget})
    return spec.model_copy(update={"protocol": spec.protocol.model_copy(update={"phases": phases})})


def excerpt(spec: RunSpec, available: int) -> RunSpec:
    """Return a spec that leads through all the code of a run in little time, for two versions of the code to execute.

    It gives other numbers than the run. Samples are at most `SAMPLES` of the `available` ones (more where batches are
    large). Every phase ends with its first evaluation after training began, or after a bounded number of steps; what
    follows on pre-training goes on until what is renewed at intervals (such as targets) was renewed.
    """
    parent, phases = parent_of(spec), spec.protocol.phases
    own = set(phases) - set(parent.protocol.phases) if parent else set()
    wanted = max(SAMPLES, *(2 * phase.batch_size for phase in phases.values())) if phases else SAMPLES
    held = min(available, spec.data.samples or available)
    samples = min(held, wanted)
    data = spec.data.model_copy(update={"samples": samples if samples < held else spec.data.samples})
    cut = {name: _excerpt_of(phase, samples, RENEWING_STEPS if name in own else 1) for name, phase in phases.items()}
    return spec.model_copy(update={"data": data, "protocol": spec.protocol.model_copy(update={"phases": cut})})


def _excerpt_of(phase: Phase, samples: int, least: int) -> Phase:
    """Return a phase cut to its first evaluation, but not to fewer than `least` steps."""
    in_steps = phase.budget.unit == "steps"
    each = 1 if in_steps or phase.sampler == "full" else max(1, samples // phase.batch_size)
    first = min(phase.evaluate_every, max(1, MOST_STEPS // each))
    # Two epochs at least, as samples are shuffled anew for each.
    amount = min(phase.budget.amount, max(first, 1 if in_steps else 2, math.ceil(least / each)))
    budget = phase.budget.model_copy(update={"amount": amount})
    return phase.model_copy(update={"budget": budget, "evaluate_every": max(first, amount // 2)})
