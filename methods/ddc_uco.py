"""DDC with unsupervised companion objectives on the outputs of the blocks."""

from __future__ import annotations

from typing import TypeVar

from benchmark.registry import register_method
from benchmark.training import Batch, Terms
from methods.ddc import DDC, DDCNetwork, DDCParams, Output
from methods.parts.companions import CompanionParams, NaiveCompanions, TensorCompanions, TensorParams


class DDCUCOParams(CompanionParams, DDCParams):
    """Parameters of DDC and of its companions."""


class TensorKernelParams(TensorParams, DDCUCOParams):
    """Parameters of DDC, of its companions and of their tensor kernel."""


P = TypeVar("P", bound=DDCUCOParams)


@register_method("ddc-uco-n")
class DDCUCON(NaiveCompanions, DDC[P]):
    """DDC-UCO_N: companions with the naive kernel on flattened block outputs (tkuco2024 Eq. 2, 10)."""

    Params = DDCUCOParams
    home = ("tkuco2024/table2", "mnist")

    def terms(self, model: DDCNetwork, output: Output, batch: Batch, params: P) -> Terms:
        """Return the terms of DDC, and one companion for each tapped block (Eq. 2)."""
        terms = super().terms(model, output, batch, params)
        return {**terms, **self.companions(output.assignments, output.taps, params)}

    def weights(self, params: P) -> dict[str, float]:
        """Return the weights of DDC, and lambda omega(b) for the companion of block b (Eq. 3, 4)."""
        return {**super().weights(params), **self.companion_weights(params)}

    def tapped(self, params: P) -> tuple[str, ...]:
        """Return the tapped layers."""
        return tuple(params.taps)


@register_method("ddc-uco-t")
class DDCUCOT(TensorCompanions, DDCUCON[TensorKernelParams]):
    """DDC-UCO_T: companions with the tensor kernel (tkuco2024 Eq. 12-17); DTKC of dtkc2019 is the same model."""

    Params = TensorKernelParams
    home = ("tkuco2024/table2", "mnist")
