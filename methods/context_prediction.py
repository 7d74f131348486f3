"""Self-supervised pre-training by context prediction: tell where a patch lies, seen from another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from benchmark.registry import register_method
from benchmark.spec import Frozen, Protocol, batches_per_epoch
from benchmark.training import (
    Batch,
    Carry,
    ClusterParams,
    DeepClusterer,
    Hook,
    Objective,
    Outcome,
    PhaseResult,
    RunContext,
    Terms,
    TrainingPhase,
    outcome_of,
)
from methods.ddc import THESIS_PHASE
from methods.parts.context_networks import ContextNetwork, TellsPositions
from methods.parts.networks import BatchNorm, initialise
from methods.parts.patches import Grid, cut, position_loss, widest_gap
from methods.parts.refinement import kmeans_start


class PatchParams(Frozen):
    """Parameters of the patches and of the loss on them; the ledger entry of each is named in brackets.

    Patches of `patch` x `patch` pixels, moved by up to `jitter`, `gap` apart; None is half a patch, or less where the
    image is too small [T19]. `pretext_loss` is the printed sum over all positions, or the usual cross-entropy [T18].
    """

    patch: int = Field(7, ge=2)
    jitter: int = Field(1, ge=0)
    gap: int | None = Field(None, ge=0)
    pretext_loss: Literal["bernoulli", "categorical"] = "bernoulli"


class ContextParams(PatchParams, ClusterParams):
    """Parameters of context prediction: its patches, its network, and starts of k-means on what it learns."""

    network: str = "cnn-small"
    initialisation: Literal["glorot", "he", "he-glorot"] = "he-glorot"
    batch_norm_momentum: float = Field(0.99, ge=0, lt=1)
    batch_norm_epsilon: float = Field(1e-3, gt=0)
    pretext_starts: int = Field(20, ge=1)


@register_method("context-prediction")
class ContextPrediction(DeepClusterer[ContextParams, TellsPositions]):
    """Context prediction (Doersch et al., 2015), the pre-training of dtkc2019 sections 9.5 and 15.3.1.

    Of each image two patches are taken, and the network tells in which of eight positions the second lies. The runs of
    DDC-SS and DTKC-SS start from this one's. It forms no clusters: its labels are those of k-means on the
    representation of whole images. `position` is its loss; `accuracy`, the share of positions told (1/8 by chance),
    stands beside it.
    """

    Params = ContextParams
    default_protocol = Protocol(phases={"pretext": THESIS_PHASE})

    def build(self, params: ContextParams, shape: tuple[int, ...], context: RunContext) -> TellsPositions:
        """Return the initialised network."""
        if hasattr(self, "cluster_centers_"):  # of an earlier fit, perhaps with other sizes
            del self.cluster_centers_
        norm = BatchNorm(params.batch_norm_momentum, params.batch_norm_epsilon)
        model = ContextNetwork(params.network, shape, params.patch, norm)
        initialise(model, params.initialisation, context.streams)
        return model

    def phases(
        self, model: TellsPositions, params: ContextParams, x: Tensor, context: RunContext
    ) -> list[TrainingPhase]:
        """Return the one phase, `pretext`: new patches of every image for each epoch, the same for each evaluation."""
        grid, spec = grid_of(params, tuple(x.shape[1:])), context.protocol.phases["pretext"]
        generator = context.streams.torch("patches")
        held = grid.draw(len(x), context.streams.torch("patches:evaluation")).to(x.device)
        places = held.clone()

        def renew(step: int) -> None:
            places.copy_(grid.draw(len(x), generator))

        def load(state: Mapping[str, Tensor]) -> None:
            places.copy_(state["places"])

        def forward(model: TellsPositions, batch: Batch) -> tuple[Terms, None]:
            chosen = batch.given["places" if model.training else "held"]
            logits = model.positions(cut(batch.x, chosen[:, :2], grid.size), cut(batch.x, chosen[:, 2:4], grid.size))
            position = chosen[:, 4]
            right = (logits.argmax(dim=1) == position).to(logits.dtype).mean()
            return {"position": position_loss(logits, position, params.pretext_loss), "accuracy": right}, None

        return [
            TrainingPhase(
                "pretext",
                spec,
                model,
                [Objective(model.of_pretext(), {"position": 1.0})],
                forward,
                given={"places": places, "held": held},
                hooks=[Hook(batches_per_epoch(spec, len(x)), renew)],
                carry=Carry(lambda: {"places": places}, load),
                steady=True,
            )
        ]

    def found(
        self, samples: Tensor, params: ContextParams, context: RunContext, results: list[PhaseResult]
    ) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Cluster the representations of the images by k-means."""
        embedding = self._embed(samples)[1]
        self.cluster_centers_, labels, inertia = kmeans_start(
            embedding, params.n_clusters, params.pretext_starts, context.streams.integer("kmeans")
        )
        outcome = outcome_of(results)
        return labels, embedding, replace(outcome, losses={**outcome.losses, "inertia": inertia})

    def assign(self, model: TellsPositions, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the nearest centres of a batch as one-hot assignments (b, k), and its representations (b, d)."""
        embedding = model.represent(x)
        centres = getattr(self, "cluster_centers_", None)
        if centres is None:  # they follow from the representations
            return embedding.new_zeros((len(x), self.n_clusters)), embedding
        distances = torch.cdist(embedding.double(), torch.from_numpy(centres).to(embedding.device).double())
        return torch.nn.functional.one_hot(distances.argmin(dim=1), self.n_clusters).float(), embedding


def grid_of(params: PatchParams, shape: tuple[int, ...]) -> Grid:
    """Return the grid of patches for images of `shape` (c, h, w); ValueError where it does not fit."""
    _, height, width = shape
    gap = widest_gap(height, width, params.patch, params.jitter) if params.gap is None else params.gap
    return Grid(height, width, params.patch, gap, params.jitter)
