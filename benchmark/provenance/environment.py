"""The environment that a record was made in: machine, versions, commit and time."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

_HOME = Path(__file__).resolve().parents[2]


def environment(device: str, threads: int) -> dict[str, Any]:
    """Return what a record says about the environment of its run.

    `device` is a torch device such as "cpu" or "cuda:0"; the entry of that name holds "cpu" or the GPU's name.
    """
    import numpy
    import torch

    return {
        "device": device_name(device),
        "machine": machine_kind(device),
        "cpu": cpu_model(),
        "threads": threads,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        # Not imported by name: with each new version all stored runs would be those of other code.
        "version": sys.modules["benchmark"].__version__,
        "git_commit": git_commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def machine_kind(device: str) -> str:
    """Return architecture, CPU and device: where these are equal, equal runs should give equal numbers.

    Virtual machines give several generations of CPUs one model name, so that family, model and the widest vector
    instructions follow it. Records of before 2026-11-27 have the name alone, and are of a kind of their own.
    """
    return ", ".join((platform.machine(), f"{cpu_model()}{generation(_cpuinfo())}", device_name(device)))


def device_name(device: str) -> str:
    """Return "cpu", or the name of the GPU that the torch device `device` is."""
    if not device.startswith("cuda"):
        return device
    import torch

    return str(torch.cuda.get_device_name(device))


def cpu_model() -> str:
    """Return the model name of the CPU, or its architecture where the system doesn't tell."""
    names = (_fields(_cpuinfo()).get("model name"), platform.processor(), platform.machine())
    return next(filter(None, names), "unknown")


def generation(cpuinfo: str) -> str:
    r"""Return what the text of /proc/cpuinfo says of the first CPU beyond its model name, in parentheses; or "".

    >>> generation("cpu family : 25\nmodel : 1\nmodel name : AMD EPYC\nflags : sse4_2 avx avx2")
    ' (family 25, model 1, AVX2)'
    >>> generation("CPU implementer : 0x41\nCPU part : 0xd0c")
    ' (implementer 0x41, part 0xd0c)'
    """
    fields = _fields(cpuinfo)
    names = {"cpu family": "family", "model": "model", "CPU implementer": "implementer", "CPU part": "part"}
    known = [f"{short} {fields[name]}" for name, short in names.items() if fields.get(name)]
    flags = fields.get("flags", "").split()
    known += [label for flag, label in _VECTORS.items() if flag in flags][:1]
    return f" ({', '.join(known)})" if known else ""


_VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX"}
"""Vector instructions by their flags, widest first."""


def _fields(cpuinfo: str) -> dict[str, str]:
    """Return the fields of the first CPU."""
    pairs = [line.partition(":") for line in cpuinfo.strip().partition("\n\n")[0].splitlines()]
    return {name.strip(): value.strip() for name, _, value in pairs}


@cache
def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


@cache
def git_commit(home: Path = _HOME) -> str:
    """Return the commit of the checkout that tracks the folder `home`, "" where there is none.

    "+dirty" is appended where tracked files are modified, other than those below `home`/results.
    """
    # A package installed below somebody's own checkout is not tracked by that.
    if _git(home, "ls-files", "--error-unmatch", "benchmark/__init__.py") is None:
        return ""
    commit = _git(home, "rev-parse", "HEAD")
    changes = _git(home, "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)results")
    return f"{commit}+dirty" if commit and changes else commit or ""


def _git(home: Path, *arguments: str) -> str | None:
    # Git sets variables such as GIT_DIR for its hooks; tests that run in a hook would ask about the wrong checkout.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-C", str(home), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=variables)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
