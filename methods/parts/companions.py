"""Unsupervised companion objectives on tapped layers, for any method with soft assignments (tkuco2024 Eq. 2-17)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from benchmark.spec import Frozen
from benchmark.training import Terms
from methods.parts.divergence import cauchy_schwarz, companion_weights
from methods.parts.kernels import gaussian_kernel, squared_distances, tensor_distances


class KernelParams(Frozen):
    """Parameters of a divergence between clusters; the ledger entry that each one carries is named in brackets.

    `width`, `width_rule` [K1], `width_average` [K2] and `bandwidth` [K12] set the Gaussian kernel; `divergence_factor`
    [K10] and `epsilon` [K11] the divergence. `distance_gradient` is how squared distances are differentiated [K15].
    """

    width: float = Field(0.15, gt=0)
    width_rule: Literal["paper", "tkuco", "dtkc"] = "paper"
    width_average: Literal["median", "mean"] = "median"
    bandwidth: Literal["sigma", "sqrt2sigma"] = "sigma"
    divergence_factor: Literal["pairs", "classes"] = "pairs"
    epsilon: Literal["clamp", "root"] = "clamp"
    distance_gradient: Literal["exact", "authors"] = "exact"
    introduced: ClassVar[Mapping[str, Any]] = {"distance_gradient": "exact"}


class CompanionParams(KernelParams):
    """Parameters of the companions; the ledger entry that each one carries is named in brackets.

    `companion_weight` is lambda and `omega` its course over the blocks [W1, W2]; `taps` are the layers tapped [C8];
    `detach_assignments` stops the gradient of the companions at the assignments.
    """

    companion_weight: float = Field(0.01, ge=0)
    omega: Literal["constant", "linear", "exponential", "exponential-printed"] = "constant"
    taps: tuple[str, ...] = Field(("block1_pool", "block2_pool"), min_length=1)
    detach_assignments: bool = False


class TensorParams(CompanionParams):
    """Parameters of the tensor kernel; the ledger entry that each one carries is named in brackets.

    `transpose` [K3], `projector_form` (Eq. 16 or 17) [K14], `kernel_solver` [K13] with `ridge` [K8], and
    `vector_kernel` [K5], which replaces the distance between lines on taps that are vectors. Kernel entries below
    `negligible_weight` give no gradient, which saves time on CPUs [D9].
    """

    transpose: bool = True
    projector_form: Literal["projector", "trace"] = "projector"
    kernel_solver: Literal["exact", "eigh32"] = "exact"
    ridge: float = Field(1e-6, gt=0)
    vector_kernel: Literal["grassmann", "gaussian"] = "grassmann"
    negligible_weight: float = Field(0.0, ge=0, lt=1)
    introduced: ClassVar[Mapping[str, Any]] = {"negligible_weight": 0.0}


def width_kernel(d2: Tensor, params: Any, negligible: float = 0.0) -> Tensor:
    """Return the Gaussian kernel of squared distances (n, n) under the width rule of the parameters."""
    return gaussian_kernel(
        d2, params.width, params.width_rule, params.width_average, params.bandwidth, negligible=negligible
    )


class NaiveCompanions:
    """Companions with the naive kernel, on flattened outputs (tkuco2024 Eq. 2, 10)."""

    def companions(self, assignments: Tensor, taps: Sequence[Tensor], params: Any) -> Terms:
        """Return one companion for each tapped output (Eq. 2), given soft assignments (b, k)."""
        assignments = assignments.detach() if params.detach_assignments else assignments
        return {
            f"companion_{number}": cauchy_schwarz(
                assignments,
                self.block_kernel(tap, params),
                factor=params.divergence_factor,
                epsilon=params.epsilon,
            )
            for number, tap in enumerate(taps, start=1)
        }

    def companion_weights(self, params: Any) -> dict[str, float]:
        """Return lambda omega(b) for the companion of block b (Eq. 3, 4)."""
        omegas = companion_weights(len(params.taps), params.omega)
        return {f"companion_{b}": params.companion_weight * omega for b, omega in enumerate(omegas, start=1)}

    def block_kernel(self, tap: Tensor, params: Any) -> Tensor:
        """Return the kernel (n, n) of block outputs."""
        return width_kernel(self.block_distances(tap, params), params)

    def block_distances(self, tap: Tensor, params: Any) -> Tensor:
        """Return the squared distances (n, n) between block outputs, flattened."""
        return squared_distances(tap, gradient=params.distance_gradient)


class TensorCompanions(NaiveCompanions):
    """Companions with the tensor kernel (tkuco2024 Eq. 12-17)."""

    def block_distances(self, tap: Tensor, params: Any) -> Tensor:
        """Return the sum over modes of squared distances between the row spaces of the matricisations."""
        if tap.ndim == 2 and params.vector_kernel == "gaussian":
            return squared_distances(tap, gradient=params.distance_gradient)
        return tensor_distances(
            tap,
            transpose=params.transpose,
            form=params.projector_form,
            solver=params.kernel_solver,
            ridge=params.ridge,
        )

    def block_kernel(self, tap: Tensor, params: Any) -> Tensor:
        """Return the kernel (n, n) of block outputs; its negligible entries give no gradient."""
        return width_kernel(self.block_distances(tap, params), params, negligible=params.negligible_weight)
