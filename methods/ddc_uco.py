"""DDC with unsupervised companion objectives on the outputs of the blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from benchmark.registry import register_method
from benchmark.training import Batch, Terms
from methods.ddc import DDC, DDCParams, Output
from methods.parts.companions import CompanionParams, NaiveCompanions, TensorCompanions, TensorParams


class DDCUCOParams(CompanionParams, DDCParams):
    """Parameters of DDC and of its companions."""

    introduced: ClassVar[Mapping[str, Any]] = DDCParams.introduced


class TensorKernelParams(TensorParams, DDCParams):
    """Parameters of DDC, of its companions and of their tensor kernel."""

    introduced: ClassVar[Mapping[str, Any]] = {**DDCParams.introduced, **TensorParams.introduced}


@register_method("ddc-uco-n")
class DDCUCON(NaiveCompanions, DDC):
    """DDC-UCO_N: companions with the naive kernel on flattened block outputs (tkuco2024 Eq. 2, 10)."""

    Params = DDCUCOParams

    def terms(self, model: nn.Module, output: Output, batch: Batch, params: Any) -> Terms:
        """Return the terms of DDC, and one companion for each tapped block (Eq. 2)."""
        terms = super().terms(model, output, batch, params)
        return {**terms, **self.companions(output.assignments, output.taps, params)}

    def weights(self, params: Any) -> dict[str, float]:
        """Return the weights of DDC, and lambda omega(b) for the companion of block b (Eq. 3, 4)."""
        return {**super().weights(params), **self.companion_weights(params)}

    def tapped(self, params: Any) -> tuple[str, ...]:
        """Return the tapped layers."""
        return tuple(params.taps)


@register_method("ddc-uco-t")
class DDCUCOT(TensorCompanions, DDCUCON):
    """DDC-UCO_T: companions with the tensor kernel (tkuco2024 Eq. 12-17); DTKC of dtkc2019 is the same model."""

    Params = TensorKernelParams
