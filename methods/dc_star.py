"""DC*: k-means in the embedding and reconstruction, jointly, from the pre-training of DynAE."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from pydantic import Field
from sklearn.cluster import KMeans as LloydKMeans
from torch import Tensor
from torch.nn import functional

from benchmark.registry import register_method
from benchmark.spec import Budget, Protocol
from benchmark.training import Batch, Carry, DeepClusterer, Hook, Objective, RunContext, Terms, TrainingPhase
from methods.acai import PRETRAINING
from methods.parts.autoencoder import squared_error
from methods.parts.dynamic.interpolation import ACAINetwork, ACAIParams
from methods.parts.networks import initialise
from methods.parts.refinement import kmeans_start, still_finite
from methods.starred import CLUSTERING

FORWARD = 1024
"""How many samples are embedded at once when centres are renewed."""


class DCStarParams(ACAIParams):
    """Parameters of the pre-training and of DC*: weights of both terms, and steps between updates of the centres."""

    update_interval: int = Field(140, ge=1)
    clustering_weight: float = Field(1.0, ge=0)
    reconstruction_weight: float = Field(1.0, ge=0)


class DCNetwork(ACAINetwork):
    """The auto-encoder and critic of the pre-training, with centres (k, e) that are not trained."""

    centres: Tensor

    def __init__(self, params: DCStarParams, shape: tuple[int, ...]) -> None:
        super().__init__(params, shape)
        self.register_buffer("centres", torch.zeros(params.n_clusters, params.embedding))

    def nearest(self, embedding: Tensor) -> Tensor:
        """Return the nearest centre (b,) of embeddings (b, e)."""
        return torch.cdist(embedding.double(), self.centres.double()).argmin(dim=1)


@register_method("dc-star")
class DCStar(DeepClusterer[DCStarParams, DCNetwork]):
    """DC*: DynAE without its dynamics (dynae2022 section 5.2.3), from the weights of `acai`.

    Samples are pulled to the nearest centre and reconstruct themselves; every now and then k-means moves the centres on
    from where they are. Both terms are means over values and samples. The paper leaves weights, updates and the end
    open; those here are ours.
    """

    Params = DCStarParams
    home = ("dynae2022/table3", "mnist-full")
    default_protocol = Protocol(
        phases={
            "pretrain": PRETRAINING,
            "cluster": CLUSTERING.model_copy(update={"budget": Budget(unit="steps", amount=6600)}),
        }
    )
    pretrained_by = "acai"

    def build(self, params: DCStarParams, shape: tuple[int, ...], context: RunContext) -> DCNetwork:
        """Return the initialised network."""
        model = DCNetwork(params, shape)
        initialise(model, params.initialisation, context.streams)
        return model

    def phases(self, model: DCNetwork, params: DCStarParams, x: Tensor, context: RunContext) -> list[TrainingPhase]:
        """Return the one phase of the pre-trained network, `cluster`."""
        seed = context.streams.integer("kmeans")
        _put(model, kmeans_start(_embedded(model, x), params.n_clusters, params.starts, seed)[0])

        def renew(step: int) -> None:
            if step:
                means = LloydKMeans(params.n_clusters, init=model.centres.cpu().numpy(), n_init=1)
                _put(model, means.fit(still_finite(_embedded(model, x))).cluster_centers_)

        def forward(model: DCNetwork, batch: Batch) -> tuple[Terms, Tensor]:
            embedding = model.encode(batch.x)[0]
            nearest = model.nearest(embedding.detach())
            terms = {
                "clustering": functional.mse_loss(embedding, model.centres[nearest]),
                "reconstruction": squared_error(model.decode(embedding), batch.x, "mean"),
            }
            return terms, functional.one_hot(nearest, params.n_clusters).to(embedding.dtype)

        weights = {"clustering": params.clustering_weight, "reconstruction": params.reconstruction_weight}
        return [
            TrainingPhase(
                "cluster",
                context.protocol.phases["cluster"],
                model,
                [Objective(model.autoencoder(), weights)],
                forward,
                hooks=[Hook(params.update_interval, renew)],
                carry=Carry(dict, _nothing),  # the centres are of the model
                steady=True,
            )
        ]

    def assign(self, model: DCNetwork, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the nearest centres of a batch as one-hot assignments (b, k), and the embeddings (b, e)."""
        embedding = model.encode(x)[0]
        return functional.one_hot(model.nearest(embedding), self.n_clusters).float(), embedding

    def mismatch_terms(self, model: DCNetwork, x: Tensor, clusters: Tensor) -> dict[str, Tensor]:
        """Return the losses whose gradients feature randomness and drift compare (dynae2022 Eq. 1, 3; ledger Y19)."""
        params = self.checked_params()
        embedding = model.encode(x)[0]
        pseudo = functional.mse_loss(embedding, model.centres[model.nearest(embedding.detach())])
        error = squared_error(model.decode(embedding), x, "mean")
        whole = params.clustering_weight * pseudo + params.reconstruction_weight * error
        true = functional.mse_loss(embedding, model.centres[clusters])
        return {"pseudo": pseudo, "auxiliary": error, "whole": whole, "true": true}


def _embedded(model: DCNetwork, x: Tensor) -> np.ndarray:
    model.eval()
    with torch.no_grad():
        found: np.ndarray = torch.cat([model.encode(part)[0] for part in torch.split(x, FORWARD)]).cpu().numpy()
    return found


def _put(model: DCNetwork, centres: np.ndarray) -> None:
    with torch.no_grad():
        model.centres.copy_(torch.from_numpy(centres))


def _nothing(state: Mapping[str, Tensor]) -> None:
    """Take nothing from a state: it is empty."""
