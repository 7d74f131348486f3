"""What may stand in ledger.toml: documented disagreements, and declared choices of ours."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from benchmark.spec import Frozen


class LedgerEntry(Frozen):
    """A documented disagreement, or a declared choice of ours.

    `fields` are the paths that carry it, empty where it has no effect on our numbers. `awaits` are paths that will
    carry it, in which the readings do not differ yet: no method of the paper has them, or no runs were made with them
    (``--set PATH=VALUE`` makes some). `arm` are values of fields that neither reading has and that runs were made with
    nonetheless, such as those of a reading before it was corrected: ``--set ID=arm`` sets them. `keeps_loss` says that
    the fields change how losses are minimised and not what they are, so that losses of both values compare. `labels`
    marks a choice of the authors that used the labels.
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
    arm: dict[str, Any] = Field(default_factory=dict)
    labels: bool = False
    keeps_loss: bool = False

    @property
    def effect(self) -> str:
        """What stands where an entry has no field: whether it has no effect, or none yet."""
        return f"none yet: waits for {' '.join(self.awaits)}" if self.awaits else "none: no effect on our numbers"


class LedgerFile(Frozen):
    """All of ledger.toml."""

    entry: tuple[LedgerEntry, ...] = ()
