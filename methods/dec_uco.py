"""DEC with unsupervised companion objectives on tapped layers of its encoder (tkuco2024 section 6.5)."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from pydantic import Field
from torch import Tensor

from benchmark.registry import register_method
from benchmark.spec import Protocol
from benchmark.training import Batch, RunContext, Terms
from methods.dec import CONFIGURED, DEC, REFINEMENT, ConvolutionalParams, DECConv, DECNetwork, DECParams
from methods.parts.autoencoder import PRETRAINING
from methods.parts.companions import CompanionParams, NaiveCompanions, TensorCompanions, TensorParams
from methods.parts.networks import check_taps
from methods.parts.own_networks import chosen_network
from methods.parts.refinement import clustering_divergence, student_t


class CompanionsOfDEC(CompanionParams, DECParams):
    """Parameters of DEC and of its companions, whatever its network is; never stopped, as in the code of tkuco2024."""

    tolerance: float = Field(0.0, ge=0, lt=1)
    update_interval: int = Field(140, ge=1)


class DECUCOParams(CompanionsOfDEC):
    """Parameters of DEC and of its companions; the taps are those of the authors' code (protocols 1.1)."""

    taps: tuple[str, ...] = Field(("layer2", "layer3"), min_length=1)


class DECUCOTParams(TensorParams, CompanionsOfDEC):
    """Parameters of DEC, of its companions and of their tensor kernel."""

    taps: tuple[str, ...] = Field(("layer2", "layer3"), min_length=1)


P = TypeVar("P", bound=CompanionsOfDEC)


@register_method("dec-uco-n")
class DECUCON(NaiveCompanions, DEC[P]):
    """DEC-UCO_N: DEC with companions by the naive kernel, on the outputs of hidden layers."""

    Params: ClassVar[type[CompanionsOfDEC]] = DECUCOParams
    default_protocol = Protocol(phases={**PRETRAINING, "cluster": REFINEMENT.model_copy(update=CONFIGURED)})
    home = ("tkuco2024/table5", "reuters")

    def build(self, params: P, shape: tuple[int, ...], context: RunContext) -> DECNetwork:
        """Return the initialised network."""
        check_taps(params.network, chosen_network(params.network).tap_shapes(shape), params.taps)
        return super().build(params, shape, context)

    def terms(self, model: DECNetwork, batch: Batch, params: P) -> tuple[Terms, Tensor]:
        """Return `clustering` and one companion for each tapped layer, and the soft assignments (b, k)."""
        embedding, taps = model.encode(batch.x, params.taps)
        assignments = student_t(embedding, model.centres)
        terms = {"clustering": clustering_divergence(batch.given["targets"], assignments)}
        return {**terms, **self.companions(assignments, taps, params)}, assignments

    def weights(self, params: P) -> dict[str, float]:
        """Return the weight of the divergence, and lambda omega(b) for the companion of layer b."""
        return {**super().weights(params), **self.companion_weights(params)}


@register_method("dec-uco-t")
class DECUCOT(TensorCompanions, DECUCON[P]):
    """DEC-UCO_T: DEC with companions by the tensor kernel; on vectors that is a distance between lines (ledger K5)."""

    Params: ClassVar[type[CompanionsOfDEC]] = DECUCOTParams
    home = ("tkuco2024/table5", "reuters")


class DECConvUCOParams(ConvolutionalParams, CompanionsOfDEC):
    """Parameters of DEC-Conv and of its companions."""


class DECConvUCOTParams(TensorParams, ConvolutionalParams, CompanionsOfDEC):
    """Parameters of DEC-Conv, of its companions and of their tensor kernel."""


@register_method("dec-conv-uco-n")
class DECConvUCON(DECUCON[DECConvUCOParams]):
    """DEC-Conv-UCO_N: DEC with a convolutional auto-encoder and companions on the outputs of its blocks."""

    Params = DECConvUCOParams
    default_protocol = DECConv.default_protocol
    home = ("tkuco2024/table5", "mnist")


@register_method("dec-conv-uco-t")
class DECConvUCOT(DECUCOT[DECConvUCOTParams]):
    """DEC-Conv-UCO_T: DEC-Conv with companions by the tensor kernel."""

    Params = DECConvUCOTParams
    default_protocol = DECConv.default_protocol
    home = ("tkuco2024/table5", "mnist")
