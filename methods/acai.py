"""Adversarially constrained interpolation with augmentation: the pre-training that DynAE and its relatives share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor

from benchmark.registry import register_method
from benchmark.spec import Budget, Optimiser, Phase, Protocol
from benchmark.training import Batch, Draws, Objective, RunContext, Terms, TrainingPhase
from methods.autoencoder import AEKMeans
from methods.parts.autoencoder import Autoencoder, AutoencoderParams
from methods.parts.dynamic.augmentation import augmented
from methods.parts.dynamic.interpolation import ACAINetwork, ACAIParams, Mixed, mixed, mixing_weights
from methods.parts.networks import initialise

PRETRAINING = Phase(
    optimiser=Optimiser(lr=1e-4, eps=1e-8),
    batch_size=256,
    sampler="fixed",
    drop_last=False,
    budget=Budget(unit="steps", amount=130_000),
    evaluate_every=2800,
    keep="last",
)


@register_method("acai")
class ACAI(AEKMeans):
    """Adversarially constrained interpolation (Berthelot et al., 2019) of augmented images, then k-means.

    As dynae2022 pre-trains (section 4.1, Eq. 6, 7). The auto-encoder reconstructs augmented images and decodes mixtures
    of two embeddings such that a critic takes them for no mixtures; the critic learns to tell how much is mixed. Both
    are stepped on each batch, the critic on what the auto-encoder gave before its step. Evaluations are on images as
    they are, with all mixing weights at one half. DynAE, DEC*, IDEC* and DC* start from the weights of this run.
    """

    Params = ACAIParams
    home = ("dynae2022/table3", "mnist-full")
    default_protocol = Protocol(phases={"pretrain": PRETRAINING})

    def build(self, params: AutoencoderParams, shape: tuple[int, ...], context: RunContext) -> Autoencoder:
        """Return the initialised auto-encoder and critic."""
        if hasattr(self, "cluster_centers_"):  # of an earlier fit, perhaps with other sizes
            del self.cluster_centers_
        model = ACAINetwork(cast(ACAIParams, params), shape)
        initialise(model, params.initialisation, context.streams)
        return model

    def phases(
        self, model: Autoencoder, params: AutoencoderParams, x: Tensor, context: RunContext
    ) -> Iterator[TrainingPhase]:
        """Yield the one phase, `pretrain`."""
        yield adversarial_phase(cast(ACAINetwork, model), cast(ACAIParams, params), context)


def adversarial_phase(model: ACAINetwork, params: ACAIParams, context: RunContext) -> TrainingPhase:
    """Return the phase of the auto-encoder and its critic."""
    augment, shuffle, mix = (context.streams.torch(name) for name in ("augment", "shuffle", "mix"))
    seen: list[Mixed] = []
    draws = Draws()

    def forward(model: ACAINetwork, batch: Batch) -> tuple[Terms, None]:
        if not model.training:
            half = torch.full((len(batch.x),), 0.5, device=batch.x.device)
            whole = mixed(model, batch.x, half, half)
            return {**whole.autoencoder_terms(model, params), **whole.critic_terms(model, params)}, None
        n, device = len(batch.x), batch.x.device
        order = draws(lambda: torch.randperm(n, generator=shuffle), device)
        x = augmented(batch.x[order], params.shift, params.rotation, augment, draws)
        alpha, gamma = draws(lambda: torch.stack(mixing_weights(n, params.fold, mix)), device)
        seen[:] = [mixed(model, x, alpha, gamma)]
        return seen[0].autoencoder_terms(model, params), None

    def judge(model: ACAINetwork, batch: Batch) -> tuple[Terms, None]:
        return seen.pop().critic_terms(model, params), None

    objectives = [Objective(model.autoencoder(), {"reconstruction": 1.0, "fooling": params.critic_weight})]
    if params.critic == "trained":
        trained = list(model.critic.parameters())
        objectives.append(Objective(trained, {"regression": 1.0, "realism": 1.0}, forward=judge))
    spec = context.protocol.phases["pretrain"]
    return TrainingPhase("pretrain", spec, model, objectives, forward, draws=draws, steady=True)
