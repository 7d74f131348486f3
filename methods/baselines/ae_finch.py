"""FINCH on the embedding of an auto-encoder."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor

from benchmark.errors import UserError
from benchmark.registry import register_method
from benchmark.spec import Budget, Clip, Protocol
from benchmark.training import Outcome, PhaseResult, RunContext, TrainingPhase, outcome_of, require_memory
from methods.autoencoder import AEKMeans
from methods.parts.autoencoder import END_TO_END, Autoencoder, AutoencoderParams
from methods.parts.flat import within_scatter

WHOLE = END_TO_END["pretrain"]
ON_KERAS = WHOLE.model_copy(
    update={
        "optimiser": WHOLE.optimiser.model_copy(update={"momentum": 0.0}),
        "clip": Clip(),
        "budget": Budget(unit="epochs", amount=300),
        "evaluate_every": 15,
    }
)
"""The pre-training of DEC-keras, as dynae2022 has it for its rows with a plain auto-encoder."""


class AEFINCHParams(AutoencoderParams):
    """Parameters of the auto-encoder; `starts` has no part in FINCH."""

    initialisation: Literal["normal", "fan-in", "glorot", "he"] = "fan-in"
    pretraining: Literal["layer-wise", "end-to-end"] = "end-to-end"


@register_method("ae-finch")
class AEFINCH(AEKMeans):
    """Auto-encoder, then FINCH on its embedding by first neighbours (Sarfraz et al., 2019; extra `baselines`).

    FINCH has cosine distances and is asked for the exact neighbours, whose matrix of distances is (n, n): beyond what
    memory holds, this is the published "-". It draws nothing at random. `predict` gives the cluster of the nearest
    mean.
    """

    Params = AEFINCHParams
    default_protocol = Protocol(phases={**END_TO_END, "pretrain": ON_KERAS})
    home = ("dynae2022/table2", "mnist-full")
    requires: ClassVar[tuple[str, ...]] = ("finch",)

    @staticmethod
    def needed_bytes(n: int, d: int) -> int:
        """Return the bytes for `n` samples of `d` values: the samples, and all pairs of distances, twice."""
        return 4 * n * d + 2 * 8 * n * n

    def phases(
        self, model: Autoencoder, params: AutoencoderParams, x: Tensor, context: RunContext
    ) -> Iterator[TrainingPhase]:
        """Yield the phases of the auto-encoder; UserError without FINCH, NeedsMemory without memory."""
        _finch()
        require_memory(self.needed_bytes(len(x), x[0].numel()), len(x))
        return super().phases(model, params, x, context)

    def found(
        self, samples: Tensor, params: AutoencoderParams, context: RunContext, results: list[PhaseResult]
    ) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Cluster the embedding."""
        embedding = self._embed(samples)[1]
        labels = _finch().FINCH(
            embedding, req_clust=params.n_clusters, distance="cosine", ann_threshold=len(embedding) + 1, verbose=False
        )[2]
        labels = np.asarray(labels, dtype=np.int64)
        self.cluster_centers_ = np.stack([embedding[labels == k].mean(axis=0) for k in range(params.n_clusters)])
        outcome = outcome_of(results)
        losses = {**outcome.losses, "scatter": within_scatter(embedding, labels)}
        return labels, embedding, replace(outcome, losses=losses)


def _finch() -> Any:
    try:
        return importlib.import_module("finch")
    except ImportError:
        raise UserError("FINCH is not installed: pip install 'reclust[baselines]'.") from None
