"""What ``--help`` shows beside the options: commands in the order in which one needs them, and examples."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import typer
from typer.core import TyperGroup

ORDER = (
    *(
        "run",
        "status",
        "tables",
        "figures",
        "picture",
        "report",
        "claims",
        "explain",
        "compare",
        "ledger",
        "check",
        "doctor",
    ),
    *("ls", "data", "results", "embed", "cite", "new-method"),
    *("fetch", "verify", "show", "merge", "pack", "export", "renew", "prune", "traceback"),
)
"""Commands in the order of use, those of ``data`` and ``results`` too; others come last."""


class InOrder(TyperGroup):
    """A group that lists its commands in the order of use."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        known = super().list_commands(ctx)
        return sorted(known, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def give_examples(app: typer.Typer) -> None:
    """Let every command of `app` and of its groups show its examples at the end of its help."""
    _give(app, tomllib.loads(files("benchmark.cli").joinpath("examples.toml").read_text(encoding="utf-8")))


def _give(app: typer.Typer, examples: Mapping[str, Any]) -> None:
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        if name in examples:
            lines = (f"python -m benchmark {words}" for words in examples[name])
            command.epilog = "\n\n".join(("Examples:", *lines))
    for group in app.registered_groups:
        if group.typer_instance is not None and isinstance(group.name, str) and group.name in examples:
            _give(group.typer_instance, examples[group.name])
