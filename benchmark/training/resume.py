"""What a phase needs to go on where another process stopped, to the last bit: its state as tensors and plain values.

The phases of a method are built again from its spec; then the state is put into them. Nothing here touches a file: who
keeps the states is a `Checkpoints` that the harness gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from benchmark.streams import Streams


class Stopped(BaseException):
    """A run was asked to stop and did. Not an Exception: no method may take it for an error of its own."""


@dataclass(frozen=True)
class SavedState:
    """Where a run was: `tensors` by name, and `values` that JSON can hold."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]


class Checkpoints(Protocol):
    """Who keeps the states of one run, phase by phase."""

    @property
    def seconds(self) -> float:
        """The seconds that the run took in earlier processes."""
        ...

    @property
    def resumed(self) -> int:
        """How many processes worked at the run before."""
        ...

    def begin(self, phase: str) -> SavedState | None:
        """Enter the next phase; return the state to go on from, or None where it is to begin."""
        ...

    def due(self, epoch: int) -> bool:
        """Return whether a state is to be saved after a step in `epoch`."""
        ...

    def save(self, state: SavedState, *, finished: bool, step: int) -> None:
        """Keep a state of the phase begun last: within it, or with `finished` its end."""
        ...

    def stop_if_asked(self) -> None:
        """Raise `Stopped` where the run was asked to stop."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """An observer, or a part of a phase, whose memory decides later results, as values that JSON can hold."""

    def memory(self) -> Any:
        """Return all that must be known to go on."""
        ...

    def recall(self, memory: Any) -> None:
        """Go on from what `memory` returned."""
        ...


@dataclass(frozen=True)
class Carry:
    """What a phase carries from step to step beside its model and streams (as targets of a hook): out and in again."""

    state: Callable[[], Mapping[str, Tensor]]
    load: Callable[[Mapping[str, Tensor]], None]


def captured(
    model: nn.Module,
    optimisers: Sequence[torch.optim.Optimizer],
    streams: Streams,
    device: torch.device,
    carry: Carry | None,
) -> SavedState:
    """Return the state of model, optimisers and generators, and what a phase carries besides."""
    generators = _generators(streams, device)
    tensors = prefixed("model", _model_tensors(model)) | prefixed("optimiser", _optimiser_tensors(optimisers))
    tensors |= prefixed("generators", generators.tensors) | prefixed("carry", carry.state() if carry else {})
    return SavedState(tensors, {"generators": generators.values})


def restored(
    saved: SavedState,
    model: nn.Module,
    optimisers: Sequence[torch.optim.Optimizer],
    streams: Streams,
    device: torch.device,
    carry: Carry | None,
) -> bool:
    """Put a state of `captured` back; return False, and change nothing, where it is not of this model."""
    weights = part("model", saved.tensors)
    own = _model_tensors(model)
    if own.keys() != weights.keys() or any(own[n].shape != value.shape for n, value in weights.items()):
        return False
    with torch.no_grad():
        for name, place in own.items():  # copied, so that memory formats stay those of the model
            place.copy_(weights[name])
    _load_optimisers(optimisers, part("optimiser", saved.tensors))
    _load_generators(streams, device, SavedState(part("generators", saved.tensors), saved.values["generators"]))
    if carry is not None:
        carry.load(part("carry", saved.tensors))
    return True


def _model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return parameters and all buffers of a model by name, also those that its state_dict leaves out."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _optimiser_tensors(optimisers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """Return the states of optimisers as ``<optimiser>.<parameter>.<name>``."""
    return {
        f"{number}.{parameter}.{name}": torch.as_tensor(value)
        for number, optimiser in enumerate(optimisers)
        for parameter, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
        if value is not None
    }


def _load_optimisers(optimisers: Sequence[torch.optim.Optimizer], tensors: Mapping[str, Tensor]) -> None:
    """Put states back, in the memory format of their parameters (another order of sums would be other bits)."""
    for number, optimiser in enumerate(optimisers):
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            owner, parameter, name = key.split(".", 2)
            if int(owner) == number:
                like = parameters[int(parameter)]
                state.setdefault(int(parameter), {})[name] = _laid_out(value, like)
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _laid_out(value: Tensor, like: Tensor) -> Tensor:
    if value.shape != like.shape or value.ndim == 0:  # such as the count of steps, which stays on the CPU
        return value.clone()
    return torch.empty_like(like, dtype=value.dtype).copy_(value)


def _generators(streams: Streams, device: torch.device) -> SavedState:
    """Return the states of the global generators and of those that streams gave and somebody still uses."""
    tensors = {"cpu": torch.default_generator.get_state()}
    if device.type == "cuda":
        tensors["cuda"] = torch.cuda.get_rng_state(device)
    given: list[list[Any]] = []
    for name, number, state in streams.states():
        if isinstance(state, Tensor):
            tensors[f"stream.{number}.{name}"] = state
        else:
            given.append([name, number, state])
    return SavedState(tensors, {"numpy": given})


def _load_generators(streams: Streams, device: torch.device, saved: SavedState) -> None:
    """Put generators into the states of `_generators`."""
    torch.default_generator.set_state(saved.tensors["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(saved.tensors["cuda"], device)
    states = [(name, number, state) for name, number, state in saved.values["numpy"]]
    for key, state in saved.tensors.items():
        head, _, rest = key.partition(".")
        if head == "stream":
            number, _, name = rest.partition(".")
            states.append((name, int(number), state))
    streams.resume(states)


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `tensors` with ``<prefix>/`` before each name."""
    return {f"{prefix}/{name}": value for name, value in tensors.items()}


def part(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors that `prefixed` named, under their own names."""
    return {name.removeprefix(f"{prefix}/"): value for name, value in tensors.items() if name.startswith(f"{prefix}/")}
