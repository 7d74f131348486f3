"""Fits that take turns in one process: each goes on to its next step, then the steps that are due are taken together.

A fit is a generator that stops before each step (`Clusterer.fitting`), and so is all that is around it. How the steps
are taken is the business of an `Engine`; with the eager one, each fit gives the bits that it gives alone.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from benchmark.training.stepping import Step

K = TypeVar("K")
T = TypeVar("T")

Turns = Generator[Step | None, None, T]
"""Something with a fit in it, which stops before each step of the fit, and with None where others may overtake it."""


class Engine(Protocol):
    """Who takes the steps that are due."""

    def take(self, steps: Sequence[Step]) -> list[BaseException | None]:
        """Take each of the steps, of different fits, and return what each raised, None for those that were taken."""
        ...


class Eager:
    """Takes one step after another, each as its fit would alone."""

    def take(self, steps: Sequence[Step]) -> list[BaseException | None]:
        """Take the steps in order; one that raises leaves the others as they are."""
        return [raised(step) for step in steps]


def raised(step: Step) -> BaseException | None:
    """Take a step, and return what it raised; None where it was taken."""
    try:
        step.take()
    except BaseException as error:  # the fit of the step says whose it is
        return error
    return None


def interleaved(fits: Mapping[K, Turns[T]], engine: Engine | None = None) -> Iterator[tuple[K, T]]:
    """Let the `fits` take turns until all have ended, and yield the key and the result of each when it ends.

    What a step raises is raised in its own fit, where the step was due. What a fit does not catch goes to the caller,
    and closes the others.
    """
    engine, going = engine or Eager(), dict(fits)
    errors: dict[K, BaseException] = {}
    try:
        while going:
            due: dict[K, Step] = {}
            for key, fit in tuple(going.items()):
                try:
                    error = errors.pop(key, None)
                    step = next(fit) if error is None else fit.throw(error)
                except StopIteration as end:
                    del going[key]
                    yield key, end.value
                    continue
                if step is not None:
                    due[key] = step
            taken = engine.take(list(due.values())) if due else []
            errors = {key: error for key, error in zip(due, taken, strict=True) if error is not None}
    finally:
        for fit in going.values():
            fit.close()


def alone(fit: Turns[T], engine: Engine | None = None) -> T:
    """Let one fit go through, and return its result."""
    ((_, result),) = interleaved({None: fit}, engine)
    return result
