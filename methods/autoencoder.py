"""Auto-encoders and their pre-training, from which the DEC family starts; AE+k-means is that and no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmark.registry import register_method
from benchmark.spec import Protocol
from benchmark.training import (
    DeepClusterer,
    Outcome,
    PhaseResult,
    RunContext,
    TrainingPhase,
    outcome_of,
)
from methods.parts.autoencoder import PRETRAINING, Autoencoder, AutoencoderParams, pretraining_phases
from methods.parts.networks import initialise
from methods.parts.refinement import kmeans_start


@register_method("ae-k-means")
class AEKMeans(DeepClusterer[AutoencoderParams, Autoencoder]):
    """Auto-encoder and k-means (idec2017 section 4.3): pre-training as DEC has it, then k-means on the embedding.

    The runs of DEC and its relatives start from the weights of this one. Its loss is the reconstruction error; the
    inertia of k-means stands beside it. The defaults are those of the paper, and take an hour on MNIST; with
    `pretraining="end-to-end"` the layers are not trained one by one.
    """

    Params = AutoencoderParams
    default_protocol = Protocol(phases=PRETRAINING)
    home = ("idec2017/table2", "mnist-full")
    pretraining_phases = tuple(PRETRAINING)
    soft = False

    @classmethod
    def own_phases(cls, params: AutoencoderParams) -> tuple[str, ...]:
        """Return the phases: that of layers only where these are trained one by one."""
        return ("layer", "pretrain") if params.pretraining == "layer-wise" else ("pretrain",)

    def build(self, params: AutoencoderParams, shape: tuple[int, ...], context: RunContext) -> Autoencoder:
        """Return the initialised auto-encoder."""
        if hasattr(self, "cluster_centers_"):  # of an earlier fit, perhaps with other sizes
            del self.cluster_centers_
        model = Autoencoder(params, shape)
        initialise(model, params.initialisation, context.streams)
        return model

    def phases(
        self, model: Autoencoder, params: AutoencoderParams, x: Tensor, context: RunContext
    ) -> Iterator[TrainingPhase]:
        """Yield the phases: layer by layer where that is asked for, then the whole auto-encoder."""
        return pretraining_phases(model, params, context)

    def found(
        self, samples: Tensor, params: AutoencoderParams, context: RunContext, results: list[PhaseResult]
    ) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Cluster the embedding by k-means."""
        embedding = self._embed(samples)[1]
        self.cluster_centers_, labels, inertia = kmeans_start(
            embedding, params.n_clusters, params.starts, context.streams.integer("kmeans")
        )
        outcome = outcome_of(results)
        losses: Mapping[str, float] = {**outcome.losses, "inertia": inertia}
        return labels, embedding, replace(outcome, losses=losses)

    def assign(self, model: Autoencoder, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the nearest centres of a batch as one-hot assignments (b, k), and the embeddings (b, d)."""
        embedding = model.encode(x)[0]
        centres = getattr(self, "cluster_centers_", None)
        if centres is None:  # they follow from the embedding
            return embedding.new_zeros((len(x), self.n_clusters)), embedding
        distances = torch.cdist(embedding.double(), torch.from_numpy(centres).to(embedding.device).double())
        return functional.one_hot(distances.argmin(dim=1), self.n_clusters).float(), embedding
