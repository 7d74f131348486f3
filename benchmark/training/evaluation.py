"""The evaluation of a phase: loss terms and assignments of all samples, in inference mode and without gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.training.batches import evaluation_batches
from benchmark.training.gradients import TermGradients, term_gradients
from benchmark.training.phases import RunContext, TrainingPhase
from benchmark.training.stepping import gathered


@dataclass(frozen=True)
class Evaluated:
    """The total of the first objective, the means of all terms, and hard assignments (n,) where there are any."""

    total: float
    terms: Mapping[str, float]
    assignments: Tensor | None


class Evaluator:
    """Evaluates one phase on the samples `x` (n, ...), always in the same batches."""

    def __init__(self, phase: TrainingPhase, x: Tensor, context: RunContext) -> None:
        self.phase, self.x, self.lengths, self.streams = phase, x, context.lengths, context.streams
        self.batches = [b.to(x.device) for b in evaluation_batches(phase.spec, len(x), context.streams)]

    def evaluate(self) -> Evaluated:
        """Return what the model gives for all samples as it is now."""
        model = self.phase.model
        model.eval()
        objective, whole = self.phase.objectives[0], len(self.x) // len(self.batches[0])
        sums: dict[str, Tensor] = {}
        assignments: Tensor | None = torch.empty(len(self.x), dtype=torch.int64, device=self.x.device)
        with torch.no_grad():
            for number, index in enumerate(self.batches):
                batch = gathered(self.phase, self.x, self.lengths, index)
                terms, soft = self.phase.forward(model, batch)
                if soft is None or assignments is None:
                    assignments = None
                else:
                    assignments[index] = soft.argmax(dim=1)
                if number < whole:  # each sample counts once
                    sums = {name: value + sums.get(name, 0) for name, value in terms.items()}
                    if self.phase.spec.evaluation_moves_statistics:
                        model.train()
                        self.phase.forward(model, batch)
                        model.eval()
            means = {name: value / whole for name, value in sums.items()}
            total = float(objective.total(means))
        terms_now = {name: float(value) for name, value in means.items()}
        return Evaluated(total, terms_now, None if assignments is None else assignments.cpu())

    def gradients(self, batches: int) -> TermGradients:
        """Return the gradients of all terms on the first so many batches, and leave no trace."""
        chosen = [gathered(self.phase, self.x, self.lengths, index) for index in self.batches[:batches]]
        model, states = self.phase.model, self.streams.states()
        try:
            return term_gradients(
                model, lambda batch: self.phase.forward(model, batch)[0], chosen, self.phase.objectives[0].weights
            )
        finally:
            self.streams.resume(states)  # a forward in training mode may draw, such as noise
