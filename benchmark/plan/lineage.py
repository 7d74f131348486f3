"""Lineage: the run from whose weights another starts (its pre-training), as a specification of its own.

A child's specification is complete: it holds the parameters and phases of its parent too, so the parent follows from
it, and identity needs no further field.
"""

from __future__ import annotations

from benchmark.catalogue.methods import parent
from benchmark.spec import Protocol, RunSpec


def parent_of(spec: RunSpec) -> RunSpec | None:
    """Return the specification of the run that `spec` starts from; None where it starts from none.

    The parent has the child's data and replicate, those of its parameters that the parent's method knows, and those of
    its phases that the parent uses.
    """
    known = parent(spec.method, spec.params)
    if known is None:
        return None
    return RunSpec(
        method=known.method,
        params=known.params,
        data=spec.data,
        protocol=Protocol(phases={phase: spec.protocol.phases[phase] for phase in known.phases}),
        replicate=spec.replicate,
    )
