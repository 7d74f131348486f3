"""PSSC: subspace clustering of a whole data set by a matrix of coefficients that learns from its own clusters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from pydantic import Field
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
)
from methods.parts.autoencoder import Autoencoder, AutoencoderParams, pretraining_phases
from methods.parts.coefficients import clusters_of, subspace_affinity, thresholded
from methods.parts.networks import initialise

START = 1e-5
"""Every coefficient at the start, those of a sample for itself too."""

LEAST = 0.001
"""What the coefficients of samples in one cluster are pushed up to."""


class PSSCParams(AutoencoderParams):
    """Parameters of PSSC; the ledger entry of each is named in brackets.

    `clustered` samples, drawn without labels [P2], have coefficients, the others follow their nearest neighbour among
    them. The weights are r2, r3, r4 of the code, and that of the similarity term [Q1]; a sample votes for its cluster
    where it is surer than `confidence`. `pairs` says which pairs count as of one cluster [P3], `softmax` how often one
    is taken for the votes [P4], `laplacian` its form [Q2]. `dimension`, `power` and `share` make the affinity.
    """

    initialisation: Literal["normal", "fan-in", "glorot", "he"] = "glorot"
    pretraining: Literal["end-to-end"] = "end-to-end"
    pretraining_error: Literal["mean", "half-sum"] = "half-sum"
    clustered: int = Field(5000, ge=2)
    self_expression_weight: float = Field(1.0, ge=0)
    similarity_weight: float = Field(1.0, ge=0)
    label_weight: float = Field(1.0, ge=0)
    graph_weight: float = Field(0.1, ge=0)
    confidence: float = Field(0.8, ge=0, lt=1)
    pairs: Literal["clusters", "all"] = "clusters"
    softmax: Literal["once", "twice"] = "once"
    laplacian: Literal["symmetric", "random-walk"] = "symmetric"
    dimension: int = Field(4, ge=1)
    power: float = Field(5.0, gt=0)
    share: float = Field(0.12, gt=0, le=1)


class PSSCNetwork(Autoencoder):
    """An auto-encoder, coefficients (m, m) of samples for each other, and a classifier of embeddings."""

    def __init__(self, params: PSSCParams, shape: tuple[int, ...]) -> None:
        super().__init__(params, shape)
        self.coefficients = nn.Parameter(torch.empty(0, 0))
        self.classifier = nn.Linear(params.embedding, params.n_clusters)


@register_method("pssc")
class PSSC(DeepClusterer[PSSCParams, PSSCNetwork]):
    """Pseudo-supervised deep subspace clustering (Lv, Kang, Lu and Xu, 2021), a row of tkuco2024 Table 2.

    After pre-training, embeddings are represented by each other, Z = C Z, and decoded from that; the graph |C| smooths
    the outputs, and a classifier's confident votes teach it in turn. A few full-batch steps by Adam move no coefficient
    beyond some thousandths (ledger Q4). Clusters are those of an affinity made of C, after training, so that histories
    have none. Losses are sums over samples. Memory is that of a dozen matrices (m, m) of the clustered samples.
    """

    Params = PSSCParams
    default_protocol = Protocol(
        phases={
            "pretrain": Phase(
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
        yield TrainingPhase("fit", context.protocol.phases["fit"], model, [objective], forward)

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


def pssc_terms(model: PSSCNetwork, x: Tensor, params: PSSCParams) -> Terms:
    """Return the five terms of the clustered samples `x` (m, ...), each a sum over samples but `label`, a mean.

    The votes and their weights have no gradient. Of `graph`, pairs in different clusters shrink, those in one grow to
    `LEAST`, and clusters become even.
    """
    c, embedding = model.coefficients, model.encode(x)[0]
    expressed = c @ embedding
    decoded = model.decode(expressed).flatten(1)
    error = (decoded - x.flatten(1)).square().sum()
    graph = (c.abs() + c.abs().T) / 2 + torch.eye(len(c), device=c.device)
    logits = model.classifier(embedding)
    shares = torch.softmax(logits, dim=1)
    sure, votes = shares.detach().max(dim=1)
    together = torch.ones_like(graph) if params.pairs == "all" else (votes[:, None] == votes).to(graph.dtype)
    confident = sure > params.confidence
    ballots = shares if params.softmax == "twice" else logits
    label = functional.cross_entropy(ballots, votes, reduction="none")[confident].sum() / max(1, int(confident.sum()))
    apart = torch.relu((1 - together) * graph).sum() + torch.relu(together * (LEAST - graph)).sum()
    return {
        "reconstruction": error,
        "similarity": error + 2 * smoothness(decoded, graph, params.laplacian),
        "self_expression": (expressed - embedding).square().sum() / 2,
        "label": label,
        "graph": apart + shares.sum(dim=0).square().sum(),
    }


def smoothness(x: Tensor, graph: Tensor, form: Literal["symmetric", "random-walk"]) -> Tensor:
    """Return tr(X' L X) of samples (m, d) on a graph (m, m), L = I - D^-1/2 W D^-1/2 or I - D^-1 W."""
    degrees = graph.sum(dim=1, keepdim=True)
    if form == "symmetric":
        scaled = x / degrees.sqrt()
        return x.square().sum() - (scaled * (graph @ scaled)).sum()
    return x.square().sum() - (x * (graph @ x) / degrees).sum()
