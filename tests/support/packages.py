"""Packages of somebody else, installed for a test."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path


def install(package: Path, folder: Path) -> Path:
    """Install a package below `folder`, from a copy so that building leaves nothing behind, and return where it is."""
    source, place = folder / "source", folder / "site-packages"
    shutil.copytree(package, source, ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--no-compile", "--target", str(place)]
    command = [sys.executable, "-m", "pip", "install", *options, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return place
