"""What may stand in ledger.toml: documented disagreements, and declared choices of ours."""

from __future__ import annotations

from typing import Literal

from benchmark.spec import Frozen


class LedgerEntry(Frozen):
    """A documented disagreement, or a declared choice of ours.

    `fields` are the paths that carry it, empty where it has no effect on our numbers. `awaits` are paths that will
    carry it, in which the readings do not differ yet: no method of the paper has them, or no runs were made with them
    (``--set PATH=VALUE`` makes some). `labels` marks a choice of the authors that used the labels.
    """

    id: str
    severity: Literal["A", "B", "C"]
    title: str
    what: str
    paper: str
    code: str
    evidence: tuple[str, ...]
    choice: str
    fields: tuple[str, ...] = ()
    awaits: tuple[str, ...] = ()
    labels: bool = False

    @property
    def effect(self) -> str:
        """What stands where an entry has no field: whether it has no effect, or none yet."""
        return f"none yet: waits for {' '.join(self.awaits)}" if self.awaits else "none: no effect on our numbers"


class LedgerFile(Frozen):
    """All of ledger.toml."""

    entry: tuple[LedgerEntry, ...] = ()
