"""What surrounds a command and must not change it: settings of a notebook, and packages with the names of ours."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmark.errors import UsageError

HOME = Path(__file__).resolve().parents[2]
OURS = ("benchmark", "datasets", "methods", "paper_tables", "results")
DISTRIBUTION = "reclust"


def shut_out() -> None:
    """Have this process and those that it starts draw into files.

    A notebook names a backend of its own environment, with which matplotlib, and so whatever imports it, does not
    start here.
    """
    os.environ["MPLBACKEND"] = "agg"


def refuse_mixed_packages(home: Path = HOME) -> None:
    """Raise UsageError where another distribution has installed files into a package of ours.

    pip writes them over each other without a word, whichever comes second. Only the lists of files that lie beside an
    installed reclust are read; a checkout has none.
    """
    if not any(home.glob(f"{DISTRIBUTION}-*.dist-info")):
        return
    for record in sorted(home.glob("*.dist-info/RECORD")):
        name, _, version = record.parent.name.removesuffix(".dist-info").partition("-")
        if name == DISTRIBUTION:
            continue
        listed = b"\n" + record.read_bytes()
        shared = [package for package in OURS if f"\n{package}/".encode() in listed]
        if shared:
            raise UsageError(
                f"{DISTRIBUTION} and {name} {version} both install the package {shared[0]!r} into {home}, where one "
                f"overwrites files of the other: install {DISTRIBUTION} into an environment of its own "
                "(python3 -m venv), and the other package again where it is needed."
            )


def completed_name() -> str | None:
    """Return the name that a shell completes, where completion is installed or asked for; else that of the call."""
    asks = {"--install-completion", "--show-completion"} & set(sys.argv)
    return DISTRIBUTION if asks or f"_{DISTRIBUTION.upper()}_COMPLETE" in os.environ else None
