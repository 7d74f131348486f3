"""Runs cut short: the specification of a run as far as its first evaluations."""

from __future__ import annotations

from collections.abc import Mapping

from benchmark.plan.lineage import parent_of
from benchmark.spec import RunSpec


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
