"""DEC and IDEC of ClustPy: another implementation, for a second opinion on ours; and what its other methods share."""

from __future__ import annotations

import importlib
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar
from unittest.mock import patch

import numpy as np
import torch
from pydantic import Field
from torch import nn

from benchmark.errors import UsageError, UserError
from benchmark.registry import register_method
from benchmark.spec import Budget, Optimiser, Phase, Protocol
from benchmark.training import Clusterer, ClusterParams, Diverged, Outcome, RunContext, build_optimiser
from methods.parts.refinement import clustering_divergence, student_t, target_distribution

PRETRAIN, CLUSTER = "clustpy-pretrain", "clustpy-cluster"

FREE = {"optimiser", "batch_size", "budget", "evaluate_every"}
"""Fields of a phase that ClustPy can follow, or that have no part in it; it does the others in one way."""

ROWS = 256
"""How many samples are embedded at a time."""


def _phase(epochs: int, lr: float) -> Phase:
    """Return a phase with ClustPy's defaults."""
    budget, optimiser = Budget(unit="epochs", amount=epochs), Optimiser(lr=lr, eps=1e-8)
    return Phase(optimiser=optimiser, batch_size=256, drop_last=False, budget=budget, evaluate_every=1, keep="last")


class ClustPyDECParams(ClusterParams):
    """The encoder's hidden layers and embedding, and starts of k-means; ClustPy's own default is one start."""

    layers: tuple[int, ...] = Field((500, 500, 2000), min_length=1)
    embedding: int = Field(10, ge=1)
    starts: int = Field(20, ge=1)


P = TypeVar("P", bound=ClustPyDECParams)


@register_method("clustpy-dec")
class ClustPyDEC(Clusterer[P]):
    """Deep embedded clustering by the code of ClustPy (extra `baselines`): another implementation.

    It is not the authors' protocol. Known differences, as of ClustPy 0.0.3: the target distribution is that of the
    current batch, so that there is no update interval and no stopping rule; pre-training is end to end, without noise,
    and by Adam; hidden layers are leaky ReLU with PyTorch's own initialisation. Its last step, k-means on the
    embedding, is not used: labels are those of DEC's own assignments (`dec_labels_`).

    The phases give batch size, epochs and optimiser, and have names of their own, so that a paper's settings of other
    methods leave ClustPy's defaults as they are. It keeps no losses, so `clustering` is computed here: the divergence
    of all samples after training, from the target distribution of all of them, divided by n (idec2017 Eq. 7).
    """

    Params = ClustPyDECParams
    home = ("idec2017/table2", "mnist-full")
    default_protocol = Protocol(phases={PRETRAIN: _phase(100, 1e-3), CLUSTER: _phase(150, 1e-4)})
    pretraining_phases = (PRETRAIN,)
    scaled = True
    requires: ClassVar[tuple[str, ...]] = ("clustpy",)
    algorithm: ClassVar[str] = "DEC"
    attributes: ClassVar[str] = "dec"
    """What the names of ClustPy's own labels and centres begin with."""

    def weights(self, params: P) -> dict[str, float]:
        """Return the weight of each loss term."""
        return {"clustering": 1.0}

    def cluster(self, x: np.ndarray, params: P, context: RunContext) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Pre-train and cluster the flattened samples; UserError where ClustPy is not installed."""
        phases = {name: self._followed(name, context.protocol.phases[name]) for name in (PRETRAIN, CLUSTER)}
        flat, seed, weights = x.reshape(len(x), -1), context.streams.integer("clustpy"), self.weights(params)
        with contained(context) as (deep, epoch_losses):
            network = self._pretrained(deep, flat, params, phases[PRETRAIN], seed, context)
            model = getattr(deep, self.algorithm)(
                params.n_clusters,
                batch_size=phases[CLUSTER].batch_size,
                clustering_epochs=phases[CLUSTER].budget.amount,
                optimizer_class=_optimiser(phases[CLUSTER].optimiser),
                clustering_optimizer_params={},
                neural_network=network,
                embedding_size=params.embedding,
                **self.options(params),
                device=context.device,
                random_state=seed,
            ).fit(flat)
        name = self.attributes
        self.cluster_centers_ = getattr(model, f"{name}_cluster_centers_")
        embedding, terms = self.evaluated(model, flat, context.device, epoch_losses)
        total = sum(weight * terms[name] for name, weight in weights.items())
        epochs = [phase.budget.amount for phase in phases.values()]
        steps = sum(phase.budget.amount * math.ceil(len(x) / phase.batch_size) for phase in phases.values())
        kept = {name: terms[name] for name in weights}
        labels = getattr(model, f"{name}_labels_").astype(np.int64)
        return labels, embedding, Outcome(total, total, kept, (), sum(epochs), steps)

    def options(self, params: P) -> dict[str, Any]:
        """Return the arguments of ClustPy's estimator that are particular to it."""
        weights, starts = self.weights(params), {"n_init": params.starts}
        named = {"clustering": "clustering_loss_weight", "reconstruction": "ssl_loss_weight"}
        return {**{named[name]: weight for name, weight in weights.items()}, "initial_clustering_params": starts}

    def untrained(self, deep: Any, layers: list[int], seed: int) -> nn.Module:
        """Return ClustPy's network before training."""
        found: nn.Module = deep.neural_networks.FeedforwardAutoencoder(layers, work_on_copy=False, random_state=seed)
        return found

    def pretraining_options(self) -> dict[str, Any]:
        """Return what ClustPy is told of pre-training beside its optimiser and data."""
        return {}

    def evaluated(
        self, model: Any, x: np.ndarray, device: torch.device, epoch_losses: Mapping[str, float]
    ) -> tuple[np.ndarray, dict[str, float]]:
        """Return the embedding (n, e) of `x` (n, d), and the loss terms of all samples after training.

        `epoch_losses` are the sums over the batches of the last epoch that ClustPy shows, by phase.
        """
        embedding, squares = encoded(model.neural_network_trained_, x, device)
        soft = student_t(embedding, torch.from_numpy(model.dec_cluster_centers_).to(embedding.dtype))
        divergence = float(clustering_divergence(target_distribution(soft), soft))
        return embedding.numpy(), {"clustering": divergence, "reconstruction": squares}

    def _pretrained(
        self, deep: Any, x: np.ndarray, params: P, phase: Phase, seed: int, context: RunContext
    ) -> nn.Module:
        """Return ClustPy's auto-encoder, trained on `x` (n, d) as its DEC would."""
        layers = [x.shape[1], *params.layers, params.embedding]
        network = self.untrained(deep, layers, seed)
        network.to(context.device).fit(  # type: ignore[operator]
            phase.budget.amount,
            optimizer_params={},
            optimizer_class=_optimiser(phase.optimiser),
            dataloader=deep.get_dataloader(x, phase.batch_size, shuffle=True),
            **self.pretraining_options(),
        )
        return network

    def _followed(self, name: str, phase: Phase) -> Phase:
        """Return the phase; UsageError where it asks for what ClustPy does otherwise."""
        default = self.default_protocol.phases[name]
        for field in Phase.model_fields:
            if field not in FREE and getattr(phase, field) != getattr(default, field):
                raise UsageError(
                    f"{self.method_name} cannot train with phases.{name}.{field} = {getattr(phase, field)!r}: "
                    f"ClustPy has only {getattr(default, field)!r}."
                )
        if phase.optimiser.decay_every:
            raise UsageError(
                f"{self.method_name} cannot change its learning rate: set phases.{name}.optimiser.decay_every=0."
            )
        if phase.budget.unit != "epochs":
            raise UsageError(f"{self.method_name} counts phases.{name}.budget in epochs, not in {phase.budget.unit}.")
        return phase


