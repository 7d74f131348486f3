"""The one training loop: named phases of objectives stepped in order, evaluated, guarded and kept by loss.

A method describes its training as a list of `TrainingPhase`; this module builds the optimisers, draws the batches
from named streams, steps, clips, evaluates in inference mode, and emits read-only snapshots to observers. Nothing an
observer does can flow back: it gets copies, and the global generator is restored after it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from benchmark.errors import UsageError
from benchmark.spec import batches_per_epoch
from benchmark.training.batches import evaluation_batches
from benchmark.training.gradients import TermGradients, term_gradients
from benchmark.training.optimisation import build_optimiser, clip_gradients, set_learning_rate
from benchmark.training.phases import (
    Batch,
    Diverged,
    PhaseResult,
    RunContext,
    Snapshot,
    TrainingPhase,
)
from benchmark.training.resume import Remembers, SavedState, captured, part, prefixed, restored

REPORT_EVERY = 20
"""How many steps pass between two reports of progress."""

FIRST_STEPS = 5
"""How many losses of the first steps a phase reports, for comparison between machines."""


def run_phase(phase: TrainingPhase, x: Tensor, context: RunContext) -> PhaseResult:
    """Train one phase on the samples `x` (n, ...) and leave the kept weights in `phase.model`.

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
    if phase.spec.monitor not in ("total", *terms):
        known = ", ".join(("total", *terms))
        raise UsageError(f"phase {phase.name!r} monitors {phase.spec.monitor!r}, which is none of its losses: {known}.")
    return _Loop(phase, x, context).run()


