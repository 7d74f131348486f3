"""What an argument `network` may be: the name of a registered network, a network, or a function that makes modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import PlainValidator
from torch import Tensor, nn

from methods.parts.networks import AnyNetwork, BatchNorm, network_named

HIDDEN = 100
"""Units of the hidden layer of the clustering head behind a module of one's own, as in every network of the papers."""


def _checked(value: Any) -> Any:
    """Return a value that can stand for a network; ValueError for any other."""
    if isinstance(value, nn.Module):
        raise ValueError(
            "a module is trained once: give a function of the shape of a sample that makes it, lambda shape: ..."
        )
    if isinstance(value, str) or callable(value) or hasattr(value, "tap_shapes"):
        return value
    raise ValueError("it must be the name of a registered network, a network, or a function that makes a module")


NetworkChoice = Annotated[Any, PlainValidator(_checked)]
"""A parameter `network`. In runs of the suite it is a name.

A function is called with the shape of a sample, without the number of samples, and returns the module that maps samples
(b, ...) to features (b, ...): the encoder, behind which methods put their own last layers. For methods that reconstruct
samples it returns the pair of that module and of one that maps features back to samples. The modules keep the weights
that they come with; what torch draws for them follows from `random_state`. Taps are names of submodules.
"""


def chosen_network(choice: Any) -> AnyNetwork:
    """Return the network that a parameter `network` stands for; UsageError for a name that is not registered."""
    found: Any = network_named(choice) if isinstance(choice, str) else choice
    network: AnyNetwork = found if hasattr(found, "tap_shapes") else OwnNetwork(found)
    return network


@dataclass(frozen=True)
class OwnNetwork:
    """A network by a function that makes its modules for a shape of samples."""

    make: Callable[[tuple[int, ...]], Any]
    hidden: int = HIDDEN

    def tap_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Return the output shape of every submodule that a pass calls, in order, and last that of the whole."""
        return _shapes(self._modules(shape)[0], shape)

    def backbone(self, shape: tuple[int, ...], norm: BatchNorm) -> OwnModule:
        """Return the encoder for samples of `shape`."""
        return OwnModule(self._modules(shape)[0])

    def decoder(self, shape: tuple[int, ...], norm: BatchNorm) -> OwnModule:
        """Return the decoder for samples of `shape`; ValueError where the function makes none, or one that misfits."""
        encoder, decoder = self._modules(shape)
        if decoder is None:
            raise ValueError(
                "network: this method reconstructs samples: let the function return a pair of modules, the encoder and "
                "one that maps its features back to samples."
            )
        found = _output(decoder, list(_shapes(encoder, shape).values())[-1], "decoder")
        if found != tuple(shape):
            raise ValueError(f"network: the decoder gives samples of the shape {found}, not {tuple(shape)}.")
        return OwnModule(decoder, alone=True)

    def _modules(self, shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module | None]:
        made = self.make(tuple(shape))
        encoder, decoder = made if isinstance(made, tuple) else (made, None)
        for module in (encoder, decoder):
            if module is not None and not isinstance(module, nn.Module):
                raise ValueError(
                    f"network: the function must return a torch.nn.Module, or a pair of them, not {module!r}."
                )
        return encoder, decoder


class OwnModule(nn.Module):
    """A module of one's own, called as a backbone is, or `alone`, as a decoder."""

    keeps_weights = True

    def __init__(self, module: nn.Module, alone: bool = False) -> None:
        super().__init__()
        self.module, self.alone = module, alone

    def forward(self, x: Tensor, taps: Sequence[str] = (), lengths: Tensor | None = None) -> Any:
        """Return features and the outputs of the submodules `taps`, in their order; alone, the samples."""
        if self.alone:
            return self.module(x)
        seen: dict[str, Tensor] = {}
        handles = [_watched(self.module, name, seen) for name in taps]
        try:
            features = self.module(x)
        finally:
            for handle in handles:
                handle.remove()
        return features, [seen[name] for name in taps]


def _watched(module: nn.Module, name: str, seen: dict[str, Tensor]) -> Any:
    """Have the output of a submodule put into `seen` under its name."""

    def keep(_: nn.Module, inputs: Any, output: Any) -> None:
        seen[name] = output

    return module.get_submodule(name).register_forward_hook(keep)


def _shapes(encoder: nn.Module, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    seen: dict[str, Tensor] = {}
    handles = [_watched(encoder, name, seen) for name, _ in encoder.named_modules() if name]
    try:
        whole = _output(encoder, shape, "encoder")
    finally:
        for handle in handles:
            handle.remove()
    inner = {name: tuple(value.shape[1:]) for name, value in seen.items() if isinstance(value, Tensor)}
    last = list(inner)[-1] if inner and list(inner.values())[-1] == whole else "features"
    return {**{name: found for name, found in inner.items() if name != last}, last: whole}


def _output(module: nn.Module, shape: tuple[int, ...], what: str) -> tuple[int, ...]:
    """Return the shape of what a module gives for one of two samples of `shape`, and leave its state as it was."""
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            output = module(torch.zeros(2, *shape))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        text = str(error).splitlines()[0]
        raise ValueError(f"network: the {what} does not take a batch of the shape {(2, *shape)} ({text}).") from None
    finally:
        module.train(training)
    if not isinstance(output, Tensor) or output.ndim < 2 or len(output) != 2:
        raise ValueError(f"network: the {what} must return one tensor (b, ...) with a row for each sample.")
    return tuple(output.shape[1:])