class ClustPyIDECParams(ClustPyDECParams):
    """Parameters of DEC, with IDEC's weight of the clustering loss; ClustPy's default, beside a sum over features."""

    clustering_weight: float = Field(0.1, ge=0)
    reconstruction_weight: float = Field(1.0, gt=0)


@register_method("clustpy-idec")
class ClustPyIDEC(ClustPyDEC[ClustPyIDECParams]):
    """Improved deep embedded clustering by the code of ClustPy (extra `baselines`): another implementation.

    Differs from the authors' as `ClustPyDEC` does. `reconstruction` is the sum of squares over the features, averaged
    over the samples: as in idec2017 Eq. 8, but not the mean over the features of the authors' code, beside which the
    same `clustering_weight` weighs d times as much as here (ledger I1).
    """

    Params = ClustPyIDECParams
    home = ("idec2017/table2", "mnist-full")
    algorithm = "IDEC"

    def weights(self, params: ClustPyIDECParams) -> dict[str, float]:
        """Return the weight of each loss term."""
        return {"clustering": params.clustering_weight, "reconstruction": params.reconstruction_weight}


def _optimiser(spec: Optimiser) -> Callable[..., torch.optim.Optimizer]:
    """Return what ClustPy calls to make an optimiser, as the suite makes it from `spec`."""

    def build(params: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return build_optimiser(spec, list(params))

    return build


def encoded(network: Any, x: np.ndarray, device: torch.device) -> tuple[torch.Tensor, float]:
    """Return the embedding (n, e) of `x` (n, d), and the mean squared length of what its reconstruction lacks."""
    embedded, squares = [], 0.0
    with torch.no_grad():
        for start in range(0, len(x), ROWS):
            batch = torch.tensor(x[start : start + ROWS], device=device)
            embedded.append(network.encode(batch).cpu())
            squares += float((network.decode(embedded[-1].to(device)) - batch).square().sum())
    return torch.cat(embedded), squares / len(x)


class _Epochs:
    """Stands in for tqdm's bar: counts epochs in silence, reports them, and stops a training whose loss is lost."""

    def __init__(self, amount: int, context: RunContext, desc: str, losses: dict[str, float]) -> None:
        self._amount, self._context, self._phase = amount, context, PRETRAIN if desc.startswith("AE") else CLUSTER
        self._losses = losses

    def __iter__(self) -> Iterator[int]:
        for epoch in range(self._amount):
            yield epoch
            if self._context.progress is not None:
                self._context.progress(self._phase, epoch + 1, self._amount)

    def set_postfix(self, values: Mapping[str, float]) -> None:
        """Look at the losses of an epoch, which ClustPy shows here."""
        if not all(map(math.isfinite, values.values())):
            raise Diverged(f"the training loss of ClustPy was not finite in an epoch of phase {self._phase!r}")
        self._losses[self._phase] = float(sum(values.values()))


@contextmanager
def contained(context: RunContext) -> Iterator[tuple[Any, dict[str, float]]]:
    """Give the module `clustpy.deep` without its traces: progress bars, and seeds of the generators of all.

    The second value has the losses of the latest epoch by phase, as ClustPy shows them: sums over the batches.
    """
    losses: dict[str, float] = {}
    try:
        deep = importlib.import_module("clustpy.deep")
    except ImportError:
        raise UserError("ClustPy is not installed: pip install 'reclust[baselines]'.") from None
    states = np.random.get_state(), random.getstate()
    try:
        with patch("tqdm.trange", lambda amount, desc: _Epochs(amount, context, desc, losses)):
            yield deep, losses
    finally:
        np.random.set_state(states[0])
        random.setstate(states[1])
