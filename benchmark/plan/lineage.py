"""Lineage: the run from whose weights another starts (its pre-training), as a specification of its own.

A child's specification is complete: it holds the parameters and phases of its parent too, so the parent follows from
it, and identity needs no further field.
"""

from __future__ import annotations

from benchmark.registry import METHODS
from benchmark.spec import Protocol, RunSpec, validated


def parent_of(spec: RunSpec) -> RunSpec | None:
    """Return the specification of the run that `spec` starts from; None where it starts from none.

    The parent has the child's data and replicate, those of its parameters that the parent's method knows, and those of
    its phases that the parent uses.
    """
    method = METHODS[spec.method]
    params = validated(method.Params, spec.params, spec.method)
    if not method.pretrained_by:
        return None
    parent, known = METHODS[method.pretrained_by], method.pretraining_params(params)
    phases = {phase: spec.protocol.phases[phase] for phase in parent.phases_used(known)}
    return RunSpec(
        method=method.pretrained_by,
        params=known.canonical(),
        data=spec.data,
        protocol=Protocol(phases=phases),
        replicate=spec.replicate,
    )
