"""The condition of a results folder: what is damaged, what is set aside, and what is left over."""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import UserError
from benchmark.execution.checkpoints import CHECKPOINTS, damaged_checkpoints, discard
from benchmark.execution.ray_cluster import sweep_clusters, sweep_marks
from benchmark.execution.shared_data import sweep_shared
from benchmark.files.faults import sentence
from benchmark.files.locks import CLAIMS
from benchmark.files.owners import draft
from benchmark.store.run_files import RECORD
from benchmark.store.store import Store


def refuse_unwritable(results: Path) -> None:
    """Raise UserError where nothing can be written to the results folder, before hours are spent."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        runs = results / "runs"
        trial = draft(runs if runs.exists() else results)
        trial.mkdir()
        trial.rmdir()
    except OSError as error:
        raise UserError(sentence(error)) from None


def tidy(store: Store) -> list[str]:
    """Set damaged run folders aside, remove checkpoints of runs that ended; return one sentence for each damage.

    What commands left that are gone is removed, too: marks of drivers, and what is theirs in the temporary folder.
    Raises UserError where what is damaged cannot be moved.
    """
    try:
        said = store.quarantine()
    except OSError as error:
        raise UserError(sentence(error)) from None
    for folder in (store.results / CHECKPOINTS).glob("*/"):
        if _left_over(store.results, folder):
            discard(store.results, folder.name)
    sweep_marks(store.results)
    sweep_clusters()
    sweep_shared()
    return said


def _left_over(results: Path, checkpoints: Path) -> bool:
    """Whether a run was stored after its last checkpoint and nobody is at it: one that is made again needs them."""
    if (results / CLAIMS / checkpoints.name).exists():
        return False
    try:
        stored = (results / "runs" / checkpoints.name / RECORD).stat().st_mtime_ns
        return all(file.stat().st_mtime_ns <= stored for file in checkpoints.iterdir())
    except OSError:
        return False


def damage(store: Store) -> list[str]:
    """Return one sentence, with the mend, for each thing in a store that is damaged, after reading all of it."""
    found = damaged_checkpoints(store.results)
    return store.verify() + [
        f"{path}: {reason}; the next run sets it aside and does without it." for path, reason in found
    ]
