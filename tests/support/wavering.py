"""A small method with all that a checkpoint must carry: two phases, dropout, streams, batch-norm and a target hook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.registry import register_method
from benchmark.spec import Budget, Clip, Optimiser, Phase, Protocol
from benchmark.training import (
    Batch,
    Carry,
    ClusterParams,
    DeepClusterer,
    Hook,
    Objective,
    RunContext,
    Terms,
    TrainingPhase,
)

PROTOCOL = Protocol(
    phases={
        "pretrain": Phase(optimiser=Optimiser(lr=0.01), batch_size=20, budget=Budget(amount=2), evaluate_every=1),
        "train": Phase(
            optimiser=Optimiser(name="sgd", lr=0.01, momentum=0.9),
            batch_size=20,
            clip=Clip(kind="global"),
            budget=Budget(amount=3),
            evaluate_every=1,
        ),
    }
)


@register_method("wavering")
class Wavering(DeepClusterer):
    """An auto-encoder with noise, dropout and moving targets: good for nothing but being interrupted."""

    Params = ClusterParams
    default_protocol = PROTOCOL

    def build(self, params: Any, shape: tuple[int, ...], context: RunContext) -> nn.Module:
        """Return a small auto-encoder with a head."""
        size = int(torch.tensor(shape).prod())
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(size, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2))
        model = nn.ModuleDict({"encoder": encoder, "decoder": nn.Linear(16, size), "head": nn.Linear(16, 5)})
        generator = context.streams.torch("init")
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.uniform_(-0.1, 0.1, generator=generator)
        return model

    def phases(self, model: Any, params: Any, x: Tensor, context: RunContext) -> Iterator[TrainingPhase]:  # type: ignore[override]
        """Yield an auto-encoder phase with noise, then one with targets that a hook moves."""
        noise, mixing = context.streams.torch("noise"), context.streams.numpy("mixing")
        parameters = list(model.parameters())

        def reconstruct(model: Any, batch: Batch) -> tuple[Terms, Tensor]:
            flat = batch.x.flatten(1)
            noisy = flat + 0.1 * torch.randn(flat.shape, generator=noise) if model.training else flat
            hidden = model["encoder"](noisy)
            return {"reconstruction": (model["decoder"](hidden) - flat).square().mean()}, model["head"](hidden)

        yield TrainingPhase(
            "pretrain",
            context.protocol.phases["pretrain"],
            model,
            [Objective(parameters, {"reconstruction": 1.0})],
            reconstruct,
        )
        start = model["head"].weight.detach().clone()  # the second phase depends on where the first one ended
        targets = torch.zeros(len(x), 5)

        def move(step: int) -> None:
            share = mixing.random()
            with torch.no_grad():
                model.eval()
                targets.mul_(share).add_((1 - share) * model["head"](model["encoder"](x.flatten(1))).softmax(1))

        def distance(model: Any, batch: Batch) -> tuple[Terms, Tensor]:
            alpha = model["head"](model["encoder"](batch.x.flatten(1))).softmax(1)
            pull = (model["head"].weight - start).square().sum()
            targets = batch.given["targets"].roll(1, 1)
            return {"distance": (alpha - targets).square().mean(), "pull": pull}, alpha

        def recall(state: Mapping[str, Tensor]) -> None:
            targets.copy_(state["targets"])

        yield TrainingPhase(
            "train",
            context.protocol.phases["train"],
            model,
            [Objective(parameters, {"distance": 1.0, "pull": 0.1})],
            distance,
            given={"targets": targets},
            hooks=(Hook(3, move),),
            carry=Carry(lambda: {"targets": targets}, recall),
        )

    def assign(self, model: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return assignments and hidden representations."""
        hidden = model["encoder"](x)
        return model["head"](hidden).softmax(1), hidden
