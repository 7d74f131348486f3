"""Quarantine: what is damaged is moved out of the way, with the reason, and never thrown away."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path

QUARANTINE, REASON = "quarantine", "reason.json"


def quarantined(results: Path) -> list[Path]:
    """Return the folders in quarantine, in the order of their names."""
    folder = results / QUARANTINE
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def set_aside(results: Path, damaged: Path, reason: str) -> Path | None:
    """Move a file or folder to ``<results>/quarantine/<name>-<number>/``, with the reason.

    Return its place; None where another process has taken it away already. Raises OSError where it cannot be moved.
    """
    place = results / QUARANTINE / f"{damaged.name.lstrip('.')}-{uuid.uuid4().hex[:8]}"
    place.mkdir(parents=True)
    try:
        os.rename(damaged, place / damaged.name)
    except FileNotFoundError:
        shutil.rmtree(place, ignore_errors=True)
        return None
    facts = {"was": str(damaged), "reason": reason, "date": datetime.now(UTC).isoformat(timespec="seconds")}
    with contextlib.suppress(OSError):  # a full disk keeps the reason away, not the move
        (place / REASON).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return place
