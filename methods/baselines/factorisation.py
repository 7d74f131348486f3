"""Nonnegative matrix factorisation of the raw samples, read as clusters."""

from __future__ import annotations

import numpy as np
from pydantic import Field
from sklearn.decomposition import NMF

from benchmark.registry import register_method
from benchmark.training import Clusterer, ClusterParams, RunContext
from methods.parts.flat import Found, flattened, found, stopping_at_its_limit


class LSNMFParams(ClusterParams):
    """Sweeps of coordinate descent at most, and the share of the first error below which they stop."""

    iterations: int = Field(200, ge=1)
    tolerance: float = Field(1e-4, ge=0)


@register_method("lsnmf")
class LSNMF(Clusterer[LSNMFParams]):
    """Least-squares nonnegative matrix factorisation X = W H of rank k; the largest coefficient names the cluster.

    The original alternates nonnegative least squares by projected gradients (Lin, 2007); its package runs no more with
    today's NumPy. Here scikit-learn minimises the same ||X - W H|| by coordinate descent, from singular vectors whose
    zeros are filled with the mean, so that nothing is random. Samples below 0 are shifted up, all by the same value.
    The embedding are the coefficients, the loss the Frobenius norm of the residual.
    """

    Params = LSNMFParams
    home = ("dynae2022/table2", "mnist-full")

    @staticmethod
    def needed_bytes(n: int, d: int) -> int:
        """Return the bytes for `n` samples of `d` values: the samples and their residual in float64."""
        return 8 * 3 * n * d

    def cluster(self, x: np.ndarray, params: LSNMFParams, context: RunContext) -> Found:
        """Factorise the flattened samples."""
        flat = flattened(x, self.needed_bytes).astype(np.float64)
        flat -= min(0.0, float(flat.min()))
        if params.n_clusters > min(flat.shape):
            raise ValueError(f"samples of {flat.shape[1]} values have no factorisation of rank {params.n_clusters}.")
        model = NMF(
            params.n_clusters,
            init="nndsvda",
            solver="cd",
            max_iter=params.iterations,
            tol=params.tolerance,
            random_state=context.streams.integer("factors"),
        )
        with stopping_at_its_limit():
            coefficients = model.fit_transform(flat)
        return found(
            coefficients.argmax(axis=1), coefficients.astype(np.float32), "residual", model.reconstruction_err_
        )
