"""DDC and DTKC that start from a network trained by context prediction."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from benchmark.registry import register_method
from benchmark.spec import Protocol
from benchmark.training import RunContext
from methods.context_prediction import PatchParams
from methods.ddc import DDC, THESIS_PHASE, DDCNetwork, DDCParams, Output
from methods.ddc_uco import DDCUCOT, TensorKernelParams
from methods.parts.context_networks import SoftmaxLayer, TellsPositions
from methods.parts.networks import BatchNorm, ClusteringHead, check_taps, initialise, network_named

PROTOCOL = Protocol(phases={"pretext": THESIS_PHASE, "train": THESIS_PHASE})


class TransferParams(PatchParams):
    """Parameters of a start from context prediction; the ledger entry of each is named in brackets.

    `transfer` is what is taken over [T2]: all layers before the pretext's own, the fully connected one as a
    convolution whose outputs are averaged over the image; or the convolutions of the backbone alone, below a new head.
    """

    initialisation: Literal["glorot", "he", "he-glorot"] = "he-glorot"
    pretext_starts: int = Field(20, ge=1)
    transfer: Literal["convolutional-fc", "convolutions"] = "convolutional-fc"


class DDCSSParams(TransferParams, DDCParams):
    """Parameters of DDC and of its pre-training."""


class DTKCSSParams(TransferParams, TensorKernelParams):
    """Parameters of DTKC and of its pre-training."""


class TransferNetwork(TellsPositions, DDCNetwork):  # type: ignore[misc]
    """A network that has learned to tell positions, with a softmax layer to cluster whole images."""

    def __init__(self, params: Any, shape: tuple[int, ...]) -> None:
        nn.Module.__init__(self)
        norm = BatchNorm(params.batch_norm_momentum, params.batch_norm_epsilon)
        declared = network_named(params.network)
        self.shapes = declared.tap_shapes(shape)
        self.add_pretext(params.network, shape, params.patch, norm)
        self.decoder, self.bf16 = None, params.precision == "bf16"
        self.whole: nn.Module | None = None
        if params.transfer == "convolutions":
            features = math.prod(list(self.shapes.values())[-1])
            self.whole = ClusteringHead(features, declared.hidden, params.n_clusters, norm)
        else:
            self.last = SoftmaxLayer(declared.hidden, params.n_clusters)

    def forward(self, x: Tensor, taps: tuple[str, ...] = ()) -> Output:
        """Map images (b, c, h, w) to an `Output`."""
        with self.convolutions(x):
            features, tapped = self.backbone(x, taps)
        features, tapped = features.to(x.dtype), [tap.to(x.dtype) for tap in tapped]
        if self.whole is not None:
            hidden, assignments = self.whole(features)
        else:
            hidden = self.patch.image(features)
            assignments = self.last(hidden)
        return Output(assignments, hidden, features, tapped)


class Transferred:
    """Starts a model of the DDC family from context prediction (dtkc2019 sections 9.5.2, 15.3.1, 17.7)."""

    pretrained_by = "context-prediction"
    default_protocol = PROTOCOL

    def build(self, params: Any, shape: tuple[int, ...], context: RunContext) -> DDCNetwork:
        """Return the initialised network, before it has taken over any weights."""
        model = TransferNetwork(params, shape)
        check_taps(params.network, model.shapes, self.tapped(params))  # type: ignore[attr-defined]
        initialise(model, params.initialisation, context.streams)
        return model

    def cluster_layer(self, model: Any) -> nn.Module:
        """Return the layer whose outputs are the inputs of the softmax, which saliency starts from."""
        head = model.last if model.whole is None else model.whole
        layer: nn.Module = head.get_submodule("output")
        return layer


@register_method("ddc-ss")
class DDCSS(Transferred, DDC[DDCSSParams]):
    """DDC-SS: DDC that starts from context prediction, and trains all of it on (dtkc2019 section 15.3.1)."""

    Params = DDCSSParams
    home = ("dtkc2019/table4", "mnist")


@register_method("dtkc-ss")
class DTKCSS(Transferred, DDCUCOT):
    """DTKC-SS: DDC with tensor kernel companions that starts from context prediction (dtkc2019 section 15.3.1)."""

    Params = DTKCSSParams
    home = ("dtkc2019/table4", "mnist")
