"""DynAE: an auto-encoder that comes to reconstruct centres instead of samples, one sure sample after another."""

from __future__ import annotations

from torch import Tensor

from benchmark.registry import register_method
from benchmark.spec import Budget, Optimiser, Phase, Protocol
from benchmark.training import Batch, Carry, DeepClusterer, Draws, Hook, Objective, RunContext, Terms, TrainingPhase
from methods.acai import PRETRAINING
from methods.parts.dynamic.augmentation import augmented
from methods.parts.dynamic.conflicts import unconflicted
from methods.parts.dynamic.dynamics import Checks, DynAENetwork, DynAEParams, dynamic_terms
from methods.parts.networks import initialise


@register_method("dynae")
class DynAE(DeepClusterer[DynAEParams, DynAENetwork]):
    """Dynamic auto-encoder (dynae2022 section 4.2, Eq. 8 to 14), from the weights of `acai`.

    Samples that are sure of their cluster are pulled to its centre and reconstruct its image, the others reconstruct
    themselves. When the number of the others no longer falls, centres are found anew and thresholds drop. Targets are
    those of images as they are, inputs are augmented; evaluations take images as they are.
    """

    Params = DynAEParams
    home = ("dynae2022/table3", "mnist-full")
    default_protocol = Protocol(
        phases={
            "pretrain": PRETRAINING,
            "cluster": Phase(
                optimiser=Optimiser(name="sgd", lr=0.001, momentum=0.9),
                batch_size=256,
                sampler="fixed",
                drop_last=False,
                budget=Budget(unit="steps", amount=100_000),
                evaluate_every=140,
                keep="last",
            ),
        }
    )
    pretrained_by = "acai"

    def build(self, params: DynAEParams, shape: tuple[int, ...], context: RunContext) -> DynAENetwork:
        """Return the initialised network."""
        model = DynAENetwork(params, shape)
        initialise(model, params.initialisation, context.streams)
        return model

    def phases(self, model: DynAENetwork, params: DynAEParams, x: Tensor, context: RunContext) -> list[TrainingPhase]:
        """Return the one phase of the pre-trained network, `cluster`."""
        checks = Checks(model, params, x, context.streams.integer("centres"))
        generator, draws = context.streams.torch("augment"), Draws()

        def forward(model: DynAENetwork, batch: Batch) -> tuple[Terms, Tensor]:
            x = batch.x
            if model.training:
                x = augmented(x, params.shift, params.rotation, generator, draws)
            return dynamic_terms(model, batch.x, x, params)

        weights = {"image": 1.0, "embedding": params.embedding_weight}
        return [
            TrainingPhase(
                "cluster",
                context.protocol.phases["cluster"],
                model,
                [Objective(model.autoencoder(), weights)],
                forward,
                hooks=[Hook(params.check_interval, checks.run)],
                stop=checks.settled,
                carry=Carry(checks.state, checks.load),
                draws=draws,
                steady=True,
            )
        ]

    def assign(self, model: DynAENetwork, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the soft assignments (b, k) and the embeddings (b, e) of a batch."""
        return model.soft(x)

    def subsets(self, model: DynAENetwork, x: Tensor) -> dict[str, Tensor]:
        """Return which samples (n,) are unconflicted and which conflicted, by the thresholds of `model`."""
        sure = unconflicted(model.soft(x)[0], model.thresholds, self.checked_params().edge)
        return {"unconflicted": sure, "conflicted": ~sure}

    def mismatch_terms(self, model: DynAENetwork, x: Tensor, clusters: Tensor) -> dict[str, Tensor]:
        """Return the losses whose gradients feature randomness and drift compare (dynae2022 Eq. 1, 3; Y9, Y18).

        `clusters` (n,) are those that the true classes are matched to. The whole loss is the weighted sum of the
        embedding and the image term; of conflicted samples the first has no gradient on images as they are.
        """
        params = self.checked_params()
        terms, _ = dynamic_terms(model, x, x, params)
        away = model.encode(x)[0] - model.centres[clusters]
        true = away.square().sum(dim=1).mean() / (away.shape[1] if params.errors == "mean" else 1)
        whole = terms["image"] + params.embedding_weight * terms["embedding"]
        return {"pseudo": terms["embedding"], "auxiliary": terms["image"], "whole": whole, "true": true}
