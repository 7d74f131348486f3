"""Whether a GPU still answers: after some errors of CUDA, whatever a process asks of it fails, whoever asks.

Such an error says nothing of the run in which it is seen: it comes from any that the process makes side by side, or
made before. None of them is recorded as failed; the process ends, and each is made again by itself.
"""

from __future__ import annotations

from benchmark.errors import UserError, error_line

LOST = 71
"""The exit code of a worker process whose GPU no longer answers."""


class DeviceLost(UserError):
    """The GPU no longer answers this process; `how` is what it says."""

    def __init__(self, how: str) -> None:
        super().__init__(f"the GPU no longer answers this process ({how}): give the command again.")
        self.how = how


def wait_for(device: str) -> None:
    """Wait until a GPU has done all that it was asked; RuntimeError where it no longer answers."""
    if not device.startswith("cuda"):
        return
    import torch

    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize(torch.device(device))


def refuse_lost(device: str, error: BaseException) -> None:
    """Raise DeviceLost where `error` was raised by a process that its GPU no longer answers."""
    try:
        wait_for(device)
    except RuntimeError as lost:
        raise DeviceLost(error_line(str(lost).partition("\n")[0])) from error
