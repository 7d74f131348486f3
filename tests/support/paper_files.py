"""The files of papers as they are written, read without the models of the suite."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

from tests.support.checkout import ROOT

PAPERS = ROOT / "paper_tables"


def raw(paper: str, name: str) -> dict[str, Any]:
    """Return a file of a paper as parsed TOML."""
    return tomllib.loads((PAPERS / paper / name).read_text(encoding="utf-8"))


def written_rules(paper: str) -> list[dict[str, Any]]:
    """Return the rules for fields of a paper: those of its family, then its own, with paper and code spelled out."""
    own = raw(paper, "protocol.toml")
    family = raw("families", f"{own['inherits']}.toml") if "inherits" in own else {}
    return [rule for file in (family, own) for group in file.get("field", ()) for rule in _rules(group)]


def _rules(group: dict[str, Any]) -> Iterator[dict[str, Any]]:
    shared = {key: group[key] for key in ("methods", "datasets", "ledger", "source") if key in group}
    for path, value in _leaves({key: group[key] for key in group if key not in shared}):
        readings = {name: value[name if name in value else "both"] for name in ("paper", "code")}
        yield {"path": path, **shared, **{k: v for k, v in value.items() if k != "both"}, **readings}


def _leaves(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, value in table.items():
        if "both" in value or "paper" in value:
            yield prefix + name, value
        else:
            yield from _leaves(value, f"{prefix}{name}.")
