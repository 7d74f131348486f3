"""Deep divergence-based clustering, and its auto-encoder variant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from benchmark.registry import register_method
from benchmark.spec import Budget, Clip, Optimiser, Phase, Protocol
from benchmark.training import Batch, ClusterParams, DeepClusterer, Objective, RunContext, Terms, TrainingPhase
from methods.parts.companions import KernelParams, TensorCompanions, TensorParams, width_kernel
from methods.parts.divergence import cauchy_schwarz, corner_weights, orthogonality
from methods.parts.kernels import squared_distances
from methods.parts.networks import BatchNorm, ClusteringHead, check_taps, initialise
from methods.parts.own_networks import NetworkChoice, chosen_network


class DDCParams(KernelParams, ClusterParams):
    """Parameters of DDC; the ledger entry that each one carries is named in brackets.

    `network` is a registered network and `initialisation` its scheme [C4]; "he-glorot" is He's, with Glorot's in the
    layers before a softmax. For a network of one's own see `methods.parts.own_networks.NetworkChoice`. `orthogonality`
    [K9] is how that loss is taken; `batch_norm_momentum` and `batch_norm_epsilon` are Keras' defaults [D1]. `precision`
    is that of the convolutions [D10]: with "bf16" their inputs and weights are rounded to bfloat16, with "tf32" to
    TF32, which CUDA devices alone have; all else stays float32.
    """

    network: NetworkChoice = "cnn-small"
    initialisation: Literal["glorot", "he", "he-glorot"] = "glorot"
    batch_norm_momentum: float = Field(0.99, ge=0, lt=1)
    batch_norm_epsilon: float = Field(1e-3, gt=0)
    orthogonality: Literal["mean", "sum"] = "mean"
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    introduced: ClassVar[Mapping[str, Any]] = {"precision": "float32"}


@dataclass(frozen=True)
class Output:
    """What the network gives for a batch: assignments alpha (b, k), hidden h (b, d), the last output, and the taps."""

    assignments: Tensor
    hidden: Tensor
    features: Tensor
    taps: list[Tensor] = field(default_factory=list)


class DDCNetwork(nn.Module):
    """A backbone with a clustering head, and a decoder where one is asked for."""

    decoder: nn.Module | None

    def __init__(self, params: DDCParams, shape: tuple[int, ...], decoder: bool = False) -> None:
        super().__init__()
        network = chosen_network(params.network)
        norm = BatchNorm(params.batch_norm_momentum, params.batch_norm_epsilon)
        self.shapes = network.tap_shapes(shape)
        self.backbone = network.backbone(shape, norm)
        features = math.prod(list(self.shapes.values())[-1])
        self.head = ClusteringHead(features, network.hidden, params.n_clusters, norm)
        self.decoder = network.decoder(shape, norm) if decoder else None
        self.bf16 = params.precision == "bf16"

    def forward(self, x: Tensor, taps: tuple[str, ...] = ()) -> Output:
        """Map samples (b, ...) to an `Output`."""
        with self.convolutions(x):
            features, tapped = self.backbone(x, taps)
        features, tapped = features.to(x.dtype), [tap.to(x.dtype) for tap in tapped]
        hidden, assignments = self.head(features)
        return Output(assignments, hidden, features, tapped)

    def decode(self, features: Tensor) -> Tensor:
        """Map the last feature maps to reconstructions of the samples, in the shape of these."""
        assert self.decoder is not None
        with self.convolutions(features):
            decoded: Tensor = self.decoder(features)
        return decoded.to(features.dtype)

    def convolutions(self, x: Tensor) -> AbstractContextManager[Any]:
        """Return the context in which convolutions on the device of `x` have the declared precision."""
        return torch.autocast(x.device.type, torch.bfloat16) if self.bf16 else nullcontext()


P = TypeVar("P", bound=DDCParams)

THESIS_PHASE = Phase(
    optimiser=Optimiser(lr=1e-4),
    drop_last=False,
    clip=Clip(kind="tensor"),
    budget=Budget(amount=100),
    evaluate_every=1,
    patience=30,
)
"""How dtkc2019 trains its own models (section 15.3), pre-training included: the paper reading."""


@register_method("ddc")
class DDC(DeepClusterer[P, DDCNetwork]):
    """Deep divergence-based clustering (Kampffmeyer et al., 2019), as tkuco2024 section 3 states it.

    Minimises three terms: `separation` (Eq. 6), the Cauchy-Schwarz divergence between clusters in the hidden space;
    `orthogonality` (Eq. 7) of the assignments; and `simplex` (Eq. 8), the divergence with assignments weighted by
    their closeness to the corners of the simplex. Defaults are the paper reading.
    """

    Params = DDCParams
    default_protocol = Protocol(phases={"train": Phase(clip=Clip(kind="tensor"))})
    home = ("tkuco2024/table2", "mnist")
    taps: tuple[str, ...] = ()

    def terms(self, model: DDCNetwork, output: Output, batch: Batch, params: P) -> Terms:
        """Return the unweighted loss terms of a batch."""
        kernel = width_kernel(squared_distances(output.hidden, gradient=params.distance_gradient), params)
        corners = corner_weights(output.assignments)
        divergence = partial(cauchy_schwarz, factor=params.divergence_factor, epsilon=params.epsilon)
        return {
            "separation": divergence(output.assignments, kernel),
            "orthogonality": orthogonality(output.assignments, reduction=params.orthogonality),
            "simplex": divergence(corners, kernel),
        }

    def weights(self, params: P) -> dict[str, float]:
        """Return the weight of each term in the total loss."""
        return {"separation": 1.0, "orthogonality": 1.0, "simplex": 1.0}

    def tapped(self, params: P) -> tuple[str, ...]:
        """Return the layers whose outputs the losses need."""
        return ()

    def build(self, params: P, shape: tuple[int, ...], context: RunContext) -> DDCNetwork:
        """Return the initialised network."""
        model = DDCNetwork(params, shape, decoder="reconstruction" in self.weights(params))
        check_taps(params.network, model.shapes, self.tapped(params))
        initialise(model, params.initialisation, context.streams)
        return model

    def phases(self, model: DDCNetwork, params: P, x: Tensor, context: RunContext) -> list[TrainingPhase]:
        """Return the one phase, `train`: all terms, all parameters."""

        def forward(model: DDCNetwork, batch: Batch) -> tuple[Terms, Tensor]:
            output = self.output(model, batch, params)
            return self.terms(model, output, batch, params), output.assignments

        objective = Objective(list(model.parameters()), self.weights(params))
        return [TrainingPhase("train", context.protocol.phases["train"], model, [objective], forward, steady=True)]

    def output(self, model: DDCNetwork, batch: Batch, params: P, taps: tuple[str, ...] | None = None) -> Output:
        """Return what the network gives for a batch, with the outputs of `taps`, by default the tapped layers."""
        output: Output = model(batch.x, self.tapped(params) if taps is None else taps)
        return output

    def assign(self, model: DDCNetwork, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the assignments and the hidden representations of a batch."""
        output = model(x)
        return output.assignments, output.hidden

    def cluster_layer(self, model: DDCNetwork) -> nn.Module:
        """Return the layer whose outputs are the inputs of the softmax, which saliency starts from."""
        return model.head.output

    def block_kernels(self, model: DDCNetwork, x: Tensor) -> list[Tensor]:
        """Return the tensor kernel (n, n) on the output of each block for samples (n, ...), as companions take it.

        Whether or not the model has companions: it is what shows what they do.
        """
        params = self.checked_params()
        taps = tuple(name for name in model.shapes if name.endswith("pool")) or tuple(model.shapes)
        known = {name: value for name, value in params if name in TensorParams.model_fields}
        whole = TensorParams(**(known | {"taps": taps}))
        outputs = self.output(model, Batch(x, torch.arange(len(x), device=x.device)), params, taps).taps
        return [TensorCompanions().block_kernel(tap, whole) for tap in outputs]


class DDCAEParams(DDCParams):
    """Parameters of DDC-AE: the weight of the mean squared reconstruction error [C9]."""

    reconstruction_weight: float = Field(0.1, ge=0)


@register_method("ddc-ae")
class DDCAE(DDC[DDCAEParams]):
    """DDC with a mirrored decoder and a reconstruction loss (tkuco2024 section 6.1; uco2021 section 3.1)."""

    Params = DDCAEParams
    home = ("tkuco2024/table2", "mnist")

    def terms(self, model: DDCNetwork, output: Output, batch: Batch, params: DDCAEParams) -> Terms:
        """Return the terms of DDC and `reconstruction`, the mean squared error over all values."""
        decoded = model.decode(output.features)
        terms = super().terms(model, output, batch, params)
        return {**terms, "reconstruction": torch.nn.functional.mse_loss(decoded, batch.x)}

    def weights(self, params: DDCAEParams) -> dict[str, float]:
        """Return the weights of DDC and of the reconstruction."""
        return {**super().weights(params), "reconstruction": params.reconstruction_weight}
