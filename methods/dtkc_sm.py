"""DDC with companions by classification."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor

from benchmark.registry import register_method
from benchmark.spec import Protocol
from benchmark.training import Batch, RunContext, Terms
from methods.ddc import DDC, THESIS_PHASE, DDCNetwork, DDCParams, Output
from methods.parts.companion_classifiers import bernoulli_divergence, classifiers
from methods.parts.networks import check_taps, initialise


class DTKCSMParams(DDCParams):
    """Parameters of DDC and of the companions by classification; the ledger entry of each is named in brackets.

    `companion_weight` is lambda; `taps` are the layers with a companion. `reduction` is how a companion is taken over
    the batch, and `detach_assignments` stops its gradient at the assignments [T17].
    """

    initialisation: Literal["glorot", "he", "he-glorot"] = "he-glorot"
    companion_weight: float = Field(0.01, ge=0)
    taps: tuple[str, ...] = Field(("block1_pool", "block2_pool"), min_length=1)
    reduction: Literal["sum", "mean"] = "sum"
    detach_assignments: bool = False


class DTKCSMNetwork(DDCNetwork):
    """The network of DDC, and a softmax layer on each tapped layer."""

    def __init__(self, params: DTKCSMParams, shape: tuple[int, ...]) -> None:
        super().__init__(params, shape)
        check_taps(params.network, self.shapes, params.taps)
        self.classifiers = classifiers([math.prod(self.shapes[tap]) for tap in params.taps], params.n_clusters)

    def companions(self, taps: list[Tensor]) -> list[Tensor]:
        """Return the soft assignments (b, k) of every companion, from the outputs of the tapped layers."""
        return [classifier(tap) for classifier, tap in zip(self.classifiers, taps, strict=True)]


@register_method("dtkc-sm")
class DTKCSM(DDC[DTKCSMParams]):
    """DTKC-SM (dtkc2019 section 17.8): DDC whose companions are classifiers, without any tensor kernel.

    A softmax layer on each tapped layer shall agree with the assignments of the last one: `classifier_1`, ... are sums
    of Bernoulli divergences (Eq. 41 adds them with lambda). The softmax layers train with everything else.
    """

    Params = DTKCSMParams
    default_protocol = Protocol(phases={"train": THESIS_PHASE})
    home = ("dtkc2019/table8", "mnist")

    def build(self, params: DTKCSMParams, shape: tuple[int, ...], context: RunContext) -> DTKCSMNetwork:
        """Return the initialised network."""
        model = DTKCSMNetwork(params, shape)
        initialise(model, params.initialisation, context.streams)
        return model

    def terms(self, model: DDCNetwork, output: Output, batch: Batch, params: DTKCSMParams) -> Terms:
        """Return the terms of DDC, and one divergence for each tapped layer."""
        assert isinstance(model, DTKCSMNetwork)
        assignments = output.assignments.detach() if params.detach_assignments else output.assignments
        found = {
            f"classifier_{number}": bernoulli_divergence(assignments, companion, params.reduction)
            for number, companion in enumerate(model.companions(output.taps), start=1)
        }
        return {**super().terms(model, output, batch, params), **found}

    def weights(self, params: DTKCSMParams) -> dict[str, float]:
        """Return the weights of DDC, and lambda for every companion (Eq. 41)."""
        companions = {f"classifier_{number + 1}": params.companion_weight for number in range(len(params.taps))}
        return {**super().weights(params), **companions}

    def tapped(self, params: DTKCSMParams) -> tuple[str, ...]:
        """Return the tapped layers."""
        return tuple(params.taps)
