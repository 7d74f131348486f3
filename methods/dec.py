"""Deep embedded clustering and its relatives: pre-training, then refinement of clusters by their own targets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from benchmark.registry import register_method
from benchmark.spec import Budget, Clip, Optimiser, Phase, Protocol, batches_per_epoch
from benchmark.training import (
    Batch,
    Carry,
    DeepClusterer,
    Hook,
    Objective,
    Outcome,
    PhaseResult,
    RunContext,
    Terms,
    TrainingPhase,
)
from methods.parts.autoencoder import END_TO_END, PRETRAINING, Autoencoder, AutoencoderParams, squared_error
from methods.parts.networks import initialise
from methods.parts.own_networks import NetworkChoice
from methods.parts.refinement import Targets, clustering_divergence, kmeans_start, student_t

REFINEMENT = Phase(
    optimiser=Optimiser(name="sgd", lr=0.01, momentum=0.9),
    batch_size=256,
    sampler="fixed",
    drop_last=False,
    budget=Budget(unit="steps", amount=20_000),
    evaluate_every=274,
    keep="last",
)
"""Refinement as idec2017 has it for DEC on MNIST."""

CONFIGURED = {
    "optimiser": REFINEMENT.optimiser.model_copy(update={"name": "adam", "lr": 1e-3}),
    "sampler": "shuffled",
    "clip": Clip(kind="tensor"),
    "budget": Budget(unit="epochs", amount=400),
    "evaluate_every": 5,
    "keep": "best",
}
"""What tkuco2024 has in its place for all models of its Table 5."""

FORWARD = 1024
"""How many samples are assigned at once when targets are renewed."""


class DECParams(AutoencoderParams):
    """Parameters of DEC; the ledger entry of each is named in brackets.

    Targets are renewed every `update_interval` steps or epochs, `update_unit` [I5, I6]. Refinement stops when less than
    the share `tolerance` of the labels changed from one renewal to the next; 0 never stops it.
    """

    update_interval: int = Field(160, ge=1)
    update_unit: Literal["steps", "epochs"] = "steps"
    tolerance: float = Field(0.001, ge=0, lt=1)


class DECNetwork(Autoencoder):
    """An auto-encoder with cluster centres (k, d) in its embedding."""

    def __init__(self, params: DECParams, shape: tuple[int, ...]) -> None:
        super().__init__(params, shape)
        self.centres = nn.Parameter(torch.zeros(params.n_clusters, params.embedding))


P = TypeVar("P", bound=DECParams)


@register_method("dec")
class DEC(DeepClusterer[P, DECNetwork]):
    """Deep embedded clustering (Xie et al., 2016), as idec2017 section 3.2 states it.

    From a pre-trained auto-encoder and k-means centres, encoder and centres minimise `clustering`, the divergence of
    the soft assignments from targets that sharpen them (Eq. 2-4). The decoder is not used. Defaults are the settings of
    idec2017 for MNIST; pre-training takes by far the most of the time.
    """

    Params = DECParams
    default_protocol = Protocol(phases={**PRETRAINING, "cluster": REFINEMENT})
    pretrained_by = "ae-k-means"
    home = ("idec2017/table2", "mnist-full")

    def terms(self, model: DECNetwork, batch: Batch, params: P) -> tuple[Terms, Tensor]:
        """Return the unweighted loss terms of a batch with its `targets`, and its soft assignments (b, k)."""
        assignments = student_t(model.encode(batch.x)[0], model.centres)
        return {"clustering": clustering_divergence(batch.given["targets"], assignments)}, assignments

    def weights(self, params: P) -> dict[str, float]:
        """Return the weight of each term in the total loss."""
        return {"clustering": 1.0}

    def trained(self, model: DECNetwork) -> list[nn.Parameter]:
        """Return what refinement trains: the encoder and the centres."""
        return [*model.backbone.parameters(), *model.embed.parameters(), model.centres]

    def build(self, params: P, shape: tuple[int, ...], context: RunContext) -> DECNetwork:
        """Return the initialised network."""
        model = DECNetwork(params, shape)
        initialise(model, params.initialisation, context.streams)
        return model

    def phases(self, model: DECNetwork, params: P, x: Tensor, context: RunContext) -> list[TrainingPhase]:
        """Return the one phase of the pre-trained network, `cluster`: refinement from k-means centres."""
        embedding = _of_all(model, x, lambda part: model.encode(part)[0])
        centres, labels, _ = kmeans_start(
            embedding.cpu().numpy(), params.n_clusters, params.starts, context.streams.integer("kmeans")
        )
        with torch.no_grad():
            model.centres.copy_(torch.from_numpy(centres))
        spec = context.protocol.phases["cluster"]
        interval = params.update_interval
        if params.update_unit == "epochs":
            interval *= batches_per_epoch(spec, len(x))
        start = torch.from_numpy(labels).to(x.device)
        targets = Targets(partial(_assignments, model, x), start, interval, params.tolerance)

        def forward(model: DECNetwork, batch: Batch) -> tuple[Terms, Tensor]:
            return self.terms(model, batch, params)

        return [
            TrainingPhase(
                "cluster",
                spec,
                model,
                [Objective(self.trained(model), self.weights(params))],
                forward,
                given={"targets": targets.p},
                hooks=[Hook(interval, targets.renew)],
                stop=targets.settled,
                carry=Carry(targets.state, targets.load),
                steady=True,
            )
        ]

    def found(
        self, samples: Tensor, params: P, context: RunContext, results: list[PhaseResult]
    ) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Return labels, embedding and outcome, and keep the centres (k, d) in `cluster_centers_`."""
        self.cluster_centers_ = self.model_.centres.detach().cpu().numpy().copy()
        return super().found(samples, params, context, results)

    def assign(self, model: DECNetwork, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the soft assignments (b, k) and the embeddings (b, d) of a batch."""
        embedding = model.encode(x)[0]
        return student_t(embedding, model.centres), embedding


def _assignments(model: DECNetwork, x: Tensor) -> Tensor:
    """Return the soft assignments (n, k) of all samples by the network as it is in inference mode."""
    return _of_all(model, x, lambda part: student_t(model.encode(part)[0], model.centres))


def _of_all(model: DECNetwork, x: Tensor, rows_of: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the rows (n, ...) that `rows_of` gives for parts of the samples, with the network in inference mode.

    They are written into one tensor: small pieces kept for later would lie between large outputs of layers, and so keep
    the memory of these from being used again.
    """
    model.eval()
    rows = x.new_empty(0)
    with torch.no_grad():
        for start in range(0, len(x), FORWARD):
            found = rows_of(x[start : start + FORWARD])
            rows = rows if start else found.new_empty((len(x), *found.shape[1:]))
            rows[start : start + FORWARD] = found
    return rows


class IDECParams(DECParams):
    """Parameters of IDEC; the ledger entry of each is named in brackets.

    `clustering_weight` is gamma; `reconstruction` says whether the squared error of a sample is summed over its values,
    as idec2017 Eq. 8 has it, or averaged, as its code [I1].
    """

    clustering_weight: float = Field(0.1, ge=0)
    reconstruction_weight: float = Field(1.0, ge=0)
    reconstruction: Literal["sum", "mean"] = "mean"
    update_interval: int = Field(140, ge=1)


class ConvolutionalParams(DECParams):
    """Parameters of DEC with the convolutional network of DDC (tkuco2024 section 6.5), trained end to end."""

    network: NetworkChoice = "cnn-small"
    initialisation: Literal["normal", "fan-in", "glorot", "he"] = "glorot"
    pretraining: Literal["layer-wise", "end-to-end"] = "end-to-end"
    tolerance: float = Field(0.0, ge=0, lt=1)
    update_interval: int = Field(140, ge=1)


@register_method("dec-conv")
class DECConv(DEC[ConvolutionalParams]):
    """DEC-Conv: DEC with a convolutional auto-encoder (tkuco2024 section 6.5)."""

    Params = ConvolutionalParams
    default_protocol = Protocol(phases={**END_TO_END, "cluster": REFINEMENT.model_copy(update=CONFIGURED)})
    home = ("tkuco2024/table5", "mnist")


Q = TypeVar("Q", bound=IDECParams)


@register_method("idec")
class IDEC(DEC[Q]):
    """Improved deep embedded clustering (idec2017): DEC that goes on to reconstruct the samples (Eq. 6-8)."""

    Params = IDECParams
    default_protocol = Protocol(
        phases={**PRETRAINING, "cluster": REFINEMENT.model_copy(update={"optimiser": Optimiser()})}
    )
    home = ("idec2017/table2", "mnist-full")

    def terms(self, model: DECNetwork, batch: Batch, params: Q) -> tuple[Terms, Tensor]:
        """Return the terms of a batch, `clustering` and `reconstruction`, and its soft assignments (b, k)."""
        embedding = model.encode(batch.x)[0]
        assignments = student_t(embedding, model.centres)
        terms = {
            "clustering": clustering_divergence(batch.given["targets"], assignments),
            "reconstruction": squared_error(model.decode(embedding), batch.x, params.reconstruction),
        }
        return terms, assignments

    def weights(self, params: Q) -> dict[str, float]:
        """Return gamma, and the weight of the reconstruction."""
        return {"clustering": params.clustering_weight, "reconstruction": params.reconstruction_weight}

    def trained(self, model: DECNetwork) -> list[nn.Parameter]:
        """Return what refinement trains: the whole network and the centres."""
        return list(model.parameters())


class DCECParams(ConvolutionalParams, IDECParams):
    """Parameters of DCEC, with the weights of the code of tkuco2024 [C9, I6]."""

    clustering_weight: float = Field(1.0, ge=0)
    reconstruction_weight: float = Field(10.0, ge=0)


@register_method("dcec")
class DCEC(IDEC[DCECParams]):
    """DCEC as tkuco2024 has it: IDEC with the convolutional auto-encoder of DEC-Conv, not that of Guo et al. (2017)."""

    Params = DCECParams
    default_protocol = Protocol(
        phases={**END_TO_END, "cluster": REFINEMENT.model_copy(update={**CONFIGURED, "optimiser": Optimiser()})}
    )
    home = ("tkuco2024/table5", "mnist")
