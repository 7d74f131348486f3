"""DEC* and IDEC*: refinement of clusters from the pre-training of DynAE, without augmentation."""

from __future__ import annotations

from typing import Literal, cast

from pydantic import Field
from torch import Tensor, nn

from benchmark.registry import register_method
from benchmark.spec import Budget, Optimiser, Phase, Protocol
from benchmark.training import RunContext
from methods.acai import PRETRAINING
from methods.dec import DEC, IDEC, DECNetwork, DECParams, IDECParams
from methods.parts.autoencoder import squared_error
from methods.parts.dynamic.interpolation import ACAINetwork, ACAIParams
from methods.parts.networks import initialise
from methods.parts.refinement import clustering_divergence, student_t, target_distribution

CLUSTERING = Phase(
    optimiser=Optimiser(name="sgd", lr=0.001, momentum=0.9),
    batch_size=256,
    sampler="fixed",
    drop_last=False,
    budget=Budget(unit="steps", amount=20_000),
    evaluate_every=140,
    keep="last",
)
"""The optimiser of DynAE, for all (dynae2022 section 5.2.3 says so for DC*)."""


class StarNetwork(DECNetwork, ACAINetwork):
    """The auto-encoder and critic of the pre-training, with centres (k, e)."""


class DECStarParams(ACAIParams, DECParams):
    """Parameters of the pre-training and of DEC."""

    update_interval: int = Field(140, ge=1)


@register_method("dec-star")
class DECStar(DEC[DECStarParams]):
    """DEC*: DEC from the pre-training of DynAE (dynae2022 section 5.2.1)."""

    Params = DECStarParams
    home = ("dynae2022/table3", "mnist-full")
    default_protocol = Protocol(phases={"pretrain": PRETRAINING, "cluster": CLUSTERING})
    pretrained_by = "acai"

    def build(self, params: DECStarParams, shape: tuple[int, ...], context: RunContext) -> DECNetwork:
        """Return the initialised network."""
        model = StarNetwork(params, shape)
        initialise(model, params.initialisation, context.streams)
        return model

    def mismatch_terms(self, model: DECNetwork, x: Tensor, clusters: Tensor) -> dict[str, Tensor]:
        """Return the losses that feature randomness compares; there is no drift, as there is one loss (ledger Y19)."""
        return {**(terms := divergences(model, x, clusters)), "whole": terms["pseudo"]}


class IDECStarParams(ACAIParams, IDECParams):
    """Parameters of the pre-training and of IDEC; gamma is .01, the best of Figures 13 to 16 [Y21]."""

    clustering_weight: float = Field(0.01, ge=0)
    reconstruction: Literal["sum", "mean"] = "mean"


@register_method("idec-star")
class IDECStar(IDEC[IDECStarParams]):
    """IDEC*: IDEC from the pre-training of DynAE (dynae2022 section 5.2.1)."""

    Params = IDECStarParams
    home = ("dynae2022/table3", "mnist-full")
    default_protocol = DECStar.default_protocol
    pretrained_by = "acai"

    def build(self, params: IDECStarParams, shape: tuple[int, ...], context: RunContext) -> DECNetwork:
        """Return the initialised network."""
        model = StarNetwork(params, shape)
        initialise(model, params.initialisation, context.streams)
        return model

    def trained(self, model: DECNetwork) -> list[nn.Parameter]:
        """Return what refinement trains: the auto-encoder and the centres, but not the critic."""
        return [*cast(StarNetwork, model).autoencoder(), model.centres]

    def mismatch_terms(self, model: DECNetwork, x: Tensor, clusters: Tensor) -> dict[str, Tensor]:
        """Return the losses that feature randomness and drift compare (ledger Y19)."""
        params = self.checked_params()
        terms = divergences(model, x, clusters)
        error = squared_error(model.decode(model.encode(x)[0]), x, params.reconstruction)
        whole = params.clustering_weight * terms["pseudo"] + params.reconstruction_weight * error
        return {**terms, "auxiliary": error, "whole": whole}


def divergences(model: DECNetwork, x: Tensor, clusters: Tensor) -> dict[str, Tensor]:
    """Return the divergence of the assignments of `x` from their targets, and from `clusters` (n,) in their place."""
    soft = student_t(model.encode(x)[0], model.centres)
    true = nn.functional.one_hot(clusters, soft.shape[1]).to(soft.dtype)
    targets = target_distribution(soft.detach())
    return {"pseudo": clustering_divergence(targets, soft), "true": clustering_divergence(true, soft)}
