"""PSSC: subspace clustering of a whole data set by a matrix of coefficients that learns from its own clusters."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn
from torch.nn import functional

from benchmark.registry import register_method
from benchmark.spec import Budget, Optimiser, Phase, Protocol
from benchmark.training import (
    Batch,
    DeepClusterer,
    Objective,
    Outcome,
    PhaseResult,
    RunContext,
    Terms,
    TrainingPhase,
    outcome_of,
    require_memory,
)
from methods.parts.autoencoder import pretraining_phases
from methods.parts.networks import initialise
from methods.parts.subspaces.coefficients import clusters_of, subspace_affinity, thresholded
from methods.parts.subspaces.pseudo_supervision import START, PSSCNetwork, PSSCParams, pssc_terms


@register_method("pssc")
class PSSC(DeepClusterer[PSSCParams, PSSCNetwork]):
    """Pseudo-supervised deep subspace clustering (Lv, Kang, Lu and Xu, 2021), a row of tkuco2024 Table 2.

    After pre-training, embeddings are represented by each other, Z = C Z, and decoded from that; the graph |C| smooths
    the outputs, and a classifier's confident votes teach it in turn. A few full-batch steps by Adam move no coefficient
    beyond some thousandths (ledger Q4). Clusters are those of an affinity made of C, after training, so that histories
    have none. Losses are sums over samples. Memory is that of a dozen matrices (m, m) of the clustered samples.
    """

    Params = PSSCParams
    home = ("tkuco2024/table2", "mnist")
    default_protocol = Protocol(
        phases={
            "pretrain": Phase(
                optimiser=Optimiser(eps=1e-8),
                batch_size=256,
                drop_last=False,
                budget=Budget(unit="steps", amount=10_000),
                evaluate_every=1000,
                keep="last",
            ),
            "fit": Phase(
                optimiser=Optimiser(lr=1e-4, eps=1e-8),
                sampler="full",
                drop_last=False,
                budget=Budget(unit="steps", amount=20),
                evaluate_every=5,
                keep="last",
            ),
        }
    )

    @staticmethod
    def needed_bytes(n: int, d: int) -> int:
        """Return the bytes for `n` samples of `d` values at the default size: matrices of pairs, and the samples."""
        m = min(n, int(PSSCParams.model_fields["clustered"].default))
        return 4 * (12 * m * m + 2 * n * d)

    def build(self, params: PSSCParams, shape: tuple[int, ...], context: RunContext) -> PSSCNetwork:
        """Return the initialised network; coefficients come with the samples."""
        model = PSSCNetwork(params, shape)
        initialise(model, params.initialisation, context.streams)
        with torch.no_grad():
            model.classifier.weight.normal_(generator=context.streams.torch("init:classifier"))
        return model

    def phases(self, model: PSSCNetwork, params: PSSCParams, x: Tensor, context: RunContext) -> Iterator[TrainingPhase]:
        """Yield pre-training on all samples, then the full-batch phase `fit` of those that are clustered."""
        require_memory(self.needed_bytes(len(x), x[0].numel()), len(x))
        drawn = context.streams.numpy("subset").permutation(len(x))[: params.clustered]
        self.clustered_ = np.sort(drawn)
        chosen = x[torch.from_numpy(self.clustered_).to(x.device)]
        model.coefficients = nn.Parameter(torch.full((len(chosen), len(chosen)), START, device=x.device))
        yield from pretraining_phases(model, params, context)

        def forward(model: PSSCNetwork, batch: Batch) -> tuple[Terms, None]:
            return pssc_terms(model, chosen, params), None

        weights = {"reconstruction": 1.0, "similarity": params.similarity_weight}
        weights |= {"self_expression": params.self_expression_weight, "label": params.label_weight}
        objective = Objective(list(model.parameters()), {**weights, "graph": params.graph_weight})
        yield TrainingPhase("fit", context.protocol.phases["fit"], model, [objective], forward, steady=True)

    def found(
        self, samples: Tensor, params: PSSCParams, context: RunContext, results: list[PhaseResult]
    ) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Cluster the affinity of the coefficients; all other samples follow their nearest neighbour."""
        coefficients = self.model_.coefficients.detach().double().cpu().numpy()
        affinity = subspace_affinity(
            thresholded(coefficients, params.share), params.n_clusters, params.dimension, params.power
        )
        self.clusters_ = clusters_of(affinity, params.n_clusters, context.streams.integer("discretize"))
        self.neighbours_ = NearestNeighbors(n_neighbors=1).fit(self._embed(samples[self.clustered_])[1])
        soft, embedding = self._embed(samples)
        labels = soft.argmax(axis=1)
        labels[self.clustered_] = self.clusters_
        return labels, embedding, outcome_of(results)

    def assign(self, model: PSSCNetwork, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cluster of the nearest clustered sample, as one-hot assignments (b, k), and embeddings (b, p)."""
        embedding = model.encode(x)[0]
        if not hasattr(self, "neighbours_"):
            return embedding.new_zeros((len(x), self.n_clusters)), embedding
        nearest = self.neighbours_.kneighbors(embedding.detach().cpu().numpy(), return_distance=False)[:, 0]
        labels = torch.from_numpy(self.clusters_[nearest]).to(x.device)
        return functional.one_hot(labels, self.n_clusters).float(), embedding
