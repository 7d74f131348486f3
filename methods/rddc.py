"""DDC and DTKC for sequences, with a recurrent network."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from benchmark.registry import register_method
from benchmark.spec import Frozen, Protocol
from benchmark.training import Batch, Outcome, PhaseResult, RunContext, as_lengths, outcome_of
from methods.ddc import DDC, THESIS_PHASE, DDCNetwork, DDCParams, Output
from methods.ddc_uco import DDCUCOT, TensorKernelParams
from methods.parts.networks import check_taps, initialise

ROWS = 256
"""How many sequences are assigned at a time."""


class SequenceParams(Frozen):
    """Parameters of models of sequences: with `use_lengths`, steps after the end of a sequence have no effect [T20]."""

    network: str = "gru-2x32-bidirectional"
    initialisation: Literal["glorot", "he", "he-glorot"] = "he-glorot"
    use_lengths: bool = True


class RDDCParams(SequenceParams, DDCParams):
    """Parameters of RDDC."""


class RDTKCParams(SequenceParams, TensorKernelParams):
    """Parameters of RDTKC: the layers with a companion, whose last states are vectors under the Gaussian kernel."""

    taps: tuple[str, ...] = Field(("layer1", "layer2"), min_length=1)
    vector_kernel: Literal["grassmann", "gaussian"] = "gaussian"


class SequenceNetwork(DDCNetwork):
    """The network of DDC over a backbone that can be told the lengths of sequences."""

    def forward(self, x: Tensor, taps: tuple[str, ...] = (), lengths: Tensor | None = None) -> Output:
        """Map sequences (b, steps, values), of which the first `lengths` (b,) steps count, to an `Output`."""
        told = {} if lengths is None else {"lengths": lengths}
        features, tapped = self.backbone(x, taps, **told)
        hidden, assignments = self.head(features)
        return Output(assignments, hidden, features, tapped)


class OnSequences(DDC[Any]):
    """A model of the DDC family whose network is told the lengths of the sequences (dtkc2019 section 17.9).

    `fit`, `predict` and `transform` take `lengths` (n,), the steps of each sequence before its padding; without them,
    every step counts.
    """

    default_protocol = Protocol(phases={"train": THESIS_PHASE})

    def build(self, params: Any, shape: tuple[int, ...], context: RunContext) -> DDCNetwork:
        """Return the initialised network."""
        model = SequenceNetwork(params, shape)
        check_taps(params.network, model.shapes, self.tapped(params))
        initialise(model, params.initialisation, context.streams)
        return model

    def output(self, model: DDCNetwork, batch: Batch, params: Any, taps: tuple[str, ...] | None = None) -> Output:
        """Return what the network gives for a batch of sequences and their lengths."""
        output: Output = model(
            batch.x, self.tapped(params) if taps is None else taps, batch.lengths if params.use_lengths else None
        )
        return output

    def found(
        self, samples: Tensor, params: Any, context: RunContext, results: list[PhaseResult]
    ) -> tuple[np.ndarray, np.ndarray, Outcome]:
        """Return labels (n,), embedding (n, d) and outcome."""
        assignments = results[-1].kept.assignments
        assert assignments is not None
        return assignments, self._of_all(samples, context.lengths)[1], outcome_of(results)

    def predict(self, X: Any, lengths: Any = None) -> np.ndarray:
        """Return the hard assignments (n,) of new sequences."""
        labels: np.ndarray = self._of_new(X, lengths)[0].argmax(axis=1)
        return labels

    def transform(self, X: Any, lengths: Any = None) -> np.ndarray:
        """Return the hidden representations (n, d) of new sequences."""
        return self._of_new(X, lengths)[1]

    def _of_new(self, X: Any, lengths: Any) -> tuple[np.ndarray, np.ndarray]:
        x = self._new_samples(X)
        told = None if lengths is None else as_lengths(lengths, x, self.device_)
        return self._of_all(self._samples(x, self.device_), told)

    def _of_all(self, samples: Tensor, lengths: Tensor | None) -> tuple[np.ndarray, np.ndarray]:
        """Return soft assignments (n, k) and hidden representations (n, d)."""
        steps = lengths if self.use_lengths else None
        found: list[Output] = []
        with torch.no_grad():
            for start in range(0, len(samples), ROWS):
                rows = slice(start, start + ROWS)
                found.append(self.model_(samples[rows], (), None if steps is None else steps[rows]))
        soft, hidden = (torch.cat([getattr(part, name) for part in found]) for name in ("assignments", "hidden"))
        return soft.cpu().numpy(), hidden.cpu().numpy()


@register_method("rddc")
class RDDC(OnSequences):
    """RDDC: DDC on the last states of a recurrent network (Trosten et al., 2019; dtkc2019 section 17.9)."""

    Params = RDDCParams
    home = ("dtkc2019/table10", "arabic-digits")


@register_method("rdtkc")
class RDTKC(OnSequences, DDCUCOT):
    """RDTKC: RDDC with a companion on the last states of each recurrent layer (dtkc2019 section 17.9)."""

    Params = RDTKCParams
    home = ("dtkc2019/table10", "arabic-digits")
