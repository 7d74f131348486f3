"""Fits of the harness that take turns in one process: what each finds as it left it, and what they share.

The condition of the process (`condition`) is put as every run has it once for all of them. A fit that changes it, or
the samples, may have changed the others: then all that are under way are given up, to be made again, each alone.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmark.execution.fits.condition import kept_condition
from benchmark.execution.fits.device import refuse_lost
from benchmark.execution.fits.fitting import (
    Ending,
    Measure,
    Samples,
    Scoring,
    begun,
    check_sum,
    ended_by,
    ended_well,
    forget_peak,
    is_ours,
    peak_mib,
)
from benchmark.execution.fits.interrupts import interrupts
from benchmark.registry import fit_under_way
from benchmark.spec import RunSpec
from benchmark.streams import Streams
from benchmark.training.engines.lanes import Turns
from benchmark.training.numeric import NumericMode, numeric_mode
from benchmark.training.resume import Checkpoints
from benchmark.training.stepping import Step


class Spoilt(Exception):
    """A fit changed what others that take turns with it share; it was put back, but none of their numbers is sure."""


class Company:
    """What `size` fits share that take turns in one process, while it lasts as a context."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.mode: NumericMode | None = None
        self._begun, self._stack = False, ExitStack()
        self._training, self._shared, self._last = 0, 0.0, 0.0
        self.changed: Callable[[], list[str]] = list
        self.interrupted: Callable[[], bool] = bool

    def __enter__(self) -> Company:
        """Begin; the condition of the process is kept from the first fit on, when all have their samples."""
        return self

    def begin(self, spec: RunSpec, device: str) -> None:
        """Hear the user's interrupts and keep the condition of the process from now on, as the first fit begins.

        UsageError where the precision does not fit the device.
        """
        if not self._begun:
            computed = numeric_mode(device, str(spec.params.get("precision", "float32")))
            self.mode = self._stack.enter_context(computed)
            self.interrupted = self._stack.enter_context(interrupts())
            self.changed = self._stack.enter_context(kept_condition(0))
            forget_peak(device)
            self._begun = True

    def __exit__(self, *error: object) -> None:
        """Put the process as it was."""
        self._stack.close()

    def count(self, more: int) -> float:
        """Note that more fits are under way, or fewer; return the share of the wall time that each had up to now.

        A device works at the steps of several at once: a second of the wall belongs in equal parts to all that are
        under way in it.
        """
        now = time.perf_counter()
        if self._training:
            self._shared += (now - self._last) / self._training
        self._last, self._training = now, self._training + more
        return self._shared


class Turn:
    """The turns of one fit: within ``with`` the generators of Python and numpy are those that it left.

    Those of torch the fit keeps itself. `seconds` is the fit's share of the wall time, from `begin` to `end`.
    """

    def __init__(self, company: Company) -> None:
        self.company, self.seconds = company, 0.0
        self._held: tuple[Any, Any] = ((), ())
        self._stack = ExitStack()
        self._began: float | None = None

    def begin(self, seed: int) -> None:
        """Begin with generators seeded as in a fit alone."""
        self._held = random.Random(seed).getstate(), np.random.RandomState(seed % 2**32).get_state()
        self._began = self.company.count(1)

    def end(self) -> None:
        """End, or do nothing where it has."""
        self.seconds = self.read()
        if self._began is not None:
            self.company.count(-1)
            self._began = None

    def read(self) -> float:
        """Return the seconds that the fit has had."""
        return self.seconds if self._began is None else self.company.count(0) - self._began

    def __enter__(self) -> None:
        outside = _generators()
        _put(self._held)
        self._stack.callback(_put, outside)
        self._stack.enter_context(fit_under_way())

    def __exit__(self, *error: object) -> None:
        self._held = _generators()
        self._stack.close()

    def taken(self, steps: Generator[Step, None, None]) -> Turns[None]:
        """Yield the steps of a fit, which goes on and takes them in its turns."""
        error: BaseException | None = None
        try:
            while True:
                with self:
                    try:
                        step = next(steps) if error is None else steps.throw(error)
                    except StopIteration:
                        return
                error = None
                try:
                    yield replace(step, within=_Both(self, step.within))
                except GeneratorExit:
                    raise
                except BaseException as raised:
                    error = raised
        finally:
            steps.close()


class _Both:
    """Two contexts, the outer first."""

    def __init__(self, outer: AbstractContextManager[None], inner: AbstractContextManager[None] | None) -> None:
        self._contexts, self._stack = [outer, *([inner] if inner else [])], ExitStack()

    def __enter__(self) -> None:
        for context in self._contexts:
            self._stack.enter_context(context)

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def _generators() -> tuple[Any, Any]:
    return random.getstate(), np.random.get_state()


def _put(states: tuple[Any, Any]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])


def fitted_in_turns(
    spec: RunSpec,
    samples: Samples,
    scoring: Scoring,
    turn: Turn,
    *,
    device: str = "cpu",
    measures: Sequence[Measure] = (),
    progress: Callable[[str, int, int], None] | None = None,
    checkpoints: Checkpoints | None = None,
    parent: Mapping[str, torch.Tensor] | None = None,
) -> Turns[Ending]:
    """Fit as `fitting.fitted` does, but stop before each step, and first of all until the others have their samples.

    Raises `Spoilt` beside what that raises, and `DeviceLost`.
    """
    streams = Streams(spec.data.name, spec.replicate)
    seed = Streams(spec.data.name, spec.replicate).seed("global")
    before = check_sum(samples.x)
    yield None
    turn.company.begin(spec, device)
    turn.begin(seed)
    options: Mapping[str, Any] = {}
    try:
        with turn:
            estimator, options = begun(spec, samples, scoring, streams, device, measures, progress, checkpoints, parent)
            steps = estimator.fitting(samples.x, **options)
        yield from turn.taken(steps)
        with turn:
            ending = ended_well(estimator, len(samples.x))
    except GeneratorExit:
        raise
    except BaseException as error:
        if is_ours(error, turn.company.interrupted, checkpoints):
            raise
        refuse_lost(device, error)
        ending = ended_by(error, options)
    finally:
        turn.end()
    written = check_sum(samples.x) != before
    if touched := turn.company.changed() + ["its samples"] * written:
        raise Spoilt(f"the method changed {', '.join(touched[:8])}, which other runs share")
    kept = checkpoints
    return replace(
        ending,
        streams=sorted(streams.used),
        peak_mib=peak_mib(device) / (1 if device == "cpu" else turn.company.size),
        seconds=turn.seconds + (kept.seconds if kept else 0.0),
        resumed=kept.resumed if kept else 0,
        numeric=turn.company.mode.plain() if turn.company.mode else None,
    )
