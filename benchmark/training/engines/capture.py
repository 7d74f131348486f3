"""The engine of CUDA: steps are captured once, and then replayed side by side, each on a stream of its own.

The first steps of a phase are taken one operation after another, under watch, on the stream of their fit; where they
can be captured, one more is: as a CUDA graph of all that the device does for it. From then on only its batch, and what
it draws on the CPU, is copied to where the graph reads it. A fit has the same graphs whatever others do beside it, so
that it gives the same numbers alone and in a stack.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from benchmark.training.draws import Draw
from benchmark.training.engines.lanes import Eager, Engine
from benchmark.training.engines.watching import Watch
from benchmark.training.stepping import Step, Stepper

WARM_STEPS = 3
"""How many steps of a kind are taken one operation after another before one is captured."""


class Recorded(Protocol):
    """A step that was captured."""

    def replay(self) -> None:
        """Do all its operations again."""
        ...


class Machine(Protocol):
    """What captures: a CUDA device, or a stand-in for tests."""

    def lane(self) -> Any:
        """Return what the work of one fit is put on."""
        ...

    def on(self, lane: Any) -> AbstractContextManager[Any]:
        """Put the work within on a lane, after all that was done before."""
        ...

    def join(self, lanes: Sequence[Any]) -> None:
        """Have what follows wait for the work on the lanes."""
        ...

    def update(self, optimiser: torch.optim.Optimizer) -> None:
        """Step an optimiser, in a step that is watched."""
        ...

    def capture(self, lane: Any, stepper: Stepper, index: Tensor) -> Recorded:
        """Capture the computation of a step, without doing it, on the samples at `index`, to be read where it lies."""
        ...


@dataclass
class _Kind:
    """A kind of step of a fit: batches of one size, trained with the same numbers of the optimisers."""

    warm: int = 0
    seen: list[Any] | None = None
    recorded: Recorded | None = None
    index: Tensor | None = None
    draws: tuple[tuple[Draw, Tensor], ...] = ()


class _Lane:
    """The steps of one phase of one fit."""

    def __init__(self, machine: Machine, stepper: Stepper) -> None:
        self.machine, self.place, self.reason = machine, machine.lane(), ""
        self.kinds: dict[Any, _Kind] = {}
        if not stepper.phase.steady:
            self.reason = "its phase is not said to be steady"

    def take(self, step: Step) -> None:
        """Take a step, in the way that is possible by now."""
        stepper, index = step.stepper, step.index
        stepper.prepare()
        kind = self.kinds.setdefault(_key(stepper, index), _Kind())
        with self.machine.on(self.place):
            if kind.recorded is None and not self.reason and kind.warm >= WARM_STEPS:
                self._capture(kind, stepper, index)
            if kind.recorded is not None:
                self._replay(kind, index)
            else:
                with step.within or nullcontext():
                    self._eagerly(kind, stepper, index)
            stepper.conclude()

    def _eagerly(self, kind: _Kind, stepper: Stepper, index: Tensor) -> None:
        if self.reason:
            stepper.compute(index)
            return
        with Watch() as watch:
            stepper.compute(index, self.machine.update)
        changed = kind.seen is not None and kind.seen != watch.seen
        self.reason = watch.reason or ("its operations change from step to step" if changed else "")
        # An optimiser makes its state in its first step, which differs from all others.
        kind.warm, kind.seen = kind.warm + 1, watch.seen if kind.warm else None
        if stepper.phase.draws is not None:
            kind.draws = tuple(stepper.phase.draws.last)

    def _capture(self, kind: _Kind, stepper: Stepper, index: Tensor) -> None:
        kind.index, draws = index.clone(), stepper.phase.draws
        places = [place for _, place in kind.draws]
        try:
            with draws.found_in(places) if draws is not None else nullcontext():
                kind.recorded = self.machine.capture(self.place, stepper, kind.index)
        except RuntimeError as error:
            self.reason = f"it could not be captured: {str(error).splitlines()[0]}"

    @staticmethod
    def _replay(kind: _Kind, index: Tensor) -> None:
        assert kind.recorded is not None and kind.index is not None
        kind.index.copy_(index)
        for draw, place in kind.draws:
            place.copy_(draw())
        kind.recorded.replay()


def _key(stepper: Stepper, index: Tensor) -> Any:
    """Return what must be equal for a step to be a replay of another: what it reads beside tensors."""
    groups = [group for optimiser in stepper.optimisers for group in optimiser.param_groups]
    return len(index), tuple((float(group["lr"]), group.get("momentum")) for group in groups)


class Captured:
    """Takes the steps that are due, of several fits, at once: those that are captured run side by side.

    `reasons` says, by phase, why its steps are taken one operation after another, for phases that came up so far.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.reasons: dict[str, str] = {}
        self._lanes: WeakKeyDictionary[Stepper, _Lane] = WeakKeyDictionary()

    def take(self, steps: Sequence[Step]) -> list[BaseException | None]:
        """Take the steps; one that raises leaves the others as they are."""
        outcomes: list[BaseException | None] = []
        used: list[Any] = []
        for step in steps:
            lane = self._lanes.get(step.stepper)
            if lane is None:
                lane = self._lanes[step.stepper] = _Lane(self.machine, step.stepper)
            used.append(lane.place)
            try:
                lane.take(step)
                outcomes.append(None)
            except BaseException as error:  # the fit of the step says whose it is
                outcomes.append(error)
            self.reasons[step.stepper.phase.name] = lane.reason
        self.machine.join(used)
        return outcomes


class Cuda:
    """A CUDA device: fits have streams, and steps are captured as CUDA graphs."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def lane(self) -> torch.cuda.Stream:
        """Return a stream."""
        return torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]

    @contextmanager
    def on(self, lane: torch.cuda.Stream) -> Iterator[None]:
        """Put work on a stream, after what the current one has to do."""
        lane.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(lane):
            yield

    def join(self, lanes: Sequence[torch.cuda.Stream]) -> None:
        """Have the current stream wait for the lanes."""
        for lane in lanes:
            torch.cuda.current_stream(self.device).wait_stream(lane)

    def update(self, optimiser: torch.optim.Optimizer) -> None:
        """Step an optimiser: that is a part of what is captured."""
        optimiser.step()

    def capture(self, lane: torch.cuda.Stream, stepper: Stepper, index: Tensor) -> torch.cuda.CUDAGraph:
        """Capture a step on its stream, on which it was warmed up, with memory of its own."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=lane, capture_error_mode="thread_local"):
            stepper.compute(index)
        return graph


def take_all(steps: Iterator[Step]) -> None:
    """Take the steps of one fit, each as its device does."""
    engine: Engine | None = None
    for step in steps:
        engine = engine or engine_for(step.stepper.x.device)
        for error in engine.take([step]):
            if error is not None:
                raise error


def engine_for(device: torch.device) -> Engine:
    """Return who takes the steps of fits on a device."""
    return Captured(Cuda(device)) if device.type == "cuda" else Eager()
