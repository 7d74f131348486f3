"""The auto-encoder of the DEC family, and its pre-training, layer by layer or end to end (Xie et al., 2016)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from benchmark.spec import Budget, Clip, Optimiser, Phase
from benchmark.training import Batch, ClusterParams, Draws, Objective, RunContext, Terms, TrainingPhase
from methods.parts.networks import BatchNorm
from methods.parts.own_networks import NetworkChoice, chosen_network


class AutoencoderParams(ClusterParams):
    """Parameters of an auto-encoder and its pre-training; the ledger entry of each is named in brackets.

    `network` is a registered network, followed by a linear layer of `embedding` units. `initialisation` is its scheme.
    `pretraining` is layer by layer and then as a whole, or end to end [I4, I6]; `noise` the share of values dropped
    while layers are trained, and `pretraining_error` the squared error of a sample: its mean over values, as Keras has
    it, or half its sum, as Caffe. `noise_places` says where values are dropped: before and behind every layer, or
    "hidden" alone: neither of the samples themselves nor behind the last layer [I4]. `starts` are the k-means++ starts.
    """

    network: NetworkChoice = "mlp-dec"
    embedding: int = Field(10, ge=1)
    initialisation: Literal["normal", "fan-in", "glorot", "he"] = "normal"
    pretraining: Literal["layer-wise", "end-to-end"] = "layer-wise"
    noise: float = Field(0.2, ge=0, lt=1)
    noise_places: Literal["all", "hidden"] = "all"
    pretraining_error: Literal["mean", "half-sum"] = "mean"
    starts: int = Field(20, ge=1)
    batch_norm_momentum: float = Field(0.99, ge=0, lt=1)
    batch_norm_epsilon: float = Field(1e-3, gt=0)
    introduced: ClassVar[Mapping[str, Any]] = {"noise_places": "all"}


class Autoencoder(nn.Module):
    """A backbone, a linear embedding, and the mirror of both; ReLU everywhere but at embedding and output."""

    def __init__(self, params: AutoencoderParams, shape: tuple[int, ...]) -> None:
        super().__init__()
        network = chosen_network(params.network)
        norm = BatchNorm(params.batch_norm_momentum, params.batch_norm_epsilon)
        self.shapes = network.tap_shapes(shape)
        self.last = list(self.shapes.values())[-1]
        features = math.prod(self.last)
        self.backbone = network.backbone(shape, norm)
        self.embed = nn.Linear(features, params.embedding)
        self.expand = nn.Linear(params.embedding, features)
        self.decoder = network.decoder(shape, norm)

    def encode(self, x: Tensor, taps: Sequence[str] = ()) -> tuple[Tensor, list[Tensor]]:
        """Map samples (b, ...) to embeddings (b, d) and the outputs of the layers `taps`."""
        features, tapped = self.backbone(x, taps)
        return self.embed(features.flatten(1)), tapped

    def decode(self, embedding: Tensor) -> Tensor:
        """Map embeddings (b, d) to reconstructions, in the shape of the samples."""
        features = torch.relu(self.expand(embedding))
        decoded: Tensor = self.decoder(features.reshape(-1, *self.last))
        return decoded

    def layers(self) -> list[tuple[nn.Linear, nn.Linear]]:
        """Return each layer of the encoder with its mirror, in order; ValueError where one is not fully connected."""
        encoder = [module for module in self.backbone.modules() if isinstance(module, nn.Linear)] + [self.embed]
        decoder = [self.expand] + [module for module in self.decoder.modules() if isinstance(module, nn.Linear)]
        if len(encoder) != len(self.shapes) + 1 or len(decoder) != len(encoder):
            raise ValueError("only fully connected networks are trained layer by layer: use pretraining='end-to-end'.")
        return list(zip(encoder, reversed(decoder), strict=True))


def squared_error(decoded: Tensor, x: Tensor, reduction: str) -> Tensor:
    """Return the squared error of a sample, averaged over samples (I9), a scalar.

    `reduction` says what it is: the "mean" over the values of the sample, their "sum", or "half-sum" (I1).
    """
    factors = {"mean": 1.0, "sum": math.prod(x.shape[1:]), "half-sum": math.prod(x.shape[1:]) / 2}
    return functional.mse_loss(decoded, x) * factors[reduction]


def pretraining_phases(model: Autoencoder, params: AutoencoderParams, context: RunContext) -> Iterator[TrainingPhase]:
    """Yield the phases of pre-training: layer by layer where that is asked for, then the whole auto-encoder."""
    if params.pretraining == "layer-wise":
        for number in range(len(model.layers())):
            yield _layer_phase(model, number, params, context)
    parts = (model.backbone, model.embed, model.expand, model.decoder)

    def forward(model: Autoencoder, batch: Batch) -> tuple[Terms, None]:
        decoded = model.decode(model.encode(batch.x)[0])
        return {"reconstruction": squared_error(decoded, batch.x, params.pretraining_error)}, None

    objective = Objective([p for part in parts for p in part.parameters()], {"reconstruction": 1.0})
    yield TrainingPhase("pretrain", context.protocol.phases["pretrain"], model, [objective], forward, steady=True)


def _layer_phase(model: Autoencoder, number: int, params: AutoencoderParams, context: RunContext) -> TrainingPhase:
    """Return the phase of one layer: a denoising auto-encoder of the outputs of the layers before it.

    In training, values of its input and of its output are dropped; ReLU follows but at the embedding and at the
    reconstruction of the samples themselves (Xie et al., 2016, section 3.2).
    """
    name = f"layer-{number + 1}"
    generator, draws = context.streams.torch(f"noise:{name}"), Draws()

    def dropped(x: Tensor) -> Tensor:
        shape = x.shape
        kept = draws(lambda: torch.empty(shape).bernoulli_(1 - params.noise, generator=generator), x.device)
        return x * kept / (1 - params.noise)

    def forward(model: Autoencoder, batch: Batch) -> tuple[Terms, None]:
        pairs, x = model.layers(), batch.x
        encoder, decoder = pairs[number]
        everywhere = params.noise_places == "all"
        before_it = model.training and (everywhere or number > 0)
        behind_it = model.training and (everywhere or number < len(pairs) - 1)
        with torch.no_grad():
            for before, _ in pairs[:number]:
                x = torch.relu(before(x))
        hidden = encoder(dropped(x) if before_it else x)
        hidden = hidden if number == len(pairs) - 1 else torch.relu(hidden)
        decoded = decoder(dropped(hidden) if behind_it else hidden)
        decoded = decoded if number == 0 else torch.relu(decoded)
        return {"reconstruction": squared_error(decoded, x, params.pretraining_error)}, None

    encoder, decoder = model.layers()[number]
    objective = Objective([*encoder.parameters(), *decoder.parameters()], {"reconstruction": 1.0})
    spec = context.protocol.phases["layer"]
    return TrainingPhase(name, spec, model, [objective], forward, draws=draws, steady=True)


STACKED = Optimiser(name="sgd", lr=0.1, momentum=0.9, decay=0.1, decay_every=20_000)
"""The optimiser of stacked pre-training (Xie et al., 2016, section 4.3)."""


PRETRAINING = {
    "layer": Phase(
        optimiser=STACKED,
        batch_size=256,
        drop_last=False,
        budget=Budget(unit="steps", amount=50_000),
        evaluate_every=5_000,
        keep="last",
    ),
    "pretrain": Phase(
        optimiser=STACKED,
        batch_size=256,
        drop_last=False,
        budget=Budget(unit="steps", amount=100_000),
        evaluate_every=5_000,
        keep="last",
    ),
}
"""Stacked pre-training (Xie et al., 2016), as idec2017 takes it over."""

END_TO_END = {
    "layer": PRETRAINING["layer"],
    "pretrain": Phase(
        optimiser=Optimiser(momentum=0.9),
        batch_size=256,
        drop_last=False,
        clip=Clip(kind="tensor"),
        budget=Budget(unit="epochs", amount=200),
        evaluate_every=10,
        keep="last",
    ),
}
"""The plain pre-training of tkuco2024 for images, with the other one's layers for those who ask for them."""
