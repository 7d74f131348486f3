"""Interpolation that a critic tells from samples: network, mixtures, losses of both sides (dynae2022 Eq. 6, 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from benchmark.training import Terms
from methods.parts.autoencoder import Autoencoder, AutoencoderParams, squared_error
from methods.parts.networks import BatchNorm, network_named


class ACAIParams(AutoencoderParams):
    """Parameters of the pre-training; the ledger entry of each is named in brackets.

    `critic` trains or stays as it was drawn [Y15]; `critic_weight` is lambda. The weights alpha and gamma of mixtures
    are uniform in [0, 1] for each sample; `fold` says which is folded into [0, .5], "gamma" then being one number for
    a batch [Y6]. `critic_target` compares the critic's outputs with the alpha of their own sample or with those of all
    [Y5]. `errors` sums squared errors over the values of a sample, or averages them. Images are moved by up to the
    share `shift` of their side and turned by up to `rotation` degrees.
    """

    initialisation: Literal["normal", "fan-in", "glorot", "he"] = "fan-in"
    pretraining: Literal["end-to-end"] = "end-to-end"
    critic: Literal["trained", "frozen"] = "trained"
    critic_weight: float = Field(0.5, ge=0)
    fold: Literal["none", "alpha", "gamma"] = "none"
    critic_target: Literal["sample", "pairs"] = "sample"
    errors: Literal["sum", "mean"] = "sum"
    shift: float = Field(0.1, ge=0, lt=1)
    rotation: float = Field(10.0, ge=0, le=180)


class Critic(nn.Module):
    """Tells how much of another sample is mixed into one: the mean output of a network like the encoder."""

    def __init__(self, params: ACAIParams, shape: tuple[int, ...], features: int) -> None:
        super().__init__()
        norm = BatchNorm(params.batch_norm_momentum, params.batch_norm_epsilon)
        self.backbone = network_named(params.network).backbone(shape, norm)
        self.output = nn.Linear(features, params.embedding)

    def forward(self, x: Tensor) -> Tensor:
        """Map samples (b, ...) to one number each (b,)."""
        score: Tensor = self.output(self.backbone(x)[0].flatten(1)).mean(dim=1)
        return score


class ACAINetwork(Autoencoder):
    """An auto-encoder with a critic of its outputs."""

    def __init__(self, params: ACAIParams, shape: tuple[int, ...]) -> None:
        super().__init__(params, shape)
        self.critic = Critic(params, shape, self.embed.in_features)

    def autoencoder(self) -> list[nn.Parameter]:
        """Return the weights of encoder and decoder."""
        parts = (self.backbone, self.embed, self.expand, self.decoder)
        return [parameter for part in parts for parameter in part.parameters()]


@dataclass(frozen=True)
class Mixed:
    """What both objectives see of a batch: samples, reconstructions, decoded mixtures, and the weights (b,) of both."""

    x: Tensor
    decoded: Tensor
    mixture: Tensor
    alpha: Tensor
    gamma: Tensor

    def autoencoder_terms(self, model: ACAINetwork, params: ACAIParams) -> Terms:
        """Return the reconstruction error, and how far the critic is from taking mixtures for no mixtures (Eq. 6)."""
        fooling = model.critic(self.mixture).square().mean()
        return {"reconstruction": squared_error(self.decoded, self.x, params.errors), "fooling": fooling}

    def critic_terms(self, model: ACAINetwork, params: ACAIParams) -> Terms:
        """Return how far the critic is from telling alpha, and from 0 on blends of samples and outputs (Eq. 7)."""
        scores = model.critic(self.mixture.detach())
        if params.critic_target == "sample":
            regression = (scores - self.alpha).square().mean()
        else:
            regression = (scores[:, None] - self.alpha[None, :]).square().mean()
        share = self.gamma.reshape(-1, *(1 for _ in self.x.shape[1:]))
        blend = share * self.x + (1 - share) * self.decoded.detach()
        return {"regression": regression, "realism": model.critic(blend).square().mean()}


def mixed(model: ACAINetwork, x: Tensor, alpha: Tensor, gamma: Tensor) -> Mixed:
    """Return reconstructions, and the decoded mixtures of each sample with that as far from the batch's end."""
    embedding = model.encode(x)[0]
    share = alpha[:, None]
    mixture = model.decode(share * embedding + (1 - share) * embedding.flip(0))
    return Mixed(x, model.decode(embedding), mixture, alpha, gamma)


def mixing_weights(size: int, fold: str, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return random alpha and gamma (b,), in [0, 1] or folded into [0, .5]."""
    alpha = torch.rand(size, generator=generator)
    gamma = torch.rand(1 if fold == "gamma" else size, generator=generator).expand(size)
    folded = {"alpha": alpha, "gamma": gamma}.get(fold)
    if folded is None:
        return alpha, gamma
    half = 0.5 - (folded - 0.5).abs()
    return (half, gamma) if fold == "alpha" else (alpha, half)
