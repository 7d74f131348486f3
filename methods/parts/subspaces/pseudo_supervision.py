"""PSSC's network and losses: samples express each other, and confident votes of a classifier teach both."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from benchmark.training import Terms
from methods.parts.autoencoder import Autoencoder, AutoencoderParams

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
    label = _mean_of(functional.cross_entropy(ballots, votes, reduction="none"), confident)
    apart = torch.relu((1 - together) * graph).sum() + torch.relu(together * (LEAST - graph)).sum()
    return {
        "reconstruction": error,
        "similarity": error + 2 * smoothness(decoded, graph, params.laplacian),
        "self_expression": (expressed - embedding).square().sum() / 2,
        "label": label,
        "graph": apart + shares.sum(dim=0).square().sum(),
    }


def _mean_of(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean of the chosen values (m,), 0 where there are none; asking how many they are would stall a GPU."""
    if values.device.type != "cpu":
        return torch.where(chosen, values, 0).sum() / chosen.sum().clamp_min(1)
    return values[chosen].sum() / max(1, int(chosen.sum()))


def smoothness(x: Tensor, graph: Tensor, form: Literal["symmetric", "random-walk"]) -> Tensor:
    """Return tr(X' L X) of samples (m, d) on a graph (m, m), L = I - D^-1/2 W D^-1/2 or I - D^-1 W."""
    degrees = graph.sum(dim=1, keepdim=True)
    if form == "symmetric":
        scaled = x / degrees.sqrt()
        return x.square().sum() - (scaled * (graph @ scaled)).sum()
    return x.square().sum() - (x * (graph @ x) / degrees).sum()
