"""DCN and VaDE of the package ClustPy, of which the suite has no implementation of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from benchmark.errors import UsageError
from benchmark.registry import register_method
from benchmark.training import Outcome, RunContext
from methods.baselines.clustpy_baselines import CLUSTER, ClustPyDEC, ClustPyDECParams, encoded


class ClustPyDCNParams(ClustPyDECParams):
    """Parameters of DEC, with the weights of DCN's two terms; ClustPy's defaults."""

    clustering_weight: float = Field(0.1, ge=0)
    reconstruction_weight: float = Field(1.0, gt=0)


@register_method("clustpy-dcn")
class ClustPyDCN(ClustPyDEC[ClustPyDCNParams]):
    """Deep clustering network (Yang, Fu, Sidiropoulos and Hong, 2017) by the code of ClustPy (extra `baselines`).

    An auto-encoder trains on with half of `clustering_weight` times the squared distance of each embedding to its
    centre; centres and assignments follow batch by batch. `clustering` and `reconstruction` are means over all samples
    after training. Network and pre-training are those of `ClustPyDEC`, not those of DCN's authors.
    """

    Params = ClustPyDCNParams
    home = ("dynae2022/table2", "mnist-full")
    algorithm = "DCN"
    attributes = "dcn"

    def weights(self, params: ClustPyDCNParams) -> dict[str, float]:
        """Return the weight of each loss term: ClustPy halves that of clustering, as the paper does."""
        return {"clustering": 0.5 * params.clustering_weight, "reconstruction": params.reconstruction_weight}

    def options(self, params: ClustPyDCNParams) -> dict[str, Any]:
        """Return the arguments of ClustPy's estimator, which halves the first weight itself."""
        return {**super().options(params), "clustering_loss_weight": params.clustering_weight}

    def evaluated(
        self, model: Any, x: np.ndarray, device: torch.device, epoch_losses: Mapping[str, float]
    ) -> tuple[np.ndarray, dict[str, float]]:
        """Return the embedding (n, e) of `x` (n, d), and both terms."""
        embedding, squares = encoded(model.neural_network_trained_, x, device)
        centres = torch.from_numpy(model.dcn_cluster_centers_).to(embedding.dtype)
        away = embedding - centres[torch.from_numpy(model.dcn_labels_).long()]
        return embedding.numpy(), {"clustering": float(away.square().sum(dim=1).mean()), "reconstruction": squares}


@register_method("clustpy-vade")
class ClustPyVaDE(ClustPyDEC[ClustPyDECParams]):
    """Variational deep embedding (Jiang, Zheng, Tan, Tang and Zhou, 2017) by the code of ClustPy (extra `baselines`).

    A mixture of Gaussians is the prior of a variational auto-encoder, which is pre-trained as a plain one; the mixture
    starts from one of scikit-learn with diagonal covariances and `starts` starts. Values of the samples must lie in
    [0, 1], as the reconstruction is a cross-entropy. Known differences from the paper, as of ClustPy 0.0.3: the
    cross-entropy is summed over a batch while all else is averaged, so that it weighs batch-size times as much; labels
    come from one draw of the embedding. `training` is the objective of the last epoch as ClustPy adds it, per sample.
    """

    Params = ClustPyDECParams
    home = ("dynae2022/table2", "mnist-full")
    algorithm = "VaDE"
    attributes = "vade"

    def cluster(
        self, x: np.ndarray, params: ClustPyDECParams, context: RunContext
    ) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Pre-train and cluster the flattened samples; UsageError where values lie outside [0, 1]."""
        if x.min() < 0 or x.max() > 1:
            raise UsageError(f"{self.method_name} needs values in [0, 1]: scale the samples (minmax).")
        return super().cluster(x, params, context)

    def weights(self, params: ClustPyDECParams) -> dict[str, float]:
        """Return the weight of each loss term."""
        return {"training": 1.0}

    def options(self, params: ClustPyDECParams) -> dict[str, Any]:
        """Return the start of the mixture."""
        return {"initial_clustering_params": {"n_init": params.starts, "covariance_type": "diag"}}

    def untrained(self, deep: Any, layers: list[int], seed: int) -> nn.Module:
        """Return ClustPy's variational auto-encoder, which is a plain one while it is pre-trained."""
        found: nn.Module = deep.vade._VaDE_VAE(layers, work_on_copy=False, random_state=seed)
        return found

    def pretraining_options(self) -> dict[str, Any]:
        """Return the loss of pre-training, which is that of VaDE's reconstruction."""
        return {"ssl_loss_fn": nn.BCELoss(reduction="sum")}

    def evaluated(
        self, model: Any, x: np.ndarray, device: torch.device, epoch_losses: Mapping[str, float]
    ) -> tuple[np.ndarray, dict[str, float]]:
        """Return the means of the embedding (n, e) of `x` (n, d), and the objective of the last epoch per sample."""
        with torch.no_grad():
            means = model.neural_network_trained_.encode(torch.tensor(x, device=device))[0].cpu().numpy()
        return means, {"training": epoch_losses.get(CLUSTER, 0.0) / len(x)}
