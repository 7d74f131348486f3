"""The one training loop: named phases of objectives stepped in order, evaluated, guarded and kept by loss.

A method describes its training as a list of `TrainingPhase`; here its steps are put in order, between them the model is
evaluated, and snapshots go to observers. Nothing an observer does can flow back: it gets copies, and the global
generator is restored after it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Generator
from typing import Any

from torch import Tensor

from benchmark.errors import UsageError
from benchmark.training.evaluation import Evaluator
from benchmark.training.phases import Diverged, PhaseResult, RunContext, Snapshot, TrainingPhase
from benchmark.training.resume import Remembers, SavedState
from benchmark.training.saving import PhaseState, resumed_state, saved_state
from benchmark.training.stepping import EPOCH_MEAN, Step, Stepper

REPORT_EVERY = 20
"""How many steps pass between two reports of progress."""


def run_phase(phase: TrainingPhase, x: Tensor, context: RunContext) -> PhaseResult:
    """Train one phase on the samples `x` (n, ...), all its steps in order, and leave the kept weights in its model."""
    steps = phase_steps(phase, x, context)
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            result: PhaseResult = end.value
            return result
        step.take()


def phase_steps(phase: TrainingPhase, x: Tensor, context: RunContext) -> Generator[Step, None, PhaseResult]:
    """Train one phase on the samples `x` (n, ...), and stop before every step, which the caller takes.

    The kept weights are left in `phase.model`.

    Raises
    ------
    Diverged
        When a loss is NaN or infinite; noticed at the latest at the end of the epoch.
    ValueError
        When there are fewer samples than a full batch needs.
    UsageError
        When the phase monitors a term that its first objective lacks.
    """
    terms = tuple(phase.objectives[0].weights)
    if phase.spec.monitor not in ("total", EPOCH_MEAN, *terms):
        known = ", ".join(("total", *terms, EPOCH_MEAN))
        raise UsageError(f"phase {phase.name!r} monitors {phase.spec.monitor!r}, which is none of its losses: {known}.")
    return (yield from _Loop(phase, x, context).run())


class _Loop:
    """One phase while it trains."""

    def __init__(self, phase: TrainingPhase, x: Tensor, context: RunContext) -> None:
        self.phase, self.context = phase, context
        self.stepper = Stepper(phase, x, context)
        self.evaluator = Evaluator(phase, x, context)
        self.best: tuple[Snapshot, dict[str, Tensor]] | None = None
        self.last: Snapshot | None = None
        self.resumable = phase.resumable and all(isinstance(o, Remembers) for o in context.observers)

    def run(self) -> Generator[Step, None, PhaseResult]:
        """Yield each step when it is due, and return how the phase ended."""
        keeper, stepper = self.context.checkpoints, self.stepper
        saved = keeper.begin(self.phase.name) if keeper else None
        if saved is not None and self.resumable and self._resume(saved) and saved.values["finished"]:
            return self._result()
        last = self.last or self._evaluate()
        every = self.phase.spec.evaluate_every * stepper.unit
        stopped = stepper.total == 0
        while not stopped:
            for index in stepper.indices():
                stopped = self._stops()
                if not stopped:
                    yield Step(stepper, index)
                    stopped = stepper.steps >= stepper.total
                if stepper.steps % REPORT_EVERY == 0:
                    self._report()
                if last.step != stepper.steps and (stepper.steps % every == 0 or stopped):
                    last = self._evaluate()
                    stopped = stopped or self._out_of_patience(last)
                if stopped:
                    break
                self._keep(finished=False)
            stepper.guard()
            self._report()
        if self._keeps_best() and self.best is not None:
            self.phase.model.load_state_dict(self.best[1])
        self._keep(finished=True)
        return self._result()

    def _result(self) -> PhaseResult:
        assert self.last is not None
        kept = self.best[0] if self._keeps_best() and self.best is not None else self.last
        first = tuple(float(value) for value in self.stepper.first)
        return PhaseResult(kept, self.last, first, self.stepper.epoch, self.stepper.steps)

    def _keeps_best(self) -> bool:
        """Whether the phase ends with the weights of the lowest monitored loss."""
        keep = self.phase.spec.keep
        stopped_early = self.last is not None and self._out_of_patience(self.last)
        return keep == "best" or (keep == "best-if-stopped" and stopped_early)

    def _stops(self) -> bool:
        """Run the hooks that are due before the next step, and ask whether the phase stops without it."""
        for hook in self.phase.hooks:
            if self.stepper.steps % hook.every == 0:
                hook.run(self.stepper.steps)
        return self.phase.stop is not None and self.phase.stop(self.stepper.steps)

    def _evaluate(self) -> Snapshot:
        stepper = self.stepper
        stepper.guard()
        found = self.evaluator.evaluate()
        plain = {"phase": self.phase.name, "step": stepper.steps, "epoch": stepper.epoch}
        plain |= {"total": found.total, "terms": dict(found.terms), "epoch_mean": stepper.epoch_mean}
        snapshot = self._snapshot(plain, found.assignments)
        self.context.emit(snapshot)
        if not math.isfinite(found.total):
            raise Diverged(f"the loss is {found.total} at step {stepper.steps} of phase {self.phase.name!r}")
        self._remember(snapshot)
        self.last = snapshot
        return snapshot

    def _snapshot(self, plain: dict[str, Any], assignments: Tensor | None) -> Snapshot:
        return Snapshot(
            **plain,
            assignments=None if assignments is None else assignments.numpy(),
            model=lambda: copy.deepcopy(self.phase.model),
            gradients=self.evaluator.gradients,
            per_epoch=self.stepper.per_epoch,
        )

    def _remember(self, snapshot: Snapshot) -> None:
        """Keep the weights of the lowest monitored loss; those before the first step never count."""
        if snapshot.step == 0 and self.stepper.total > 0:
            return
        if self.best is None or self._monitored(snapshot) < self._monitored(self.best[0]):
            state = self.phase.model.state_dict() if self.phase.spec.keep != "last" else {}
            self.best = snapshot, {name: value.detach().clone() for name, value in state.items()}

    def _monitored(self, snapshot: Snapshot) -> float:
        monitor = self.phase.spec.monitor
        if monitor == EPOCH_MEAN:  # before the first whole epoch there is none
            return math.inf if snapshot.epoch_mean is None else snapshot.epoch_mean
        return snapshot.total if monitor == "total" else snapshot.terms[monitor]

    def _out_of_patience(self, last: Snapshot) -> bool:
        if self.phase.spec.patience is None or self.best is None:
            return False
        return last.step - self.best[0].step >= self.phase.spec.patience * self.stepper.unit

    def _keep(self, *, finished: bool) -> None:
        """Save a checkpoint where one is due, and stop where the run was asked to."""
        keeper, stepper = self.context.checkpoints, self.stepper
        if keeper is None:
            return
        if self.resumable and (finished or keeper.due(stepper.epoch)) and bool(stepper.finite):
            keeper.save(self._state(finished), finished=finished, step=stepper.steps)
        if not finished:
            keeper.stop_if_asked()

    def _state(self, finished: bool) -> SavedState:
        assert self.last is not None
        state = PhaseState(self.last, self.best, [o.memory() for o in self._remembering()], finished)
        return saved_state(state, self.phase, self.stepper, self.context.streams)

    def _resume(self, saved: SavedState) -> bool:
        """Go on from a state; return False, and change nothing, where it is not of this model."""
        state = resumed_state(saved, self.phase, self.stepper, self.context.streams, self._snapshot)
        if state is None:
            return False
        self.last, self.best = state.last, state.best
        for observer, memory in zip(self._remembering(), state.memories, strict=True):
            observer.recall(memory)
        return True

    def _remembering(self) -> list[Remembers]:
        observers: tuple[Any, ...] = self.context.observers
        return [observer for observer in observers if isinstance(observer, Remembers)]

    def _report(self) -> None:
        if self.context.progress is not None:
            self.context.progress(self.phase.name, self.stepper.steps, self.stepper.total)
