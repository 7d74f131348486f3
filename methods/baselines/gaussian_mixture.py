"""A mixture of Gaussians on the raw samples."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field
from sklearn.mixture import GaussianMixture as ExpectationMaximisation

from benchmark.registry import register_method
from benchmark.training import Clusterer, ClusterParams, RunContext
from methods.parts.flat import Found, flattened, found, stopping_at_its_limit


class GaussianMixtureParams(ClusterParams):
    """Covariances, what is added to their diagonals, and steps of expectation and maximisation: scikit-learn's own."""

    covariances: Literal["full", "diag"] = "full"
    ridge: float = Field(1e-6, gt=0)
    iterations: int = Field(100, ge=1)


@register_method("gmm")
class GaussianMixture(Clusterer[GaussianMixtureParams]):
    """Expectation maximisation for a mixture of Gaussians (scikit-learn), from one start of k-means.

    A sample belongs to the component most likely to have drawn it. The embedding are the probabilities of components,
    the loss the negative mean log-likelihood of a sample, which is lowest for the mixture that fits best.
    """

    Params = GaussianMixtureParams
    home = ("dynae2022/table2", "mnist-full")

    @staticmethod
    def needed_bytes(n: int, d: int) -> int:
        """Return the bytes for `n` samples of `d` values: some copies of them in float64, and ten covariances."""
        return 8 * (4 * n * d + 3 * 10 * d * d)

    def cluster(self, x: np.ndarray, params: GaussianMixtureParams, context: RunContext) -> Found:
        """Fit the mixture to the flattened samples."""
        flat = flattened(x, self.needed_bytes).astype(np.float64)
        model = ExpectationMaximisation(
            params.n_clusters,
            covariance_type=params.covariances,
            reg_covar=params.ridge,
            max_iter=params.iterations,
            random_state=context.streams.integer("kmeans"),
        )
        with stopping_at_its_limit():
            model.fit(flat)
        shares = model.predict_proba(flat)
        return found(shares.argmax(axis=1), shares.astype(np.float32), "likelihood", -model.score(flat))
