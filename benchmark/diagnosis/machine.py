"""The machine and what is installed on it: versions, processors, memory, disks, the cache."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmark.diagnosis.finding import Finding
from benchmark.files.faults import sentence
from benchmark.provenance.environment import cpu_model, git_commit

DISTRIBUTION = "reclust"
LEAST_FREE = 2**30
"""Bytes below which a disk is called full: checkpoints and weights of large runs take hundreds of MiB."""


def versions(distribution: str = DISTRIBUTION) -> Iterator[Finding]:
    """Yield the versions of Python, of the suite, and of what it needs; those outside the declared range block."""
    import benchmark

    commit = git_commit()
    named = f"{benchmark.__version__}, commit {commit}" if commit else benchmark.__version__
    yield Finding("versions", "python", "fine", platform.python_version())
    yield Finding("versions", "suite", "fine", named)
    try:
        needed = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        mend = "install it (pip install -e .) to have what it needs checked"
        yield Finding("versions", distribution, "note", "runs from a folder and is not installed", mend)
        return
    for text in needed:
        if "extra ==" not in text:
            yield _installed(text)


def _installed(text: str) -> Finding:
    """Return the finding about a package that is needed, as ``torch<2.15,>=2.9``."""
    from packaging.requirements import Requirement

    requirement = Requirement(text)
    wanted = f"{requirement.name}{requirement.specifier}"
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return Finding("versions", requirement.name, "blocks", "not installed", f"pip install '{wanted}'")
    if requirement.specifier.contains(version, prereleases=True):
        return Finding("versions", requirement.name, "fine", version)
    what = f"{version}, and the suite needs {requirement.specifier}"
    return Finding("versions", requirement.name, "blocks", what, f"pip install '{wanted}'")


def devices() -> Iterator[Finding]:
    """Yield the processors: CPU, and GPUs that torch finds, or why it may find none."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("devices", "cpu", "fine", f"{cpu_model()}, {cores} cores for this process")
    for place in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(place)
        yield Finding("devices", f"cuda:{place}", "fine", f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB")
    if torch.cuda.device_count():
        return
    if Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi"):
        build = f"is built for CUDA {torch.version.cuda}" if torch.version.cuda else "is built for the CPU alone"
        mend = "install a torch built for this driver's CUDA (pytorch.org/get-started), or unset CUDA_VISIBLE_DEVICES"
        yield Finding("devices", "cuda", "note", f"there is an NVIDIA driver, but torch finds no GPU: it {build}", mend)
    else:
        yield Finding("devices", "cuda", "fine", "no GPU: runs are made on the CPU")


def cache(folder: Path) -> Iterator[Finding]:
    """Yield how the cache folder is: in use or off, its size, and whether it can be written to."""
    if os.environ.get("RECLUST_CACHE", "").lower() == "off":
        mend = "unset RECLUST_CACHE to have commands start faster"
        yield Finding("cache", str(folder), "note", "RECLUST_CACHE=off: nothing is kept", mend)
        return
    if not _writable(folder):
        mend = "have it writable, or name another by XDG_CACHE_HOME"
        yield Finding(
            "cache", str(folder), "note", "cannot be written to: every command parses and imports again", mend
        )
        return
    size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
    yield Finding(
        "cache",
        str(folder),
        "fine",
        f"{size / 2**20:.0f} MiB: downloads, parsed data, answers of plug-ins; what is deleted is got again",
    )


def disk(results: Path) -> Finding:
    """Return whether results can be written to a folder, and how much room its disk has."""
    try:
        if not _writable(results):
            return Finding(
                "results", "disk", "blocks", f"{results} cannot be written to", "name another: --results DIR"
            )
        free = shutil.disk_usage(_standing(results)).free
    except OSError as error:
        return Finding("results", "disk", "blocks", sentence(error), "name another folder: --results DIR")
    shown = f"{free / 2**30:.1f} GiB free for {results}"
    if free < LEAST_FREE:
        return Finding("results", "disk", "blocks", shown, "make room, or name another disk: --results DIR")
    return Finding("results", "disk", "fine", shown)


def _standing(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that is there."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _writable(folder: Path) -> bool:
    """Return whether files can be put below a folder, which need not be there yet; nothing is written."""
    standing = _standing(folder)
    return standing.is_dir() and os.access(standing, os.W_OK | os.X_OK)
