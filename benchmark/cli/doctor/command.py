"""The command `doctor`: it prints what an examination finds, and exits 1 where something blocks runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from benchmark.cli.listing import print_json
from benchmark.cli.options import DataDir, Json, Results
from benchmark.cli.screen import say

if TYPE_CHECKING:
    from benchmark.diagnosis import Finding

SIGNS = {"fine": " ", "note": "-", "blocks": "!"}
"""What stands before a finding; a screen reader, and a terminal without colour, gets it too."""


def doctor(results: Results = Path("results"), data_dir: DataDir = None, as_json: Json = False) -> None:
    """Examine versions, devices, data, cache, results and plug-ins; exit 1 where something blocks runs."""
    from benchmark.diagnosis import examine

    found = list(examine(results, data_dir))
    blocking = [finding for finding in found if finding.state == "blocks"]
    if as_json:
        print_json({"blocks": len(blocking), "findings": [asdict(finding) for finding in found]})
    else:
        _print(found)
        notes = sum(finding.state == "note" for finding in found)
        say(f"\n{len(blocking)} of {len(found)} findings block runs (!), {notes} may want something done (-).")
    raise typer.Exit(1 if blocking else 0)


def _print(found: Sequence[Finding]) -> None:
    """Print findings by area, in their order, each with its mend on a line of its own."""
    area = ""
    width = max(len(finding.name) for finding in found if len(finding.name) <= 24)
    for finding in found:
        if finding.area != area:
            area = finding.area
            say(f"{area}:")
        say(f" {SIGNS[finding.state]} {finding.name.ljust(width)}  {finding.what}")
        if finding.mend:
            say(f"   {' ' * width}  -> {finding.mend}")
