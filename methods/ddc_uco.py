"""DDC with unsupervised companion objectives on the outputs of the blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from benchmark.registry import register_method
from benchmark.training import Batch, Terms
from methods.ddc import DDC, DDCParams, Output
from methods.divergence import cauchy_schwarz, companion_weights
from methods.kernels import squared_distances, tensor_distances


class DDCUCOParams(DDCParams):
    """Parameters of the companions; the ledger entry that each one carries is named in brackets.

    `companion_weight` is lambda and `omega` its course over the blocks [W1, W2]; `taps` are the layers tapped [C8];
    `detach_assignments` stops the gradient of the companions at the assignments.
    """

    companion_weight: float = Field(0.01, ge=0)
    omega: Literal["constant", "linear", "exponential", "exponential-printed"] = "constant"
    taps: tuple[str, ...] = Field(("block1_pool", "block2_pool"), min_length=1)
    detach_assignments: bool = False


class TensorKernelParams(DDCUCOParams):
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
    introduced: ClassVar[Mapping[str, Any]] = {**DDCUCOParams.introduced, "negligible_weight": 0.0}


@register_method("ddc-uco-n")
class DDCUCON(DDC):
    """DDC-UCO_N: companions with the naive kernel on flattened block outputs (tkuco2024 Eq. 2, 10)."""

    Params = DDCUCOParams

    def terms(self, model: nn.Module, output: Output, batch: Batch, params: Any) -> Terms:
        """Return the terms of DDC, and one companion for each tapped block (Eq. 2)."""
        terms = super().terms(model, output, batch, params)
        assignments = output.assignments.detach() if params.detach_assignments else output.assignments
        for number, tap in enumerate(output.taps, start=1):
            kernel = self.block_kernel(tap, params)
            terms[f"companion_{number}"] = cauchy_schwarz(
                assignments, kernel, factor=params.divergence_factor, epsilon=params.epsilon
            )
        return terms

    def weights(self, params: Any) -> dict[str, float]:
        """Return the weights of DDC, and lambda omega(b) for the companion of block b (Eq. 3, 4)."""
        omegas = companion_weights(len(params.taps), params.omega)
        companions = {f"companion_{b}": params.companion_weight * omega for b, omega in enumerate(omegas, start=1)}
        return {**super().weights(params), **companions}

    def tapped(self, params: Any) -> tuple[str, ...]:
        """Return the tapped layers."""
        return tuple(params.taps)

    def block_kernel(self, tap: Tensor, params: Any) -> Tensor:
        """Return the kernel (n, n) of block outputs."""
        return self.kernel(self.block_distances(tap, params), params)

    def block_distances(self, tap: Tensor, params: Any) -> Tensor:
        """Return the squared distances (n, n) between block outputs, flattened."""
        return squared_distances(tap)


@register_method("ddc-uco-t")
class DDCUCOT(DDCUCON):
    """DDC-UCO_T: companions with the tensor kernel (tkuco2024 Eq. 12-17); DTKC of dtkc2019 is the same model."""

    Params = TensorKernelParams

    def block_distances(self, tap: Tensor, params: Any) -> Tensor:
        """Return the sum over modes of squared distances between the row spaces of the matricisations."""
        if tap.ndim == 2 and params.vector_kernel == "gaussian":
            return squared_distances(tap)
        return tensor_distances(
            tap,
            transpose=params.transpose,
            form=params.projector_form,
            solver=params.kernel_solver,
            ridge=params.ridge,
        )

    def block_kernel(self, tap: Tensor, params: Any) -> Tensor:
        """Return the kernel (n, n) of block outputs; its negligible entries give no gradient."""
        distances = self.block_distances(tap, params)
        return self.kernel(distances, params, negligible=params.negligible_weight)
