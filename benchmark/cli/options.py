"""Options that the commands share, and what they mean."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.screen import say
from benchmark.errors import UsageError, UserError, did_you_mean
from benchmark.plan.request import Request

if TYPE_CHECKING:
    from benchmark.execution.events import Frequency

EXECUTORS = ("serial", "processes", "ray")

_TIME = r"(?:\d+(?:\.\d+)?[smhd])+"


class ReadingChoice(StrEnum):
    """Readings as an option."""

    paper = "paper"
    code = "code"
    both = "both"


def results_there(context: typer.Context, folder: Path) -> Path:
    """Return the results folder that a command reads; UserError for a named one that is none."""
    source = context.get_parameter_source("results")
    if context.resilient_parsing or source is None or source.name == "DEFAULT":
        return folder
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}: name a results folder with --results.")
    names = {path.name for path in folder.iterdir()}
    _refuse_part(folder, names)
    if names and not names & {"runs", "stored", "quarantine", "checkpoints"}:
        say(f"note: {folder} holds no results yet: it has neither runs nor stored.", err=True)
    return folder


def results_possible(context: typer.Context, folder: Path) -> Path:
    """Return the results folder that a command writes to, made or not; UserError for what can be none."""
    if not context.resilient_parsing:
        wrong = next((path for path in (folder, *folder.parents) if path.exists() and not path.is_dir()), None)
        if wrong is not None:
            raise UserError(f"{wrong} is a file: name a folder with --results.")
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        if names:
            _refuse_part(folder, names)
    return folder


def _refuse_part(folder: Path, names: set[str]) -> None:
    """Raise UserError for the folder of runs, or of tracked rows, that is in a results folder; `names` are in it."""
    if folder.name in ("runs", "stored") and not names & {"runs", "stored"}:
        raise UserError(f"{folder} is part of a results folder: name the folder above it with --results.")


def data_there(context: typer.Context, folder: Path | None) -> Path | None:
    """Return the folder of data sets; UserError for one that is not there."""
    if folder is not None and not context.resilient_parsing and not folder.is_dir():
        raise UserError(f"there is no folder {folder}: name the folder of the data sets with --data-dir.")
    return folder


Papers = Annotated[list[str] | None, typer.Option("--paper", help="Only this paper; repeatable.")]
Tables = Annotated[list[str] | None, typer.Option("--table", help="Only this table, as PAPER/TABLE; repeatable.")]
Methods = Annotated[list[str] | None, typer.Option("--method", help="Only this method; repeatable.")]
Datasets = Annotated[list[str] | None, typer.Option("--dataset", help="Only this data set; repeatable.")]
Readings = Annotated[ReadingChoice | None, typer.Option("--reading", help="What the text says, or what the code does.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="FIELD=VALUE, or LEDGER-ID=paper|code|arm; repeatable.")]
Runs = Annotated[int | None, typer.Option("--runs", min=1, help="Runs per cell, in place of the profile's number.")]
Record = Annotated[
    list[str] | None,
    typer.Option("--record", help="Record also what an observer sees: drift, ... (`ls observers`); repeatable."),
]
Profile = Annotated[str, typer.Option("--profile", help="How much is spent: quick, cpu or paper.")]
SomeProfile = Annotated[
    str | None, typer.Option("--profile", help="quick, cpu or paper; all with stored rows if not given.")
]
OwnProtocol = Annotated[
    bool, typer.Option("--own-protocol", help="Methods that a table does not list keep their own protocol in it.")
]
NewResults = Annotated[
    Path,
    typer.Option("--results", callback=results_possible, help="The folder to which results are written."),
]
Results = Annotated[
    Path, typer.Option("--results", callback=results_there, help="The folder with results; ./results if not given.")
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", callback=data_there, help="Folder of data sets; or set RECLUST_DATA."),
]
NewDataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of data sets; or set RECLUST_DATA.")]
Device = Annotated[str | None, typer.Option("--device", help="cpu or cuda.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Worker processes; by default one per core, on CUDA per GPU.")
]
Executor = Annotated[str, typer.Option("--executor", help="Who makes the runs: serial, processes or ray.")]
Address = Annotated[
    str, typer.Option("--address", help="The cluster for --executor ray: auto or HOST:PORT; by default one of its own.")
]
Stack = Annotated[
    str,
    typer.Option("--stack", help="Replicates that a worker makes side by side: a number, or auto (1 on the CPU)."),
]
GpuShare = Annotated[
    float, typer.Option("--gpus-per-run", min=0.01, max=1, help="With --executor ray --device cuda: share of a GPU.")
]
Checkpoint = Annotated[
    str, typer.Option("--checkpoint", help="How often a run saves where it is: 90s, 5m, 10e (epochs), or never.")
]
RunTimeout = Annotated[
    str | None,
    typer.Option("--run-timeout", help="A run that takes longer is ended and recorded as failed: 20m, 2h."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Stale = Annotated[str, typer.Option("--stale", help="Runs made by other code: keep or rerun.")]


def request(
    profile: str,
    paper: list[str] | None,
    table: list[str] | None,
    method: list[str] | None,
    dataset: list[str] | None,
    reading: ReadingChoice | None,
    sets: list[str] | None,
    runs: int | None,
    record: list[str] | None = None,
    setting: list[str] | None = None,
    own_protocol: bool = False,
) -> Request:
    """Return the request that the filters of a command stand for."""
    both = ("paper", "code") if reading is ReadingChoice.both else (reading.value,) if reading else ()
    parts = (tuple(part or ()) for part in (paper, table, method, dataset))
    papers, named, methods, datasets = parts
    if record:
        _check_observers(record)
    asked = Request(profile, papers, named, methods, datasets, both, tuple(sets or ()), runs)  # type: ignore[arg-type]
    return replace(asked, record=tuple(record or ()), settings=tuple(setting or ()), own_protocol=own_protocol)


def _check_observers(names: Sequence[str]) -> None:
    from benchmark.store.observed import OBSERVERS

    for name in names:
        if name not in OBSERVERS:
            raise UsageError(did_you_mean("observer", name, OBSERVERS))


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def until(budget: str | None) -> float | None:
    """Return the monotonic time at which a budget such as 20m is spent, None without one."""
    return None if budget is None else time.monotonic() + time_span("--budget", budget)


def time_span(option: str, text: str) -> float:
    """Return the seconds of a text such as 20m; UsageError, which names the option, for what is no time."""
    match = re.fullmatch(_TIME, text)
    if match is None:
        raise UsageError(f"{option} {text!r} is no time: write 90s, 20m, 5h30m or 7d.")
    return _seconds(match)


def _seconds(match: re.Match[str]) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)([smhd])", match[0]))


def frequency(text: str) -> Frequency | None:
    """Return how often checkpoints are saved; None for never, UsageError for what is no time and no epochs."""
    from benchmark.execution.events import Frequency

    if text == "never":
        return None
    if match := re.fullmatch(r"([1-9]\d*)e", text):
        return Frequency(None, int(match[1]))
    if match := re.fullmatch(_TIME, text):
        return Frequency(_seconds(match))
    raise UsageError(f"--checkpoint {text!r} is no time: write 90s, 5m, 10e for every ten epochs, or never.")


def check_executor(name: str) -> None:
    """Raise UsageError for an executor that there is not."""
    if name not in EXECUTORS:
        raise UsageError(did_you_mean("executor", name, EXECUTORS))


def stack_size(text: str, device: str) -> int | None:
    """Return how many runs a worker makes side by side, for a text such as 4 or auto; UsageError for any other.

    None says that the memory of the GPU decides.
    """
    if text == "auto":
        return 1 if device == "cpu" else None
    if not re.fullmatch(r"[1-9]\d{0,3}", text):
        raise UsageError(f"--stack {text!r} is no number of runs: write auto, or a number from 1 to 9999.")
    return int(text)


def gpus_for(device: str) -> tuple[str, ...]:
    """Return the value of CUDA_VISIBLE_DEVICES for each GPU that `device` means: for cuda all visible ones."""
    if device != "cuda":
        return ()
    import torch

    from benchmark.execution.gpus import visible_gpus

    return visible_gpus([torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())], os.environ)


def check_device(name: str | None) -> None:
    """Raise UsageError for a device that cannot be, UserError for one that is not here."""
    if name in (None, "cpu"):
        return
    match = re.fullmatch(r"cuda(?::(\d+))?", name or "")
    if match is None:
        raise UsageError(f"--device {name!r} is no device: write cpu, cuda or cuda:1.")
    import torch

    if int(match[1] or 0) >= torch.cuda.device_count():
        raise UserError(f"torch finds no GPU {name!r} here: leave --device out to run on the CPU.")