class _Loop:
    """The state of one phase while it trains."""

    def __init__(self, phase: TrainingPhase, x: Tensor, context: RunContext) -> None:
        self.phase, self.x, self.context, self.spec = phase, x, context, phase.spec
        self.per_epoch = batches_per_epoch(self.spec, len(x))
        amount = self.spec.budget.amount
        self.total_steps = amount * self.per_epoch if self.spec.budget.unit == "epochs" else amount
        self.rates = [objective.optimiser or self.spec.optimiser for objective in phase.objectives]
        self.optimisers = [
            build_optimiser(spec, objective.parameters)
            for spec, objective in zip(self.rates, phase.objectives, strict=True)
        ]
        self.batches = context.streams.torch(f"batches:{phase.name}")
        self.evaluation = [b.to(x.device) for b in evaluation_batches(self.spec, len(x), context.streams)]
        self.steps = 0
        self.finite = torch.ones((), dtype=torch.bool, device=x.device)
        self.first: list[Tensor] = []
        self.best: tuple[Snapshot, dict[str, Tensor]] | None = None
        self.epoch_state = self.batches.get_state()
        self.last: Snapshot | None = None
        self.resumable = phase.resumable and all(isinstance(o, Remembers) for o in context.observers)

    def run(self) -> PhaseResult:
        keeper = self.context.checkpoints
        saved = keeper.begin(self.phase.name) if keeper else None
        if saved is not None and self.resumable and self._resume(saved) and saved.values["finished"]:
            return self._result()
        last = self.last or self._evaluate()
        every = self.spec.evaluate_every * (self.per_epoch if self.spec.budget.unit == "epochs" else 1)
        stopped = self.total_steps == 0
        while not stopped:
            for index in self._epoch():
                stopped = self._stops()
                if not stopped:
                    self._step(index)
                    stopped = self.steps >= self.total_steps
                if self.steps % REPORT_EVERY == 0:
                    self._report()
                if last.step != self.steps and (self.steps % every == 0 or stopped):
                    last = self._evaluate()
                    stopped = stopped or self._out_of_patience(last)
                if stopped:
                    break
                self._keep(finished=False)
            self._guard()
            self._report()
        if self.spec.keep == "best" and self.best is not None:
            self.phase.model.load_state_dict(self.best[1])
        self._keep(finished=True)
        return self._result()

    def _result(self) -> PhaseResult:
        assert self.last is not None
        kept = self.best[0] if self.spec.keep == "best" and self.best is not None else self.last
        first = tuple(float(value) for value in self.first)
        return PhaseResult(kept, self.last, first, self.steps // self.per_epoch, self.steps)

    def _keep(self, *, finished: bool) -> None:
        """Save a checkpoint where one is due, and stop where the run was asked to."""
        keeper = self.context.checkpoints
        if keeper is None:
            return
        if self.resumable and (finished or keeper.due(self.steps // self.per_epoch)) and bool(self.finite):
            keeper.save(self._state(finished), finished=finished, step=self.steps)
        if not finished:
            keeper.stop_if_asked()

    def _state(self, finished: bool) -> SavedState:
        assert self.last is not None
        context, optimisers = self.context, () if finished else self.optimisers
        inner = captured(self.phase.model, optimisers, context.streams, self.x.device, self.phase.carry)
        # At the end of an epoch the next order is still to be drawn; within one, its own is drawn again.
        drawn = self.steps % self.per_epoch and not finished
        tensors = {"finite": self.finite, "epoch": self.epoch_state if drawn else self.batches.get_state()}
        tensors |= _assignments("last", self.last)
        if self.best is not None:
            tensors |= _assignments("best", self.best[0])
            tensors |= {} if finished else prefixed("best", self.best[1])
        values = {
            "finished": finished,
            "steps": self.steps,
            "first": [float(value) for value in self.first],
            "last": _plain(self.last),
            "best": _plain(self.best[0]) if self.best else None,
            "observers": [observer.memory() for observer in self._remembering()],
        }
        return SavedState(tensors | inner.tensors, values | inner.values)

    def _resume(self, saved: SavedState) -> bool:
        """Go on from a state; return False, and change nothing, where it is not of this model."""
        values, tensors = saved.values, saved.tensors
        optimisers = () if values["finished"] else self.optimisers
        if not restored(saved, self.phase.model, optimisers, self.context.streams, self.x.device, self.phase.carry):
            return False
        self.batches.set_state(tensors["epoch"])
        self.steps, self.finite = values["steps"], tensors["finite"].to(self.x.device)
        self.first = [torch.tensor(value, dtype=torch.float64) for value in values["first"]]
        self.last = self._snapshot(values["last"], tensors.get("assignments/last"))
        if values["best"] is not None:
            self.best = self._snapshot(values["best"], tensors.get("assignments/best")), part("best", tensors)
        for observer, memory in zip(self._remembering(), values["observers"], strict=True):
            observer.recall(memory)
        return True

    def _remembering(self) -> list[Remembers]:
        observers: tuple[Any, ...] = self.context.observers
        return [observer for observer in observers if isinstance(observer, Remembers)]

    def _snapshot(self, plain: dict[str, Any], assignments: Tensor | None) -> Snapshot:
        return Snapshot(
            **plain,
            assignments=None if assignments is None else assignments.numpy(),
            model=lambda: copy.deepcopy(self.phase.model),
            gradients=self._gradients,
        )

    def _epoch(self) -> Iterator[Tensor]:
        n, size = len(self.x), self.spec.batch_size
        if self.spec.sampler == "full":
            order, size = torch.arange(n), n
        elif self.spec.sampler == "fixed":
            order = torch.arange(n)
        else:
            self.epoch_state = self.batches.get_state()
            order = torch.randperm(n, generator=self.batches)
        order = order.to(self.x.device)
        for number in range(self.steps % self.per_epoch, self.per_epoch):
            yield order[number * size : (number + 1) * size]

    def _stops(self) -> bool:
        """Run the hooks that are due before the next step, and ask whether the phase stops without it."""
        for hook in self.phase.hooks:
            if self.steps % hook.every == 0:
                hook.run(self.steps)
        return self.phase.stop is not None and self.phase.stop(self.steps)

    def _step(self, index: Tensor) -> None:
        self.phase.model.train()
        batch = Batch(self.x.index_select(0, index), index)
        for objective, optimiser, rate in zip(self.phase.objectives, self.optimisers, self.rates, strict=True):
            set_learning_rate(optimiser, rate, self.steps)
            optimiser.zero_grad(set_to_none=True)
            total = objective.total(objective.loss(batch))
            total.backward()  # type: ignore[no-untyped-call]
            clip_gradients(objective.parameters, self.spec.clip)
            optimiser.step()
            self.finite = self.finite & torch.isfinite(total.detach())
            if objective is self.phase.objectives[0] and len(self.first) < FIRST_STEPS:
                self.first.append(total.detach())
        self.steps += 1

    def _evaluate(self) -> Snapshot:
        self._guard()
        self.phase.model.eval()
        objective, whole = self.phase.objectives[0], len(self.x) // len(self.evaluation[0])
        sums: dict[str, Tensor] = {}
        assignments: Tensor | None = torch.empty(len(self.x), dtype=torch.int64, device=self.x.device)
        with torch.no_grad():
            for number, index in enumerate(self.evaluation):
                terms, soft = self.phase.evaluate(Batch(self.x.index_select(0, index), index))
                if soft is None or assignments is None:
                    assignments = None
                else:
                    assignments[index] = soft.argmax(dim=1)
                if number < whole:  # each sample counts once
                    sums = {name: value + sums.get(name, 0) for name, value in terms.items()}
            means = {name: value / whole for name, value in sums.items()}
            total = float(objective.total(means))
        epoch = self.steps // self.per_epoch
        plain = {"phase": self.phase.name, "step": self.steps, "epoch": epoch, "total": total}
        plain["terms"] = {name: float(value) for name, value in means.items()}
        snapshot = self._snapshot(plain, None if assignments is None else assignments.cpu())
        self.context.emit(snapshot)
        if not math.isfinite(total):
            raise Diverged(f"the loss is {total} at step {self.steps} of phase {self.phase.name!r}")
        self._remember(snapshot)
        self.last = snapshot
        return snapshot

    def _gradients(self, batches: int) -> TermGradients:
        chosen = [Batch(self.x.index_select(0, index), index) for index in self.evaluation[:batches]]
        terms = self.phase.evaluate
        return term_gradients(self.phase.model, lambda b: terms(b)[0], chosen, self.phase.objectives[0].weights)

    def _remember(self, snapshot: Snapshot) -> None:
        """Keep the weights of the lowest monitored loss; those before the first step never count."""
        if snapshot.step == 0 and self.total_steps > 0:
            return
        if self.best is None or self._monitored(snapshot) < self._monitored(self.best[0]):
            state = self.phase.model.state_dict() if self.spec.keep == "best" else {}
            self.best = snapshot, {name: value.detach().clone() for name, value in state.items()}

    def _monitored(self, snapshot: Snapshot) -> float:
        return snapshot.total if self.spec.monitor == "total" else snapshot.terms[self.spec.monitor]

    def _out_of_patience(self, last: Snapshot) -> bool:
        if self.spec.patience is None or self.best is None:
            return False
        waited = last.step - self.best[0].step
        return waited >= self.spec.patience * (self.per_epoch if self.spec.budget.unit == "epochs" else 1)

    def _guard(self) -> None:
        if not bool(self.finite):
            raise Diverged(f"the training loss was not finite by step {self.steps} of phase {self.phase.name!r}")

    def _report(self) -> None:
        if self.context.progress is not None:
            self.context.progress(self.phase.name, self.steps, self.total_steps)


def _assignments(name: str, snapshot: Snapshot) -> dict[str, Tensor]:
    """Return the assignments of a snapshot as a tensor of a checkpoint; nothing where there are none."""
    return {} if snapshot.assignments is None else {f"assignments/{name}": torch.from_numpy(snapshot.assignments)}


def _plain(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot without its arrays and its model, as values that JSON can hold."""
    where = {"phase": snapshot.phase, "step": snapshot.step, "epoch": snapshot.epoch}
    return {**where, "total": snapshot.total, "terms": dict(snapshot.terms)}
